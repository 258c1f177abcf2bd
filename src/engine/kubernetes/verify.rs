//! Compares the stored Pod with the wanted one, whole, on raw JSON. Pure.
//!
//! An API server has plugins and webhooks that change what is stored: they add containers, volumes with
//! credentials, variables and capabilities. So the world is closed: each field that is not as it was sent
//! is a difference, except those that the API server fills in by itself ([`DEFAULTS`]), also a field that
//! nobody knows today.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::pod::{CLUSTER_ADDRESS, CONTAINER, GATE};
use super::quantity;
use crate::engine::{Difference, DifferenceKind};

/// Characters of a value that a difference shows.
const SHOWN_LIMIT: usize = 120;

/// What a field that was not sent may hold.
enum DefaultValue {
    /// Whatever: it says what is, and lets nothing do more.
    Any,
    /// `false`, or nothing.
    False,
    /// Exactly this text, or nothing.
    Text(&'static str),
}

/// Fields that the API server and the scheduler fill in. In the paths, `containers` stands for all kinds of
/// containers, and the number of an entry is `*`.
const DEFAULTS: [(&str, DefaultValue); 26] = [
    ("status", DefaultValue::Any),
    ("metadata.namespace", DefaultValue::Any),
    ("metadata.uid", DefaultValue::Any),
    ("metadata.resourceVersion", DefaultValue::Any),
    ("metadata.generation", DefaultValue::Any),
    ("metadata.creationTimestamp", DefaultValue::Any),
    ("metadata.managedFields", DefaultValue::Any),
    // It is on its way out.
    ("metadata.deletionTimestamp", DefaultValue::Any),
    ("metadata.deletionGracePeriodSeconds", DefaultValue::Any),
    // Finalizers keep an object, and do nothing to its containers.
    ("metadata.finalizers", DefaultValue::Any),
    ("spec.nodeName", DefaultValue::Any),
    ("spec.schedulerName", DefaultValue::Any),
    ("spec.serviceAccount", DefaultValue::Text("default")),
    ("spec.priority", DefaultValue::Any),
    ("spec.priorityClassName", DefaultValue::Any),
    ("spec.preemptionPolicy", DefaultValue::Any),
    // The names of a registry's secrets: only the kubelet reads them.
    ("spec.imagePullSecrets", DefaultValue::Any),
    (
        "spec.securityContext.supplementalGroupsPolicy",
        DefaultValue::Text("Strict"),
    ),
    // Memory and CPU of the runtime itself, by the runtime class.
    ("spec.overhead", DefaultValue::Any),
    ("spec.hostNetwork", DefaultValue::False),
    ("spec.hostPID", DefaultValue::False),
    ("spec.hostIPC", DefaultValue::False),
    ("spec.shareProcessNamespace", DefaultValue::False),
    // User namespaces, which isolate more.
    ("spec.hostUsers", DefaultValue::False),
    // Whether other resources restart the container: a Pod that is never restarted is resized in place,
    // and its resources are compared.
    ("spec.containers.*.resizePolicy", DefaultValue::Any),
    ("spec.containers.*.stdin", DefaultValue::False),
];

/// Annotations that networks, the autoscaler and admission write, and that are read by nobody who makes a
/// container. Any other may be an order to a runtime: a device, an interface, no seccomp.
const HARMLESS_ANNOTATIONS: [&str; 9] = [
    "cluster-autoscaler.kubernetes.io/",
    "cni.projectcalico.org/containerID",
    "cni.projectcalico.org/podIP",
    "cni.projectcalico.org/podIPs",
    "k8s.v1.cni.cncf.io/network-status",
    "kubernetes.io/limit-ranger",
    "kubernetes.io/psp",
    "openshift.io/scc",
    "security.openshift.io/validated-scc-subject-type",
];

/// Labels that the API server copies from the node. Others may open a network policy.
const HARMLESS_LABELS: [&str; 2] = [
    "topology.kubernetes.io/",
    "failure-domain.beta.kubernetes.io/",
];

/// All differences, by field.
pub fn compare(wanted: &Value, stored: &Value) -> Vec<Difference> {
    let mut comparison = Comparison::default();
    comparison.value("", wanted, stored);
    comparison.differences.sort_by(|a, b| a.field.cmp(&b.field));
    comparison.differences
}

#[derive(Default)]
struct Comparison {
    differences: Vec<Difference>,
}

impl Comparison {
    fn value(&mut self, path: &str, wanted: &Value, stored: &Value) {
        match (wanted, stored) {
            _ if is_let(path, wanted, stored) => {}
            (Value::Object(wanted), Value::Object(stored)) => self.object(path, wanted, stored),
            (Value::Array(wanted), Value::Array(stored)) if wanted.len() == stored.len() => {
                for (number, (wanted, stored)) in wanted.iter().zip(stored).enumerate() {
                    self.value(&format!("{path}.{}", entry(number, stored)), wanted, stored);
                }
            }
            (Value::Array(wanted), Value::Array(stored)) => self.lists(path, wanted, stored),
            _ => self.differ(path, wanted, stored),
        }
    }

    fn object(&mut self, path: &str, wanted: &Map<String, Value>, stored: &Map<String, Value>) {
        let names: BTreeSet<_> = wanted.keys().chain(stored.keys()).collect();
        for name in names {
            let below = match path {
                "" => name.clone(),
                path => format!("{path}.{name}"),
            };
            let of = |map: &Map<String, Value>| map.get(name).cloned().unwrap_or(Value::Null);
            self.value(&below, &of(wanted), &of(stored));
        }
    }

    /// Lists of different lengths: what is named in one and not in the other.
    fn lists(&mut self, path: &str, wanted: &[Value], stored: &[Value]) {
        let name = |value: &Value| value["name"].as_str().map(str::to_owned);
        let names = |list: &[Value]| list.iter().map(name).collect::<Option<BTreeSet<_>>>();
        let (Some(own), Some(theirs)) = (names(wanted), names(stored)) else {
            let list = |values: &[Value]| Value::Array(values.to_vec());
            return self.differ(path, &list(wanted), &list(stored));
        };
        let find = |list: &[Value], wanted: &String| {
            let mut found = list
                .iter()
                .filter(|value| name(value).as_ref() == Some(wanted));
            found.next().cloned().unwrap_or(Value::Null)
        };
        let before = self.differences.len();
        for one in own.union(&theirs) {
            self.value(
                &format!("{path}.{one}"),
                &find(wanted, one),
                &find(stored, one),
            );
        }
        if self.differences.len() == before {
            // The same names, and one of them twice.
            let list = |values: &[Value]| Value::Array(values.to_vec());
            self.differ(path, &list(wanted), &list(stored));
        }
    }

    fn differ(&mut self, path: &str, wanted: &Value, stored: &Value) {
        self.differences.push(Difference {
            field: path.to_owned(),
            wanted: shown(wanted),
            stored: shown(stored),
            kind: kind(path, wanted, stored),
        });
    }
}

/// The name of an entry in a list, or its number.
fn entry(number: usize, stored: &Value) -> String {
    stored["name"]
        .as_str()
        .map_or_else(|| number.to_string(), str::to_owned)
}

/// Whether this stands for what was wanted, or may stand where nothing was.
fn is_let(path: &str, wanted: &Value, stored: &Value) -> bool {
    if wanted == stored || is_same_quantity(path, wanted, stored) {
        return true;
    }
    // Lists leave them out.
    if ["apiVersion", "kind"].contains(&path) {
        return true;
    }
    // The gate goes when the Pod was compared.
    if path == "spec.schedulingGates" {
        return stored.is_null() || stored == &Value::Array(Vec::new());
    }
    if path == "metadata.finalizers" {
        return true;
    }
    if !wanted.is_null() {
        return false;
    }
    is_empty(stored) || is_default(path, stored)
}

/// An empty value is stored for one that was not sent.
fn is_empty(stored: &Value) -> bool {
    match stored {
        Value::Null => true,
        Value::Object(map) => map.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => false,
    }
}

fn is_default(path: &str, stored: &Value) -> bool {
    for (prefix, names) in [
        ("metadata.annotations.", &HARMLESS_ANNOTATIONS[..]),
        ("metadata.labels.", &HARMLESS_LABELS[..]),
    ] {
        if let Some(name) = path.strip_prefix(prefix) {
            let is_known = |harmless: &&str| {
                name == *harmless || (harmless.ends_with('/') && name.starts_with(*harmless))
            };
            return names.iter().any(is_known);
        }
    }
    let general = general(path);
    DEFAULTS.iter().any(|(field, default)| {
        *field == general
            && match default {
                DefaultValue::Any => true,
                DefaultValue::False => *stored == Value::Bool(false),
                DefaultValue::Text(text) => stored.as_str() == Some(text),
            }
    })
}

/// `spec.initContainers.workspace.stdin` as `spec.containers.*.stdin`.
fn general(path: &str) -> String {
    let mut parts: Vec<&str> = path.split('.').collect();
    if parts.len() > 2 && ["containers", "initContainers"].contains(&parts[1]) {
        parts[1] = "containers";
        parts[2] = "*";
    }
    parts.join(".")
}

/// The API server writes `536870912` as `512Mi`.
fn is_same_quantity(path: &str, wanted: &Value, stored: &Value) -> bool {
    let is_quantity = path.contains(".resources.") || path.ends_with(".sizeLimit");
    let read = |value: &Value| quantity::parse(value.as_str()?);
    is_quantity && read(wanted).is_some_and(|wanted| read(stored) == Some(wanted))
}

/// What a difference means. Each that no rule knows weakens the Pod.
fn kind(path: &str, wanted: &Value, stored: &Value) -> DifferenceKind {
    let general = general(path);
    let is_bound = general.starts_with("spec.containers.*.resources.");
    let is_size = general.starts_with("spec.volumes.") && path.ends_with(".sizeLimit");
    if is_bound || is_size {
        // A limit that is gone, or one of something else.
        let is_changed = !wanted.is_null() && !stored.is_null();
        return if is_changed {
            DifferenceKind::Limit
        } else {
            DifferenceKind::Hardening
        };
    }
    let command = format!("spec.containers.{CONTAINER}.command");
    if path == command || path.starts_with(&format!("{command}.")) {
        return command_kind(path, wanted, stored);
    }
    let is_identity = matches!(&*general, "spec.containers.*.image")
        || general.starts_with("spec.nodeSelector")
        || general.starts_with("spec.tolerations")
        || general.starts_with("spec.affinity")
        || path.starts_with("metadata.annotations.io.casemate.")
        || path.starts_with("metadata.labels.io.casemate.");
    match is_identity && !stored.is_null() {
        true => DifferenceKind::Identity,
        // A selector or a toleration of the settings that is new.
        false if is_identity && general.starts_with("spec.") => DifferenceKind::Identity,
        false => DifferenceKind::Hardening,
    }
}

/// Other times and limits are those of other settings. A Pod with another program or another key, or one
/// that does not try the network or does not limit processes, was not made by this instance.
fn command_kind(path: &str, wanted: &Value, stored: &Value) -> DifferenceKind {
    // Of these each is wanted whole.
    const WHOLE: [&str; 4] = [
        "--bridge-key-sha256=",
        "--unreachable=",
        CLUSTER_ADDRESS,
        "/",
    ];
    // Of these one that is not wanted weakens, too: the key of another, or a second limit.
    const ONLY: [&str; 2] = ["--bridge-key-sha256=", LIMIT];
    let (wanted, stored) = (arguments(wanted), arguments(stored));
    let starts = |argument: &str, all: &[&str]| all.iter().any(|one| argument.starts_with(one));
    let is_program = path.ends_with(".command.0") || path.ends_with(".command.1");
    let lacks = |argument: &String| match limited(argument) {
        Some(resource) => limits_of(&stored, resource) != 1,
        None => starts(argument, &WHOLE) && !stored.contains(argument),
    };
    let is_added = |argument: &String| match limited(argument) {
        Some(resource) => limits_of(&wanted, resource) == 0,
        None => starts(argument, &ONLY) && !wanted.contains(argument),
    };
    if is_program || wanted.iter().any(lacks) || stored.iter().any(is_added) {
        return DifferenceKind::Hardening;
    }
    let is_other = |argument: &String| limited(argument).is_some() && !stored.contains(argument);
    match wanted.iter().any(is_other) {
        true => DifferenceKind::Limit,
        false => DifferenceKind::Identity,
    }
}

/// How an argument of PID 1 begins that limits a resource.
const LIMIT: &str = "--rlimit=";

/// `nproc` of `--rlimit=nproc:256`.
fn limited(argument: &str) -> Option<&str> {
    let (resource, _) = argument.strip_prefix(LIMIT)?.split_once(':')?;
    Some(resource)
}

fn limits_of(arguments: &[String], resource: &str) -> usize {
    let of = arguments.iter().filter_map(|argument| limited(argument));
    of.filter(|limited| *limited == resource).count()
}

/// Of a whole command, or of one place in it.
fn arguments(command: &Value) -> Vec<String> {
    let text = |one: &Value| one.as_str().unwrap_or_default().to_owned();
    match command.as_array() {
        Some(all) => all.iter().map(text).collect(),
        None => vec![text(command)],
    }
}

/// Whether the Pod is held back from its node.
pub fn is_gated(pod: &Value) -> bool {
    let gates = pod["spec"]["schedulingGates"].as_array();
    gates.into_iter().flatten().any(|gate| gate["name"] == GATE)
}

/// Containers that somebody has put into a Pod that was there, by name.
pub fn added_containers(pod: &Value) -> Vec<String> {
    let added = pod["spec"]["ephemeralContainers"].as_array();
    let name = |value: &Value| value["name"].as_str().unwrap_or("?").to_owned();
    added.into_iter().flatten().map(name).collect()
}

fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(SHOWN_LIMIT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
#[path = "verify_tests.rs"]
mod tests;
