//! The Pod of a sandbox: the isolation profile, field by field, with its reason. Pure.
//!
//! [`super::verify`] compares the stored Pod with this one, whole: what stands in neither is refused.

use std::collections::BTreeMap;

use casemate_protocol::{INIT_PATH, WORKSPACE};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::key::Secret;
use super::names::{self, COMPONENT, SANDBOX};
use crate::config::KubernetesSettings;
use crate::engine::container_spec::{ContainerSpec, Limits, Workspace};
use crate::engine::labels;
use crate::engine::node;
use crate::identity::hex;

/// The container of the user's code.
pub const CONTAINER: &str = "sandbox";

/// Holds the Pod back until its stored form was compared with this one.
pub const GATE: &str = "io.casemate/verified";

/// Keeps the Pod's object, and so its name, until its containers are known to have ended. Without it a
/// Pod that is deleted by force frees its name while its containers run on.
pub const FINALIZER: &str = "io.casemate/ended";

/// Which bridge a Pod serves: see [`super::key`].
pub const NONCE: &str = "io.casemate.nonce";

/// The node that had the workspace last, which may have its image and its volume.
pub const LAST_NODE: &str = "io.casemate.last-node";

/// Hex digits of the specification's hash, as on Docker.
const HASH_DIGITS: usize = 16;

/// /tmp, in bytes: as on Docker. Its pages are charged to the sandbox.
const TMP_SIZE: u64 = 128 << 20;

/// Over each VOLUME of the image, in bytes: as on Docker.
const VOLUME_SIZE: u64 = 16 << 20;

/// Where the container that makes the workspace has the whole volume.
const VOLUME: &str = "/casemate-volume";

/// The kubelet mounts a file of the node here that each user may write, and no quota counts it. In most
/// images only root enters this directory; PID 1 tries, and elsewhere [`super::inside`] refuses the Pod.
pub const TERMINATION_LOG: &str = "/root/.casemate-end";

/// Bytes that the maker of the workspace may take: it is one small program.
const MAKER_MEMORY: u64 = 64 << 20;

/// How an argument of PID 1 begins that names a service of the cluster.
pub const CLUSTER_ADDRESS: &str = "--cluster-address=";

/// What tells one Pod from another of the same specification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodFacts {
    pub name: String,
    pub nonce: String,
    pub last_node: Option<String>,
    /// The addresses of the API server and of the cluster's DNS, as the server knows them that made it.
    pub cluster: Vec<String>,
}

impl PodFacts {
    /// Those of a stored Pod.
    pub fn of(pod: &Value) -> Self {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let metadata = &pod["metadata"];
        Self {
            name: text(&metadata["name"]).unwrap_or_default(),
            nonce: text(&metadata["annotations"][NONCE]).unwrap_or_default(),
            last_node: text(&metadata["annotations"][LAST_NODE]),
            cluster: cluster_addresses(pod),
        }
    }
}

/// The arguments of a stored Pod that name services of the cluster.
fn cluster_addresses(pod: &Value) -> Vec<String> {
    let command = pod["spec"]["containers"][0]["command"].as_array();
    let arguments = command.into_iter().flatten().filter_map(Value::as_str);
    let addresses = arguments.filter_map(|argument| argument.strip_prefix(CLUSTER_ADDRESS));
    addresses.map(str::to_owned).collect()
}

/// Makes the Pods of a cluster.
#[derive(Debug, Clone)]
pub struct PodMaker {
    pub settings: KubernetesSettings,
    pub secret: Secret,
    /// What no sandbox may reach, besides the cluster's own services.
    pub unreachable: Vec<std::net::SocketAddr>,
    /// Those, by the addresses that this server knows.
    pub cluster: Vec<std::net::SocketAddr>,
}

impl PodMaker {
    /// What a new Pod has.
    pub fn new_facts(&self, name: &str, last_node: Option<String>) -> PodFacts {
        PodFacts {
            name: name.to_owned(),
            nonce: uuid::Uuid::new_v4().simple().to_string(),
            last_node,
            cluster: self.cluster.iter().map(ToString::to_string).collect(),
        }
    }

    /// What a stored Pod has. One that tries no service of the cluster should try those of this server.
    pub fn facts_of(&self, pod: &Value) -> PodFacts {
        let facts = PodFacts::of(pod);
        match facts.cluster.is_empty() {
            true => PodFacts {
                cluster: self.new_facts("", None).cluster,
                ..facts
            },
            false => facts,
        }
    }

    /// 16 hex digits over everything that distinguishes two Pods of one user in use, as
    /// on Docker.
    pub fn hash(&self, spec: &ContainerSpec) -> String {
        let plain = PodFacts {
            name: String::new(),
            nonce: String::new(),
            last_node: None,
            cluster: Vec::new(),
        };
        let inputs = json!({
            "pod": self.spec(spec, &plain, &self.arguments(spec)),
            "files": spec.image.files_digest,
        });
        // The same text each time: nothing in it comes from a map without an order.
        let mut digits = hex(&Sha256::digest(inputs.to_string()));
        digits.truncate(HASH_DIGITS);
        digits
    }

    /// The Pod as it is sent.
    pub fn pod(&self, spec: &ContainerSpec, facts: &PodFacts) -> Value {
        let hash = self.hash(spec);
        let mut arguments = self.arguments(spec);
        let key_hash = self.secret.key_hash(&facts.name, &facts.nonce);
        arguments.push(format!("--bridge-key-sha256={key_hash}"));
        let cluster = facts.cluster.iter();
        arguments.extend(cluster.map(|address| format!("{CLUSTER_ADDRESS}{address}")));
        arguments.push(format!("--spec={hash}"));
        json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": facts.name,
                "labels": self.labels(spec),
                "annotations": annotations(spec, facts, hash),
                "finalizers": [FINALIZER],
            },
            "spec": self.spec(spec, facts, &arguments),
        })
    }

    fn labels(&self, spec: &ContainerSpec) -> Map<String, Value> {
        let mut all = names::labels_of(&spec.labels.to_map());
        all.insert(COMPONENT.to_owned(), json!(SANDBOX));
        // A sidecar shares the loopback interface and carries traffic past the policy.
        all.insert("sidecar.istio.io/inject".to_owned(), json!("false"));
        all.insert("istio.io/dataplane-mode".to_owned(), json!("none"));
        all
    }

    fn spec(&self, spec: &ContainerSpec, facts: &PodFacts, arguments: &[String]) -> Value {
        let (uid, gid) = (spec.run_as.uid(), spec.run_as.gid());
        let settings = &self.settings;
        let mut pod = json!({
            // PID 1 is never restarted: with a read-only root it would keep nothing.
            "restartPolicy": "Never",
            // No credential of the cluster.
            "serviceAccountName": "default",
            "automountServiceAccountToken": false,
            // No addresses of the namespace's services.
            "enableServiceLinks": false,
            // resolv.conf would otherwise show the cluster's resolver and domain.
            "dnsPolicy": "None",
            "dnsConfig": { "nameservers": ["127.0.0.1"] },
            // Constant: no host name leaks.
            "hostname": "casemate",
            // PID 1 has no handler for TERM, so the kernel drops it.
            "terminationGracePeriodSeconds": 1,
            "securityContext": {
                "runAsNonRoot": true,
                "runAsUser": uid,
                "runAsGroup": gid,
                "fsGroup": gid,
                // Otherwise each mount changes the modes of all files.
                "fsGroupChangePolicy": "OnRootMismatch",
                // Besides PID 1's own filters.
                "seccompProfile": { "type": "RuntimeDefault" },
            },
            "schedulingGates": [{ "name": GATE }],
            "tolerations": self.tolerations(),
            "volumes": volumes(spec),
            "initContainers": [self.maker(spec)],
            "containers": [self.container(spec, arguments)],
        });
        let mut add = |key: &str, value: Value| {
            pod[key] = value;
        };
        if let Some(class) = &settings.runtime_class {
            add("runtimeClassName", json!(class));
        }
        if !settings.node_selector.is_empty() {
            add("nodeSelector", json!(settings.node_selector));
        }
        if !settings.image_pull_secrets.is_empty() {
            let named = settings.image_pull_secrets.iter();
            add(
                "imagePullSecrets",
                named.map(|name| json!({ "name": name })).collect(),
            );
        }
        if let Some(node) = &facts.last_node {
            add("affinity", prefer(node));
        }
        pod
    }

    /// A node that misses the API server for a while keeps its sandboxes: without seconds they stay for
    /// ever, and Kubernetes' own 300 s would end all of them.
    fn tolerations(&self) -> Vec<Value> {
        let lost = ["not-ready", "unreachable"].map(|state| {
            json!({
                "key": format!("node.kubernetes.io/{state}"),
                "operator": "Exists",
                "effect": "NoExecute",
            })
        });
        let own = self
            .settings
            .tolerations
            .iter()
            .map(|taint| match &taint.value {
                Some(value) => json!({
                    "key": taint.key, "operator": "Equal", "value": value, "effect": taint.effect,
                }),
                None => json!({ "key": taint.key, "operator": "Exists", "effect": taint.effect }),
            });
        lost.into_iter().chain(own).collect()
    }

    /// Makes the workspace in a new volume: the volume's root is the group's, PID 1's is the user's.
    fn maker(&self, spec: &ContainerSpec) -> Value {
        let limits = Limits {
            memory: MAKER_MEMORY.min(spec.limits.memory),
            ..spec.limits
        };
        json!({
            "name": "workspace",
            "image": spec.image.id,
            "imagePullPolicy": "IfNotPresent",
            "command": [INIT_PATH, "volume", VOLUME],
            "resources": self.resources(limits),
            "securityContext": confined(),
            "terminationMessagePath": TERMINATION_LOG,
            "terminationMessagePolicy": "FallbackToLogsOnError",
            "volumeMounts": [{ "name": "workspace", "mountPath": VOLUME }],
        })
    }

    fn container(&self, spec: &ContainerSpec, arguments: &[String]) -> Value {
        let mut command = vec![INIT_PATH.to_owned(), "pid1".to_owned()];
        command.extend_from_slice(arguments);
        let mut mounts = vec![
            json!({
                "name": "workspace",
                "mountPath": WORKSPACE,
                "subPath": casemate_protocol::VOLUME_WORKSPACE,
            }),
            json!({ "name": "tmp", "mountPath": "/tmp" }),
        ];
        mounts.extend(covered(spec).map(|(name, path)| json!({ "name": name, "mountPath": path })));
        json!({
            "name": CONTAINER,
            // Without a digest the name may move; a node that has it does not ask again.
            "image": spec.image.id,
            "imagePullPolicy": "IfNotPresent",
            // PID 1 is ours; the image's ENTRYPOINT and CMD are not run.
            "command": command,
            // PID 1 changes to the workspace itself.
            "workingDir": "/",
            // Of the image's own variables the server knows nothing: PID 1 adds the others.
            "env": [
                { "name": "HOME", "value": format!("{WORKSPACE}/.home") },
                { "name": "TMPDIR", "value": "/tmp" },
            ],
            "resources": self.resources(spec.limits),
            "securityContext": confined(),
            "terminationMessagePath": TERMINATION_LOG,
            // PID 1 says on stderr why it did not begin.
            "terminationMessagePolicy": "FallbackToLogsOnError",
            "volumeMounts": mounts,
        })
    }

    /// A limit of swap is not asked for: nodes have none, or give Pods none.
    fn resources(&self, limits: Limits) -> Value {
        let share = |value: u64| (value / 100 * u64::from(self.settings.requests)).max(1);
        let milli = (limits.nano_cpus / 1_000_000).max(1);
        let of = |memory: u64, milli: u64| json!({ "memory": memory.to_string(), "cpu": format!("{milli}m") });
        json!({
            "limits": of(limits.memory, milli),
            "requests": of(share(limits.memory), (milli * u64::from(self.settings.requests) / 100).max(1)),
        })
    }

    /// The arguments of PID 1 that are the same for all Pods of the specification.
    fn arguments(&self, spec: &ContainerSpec) -> Vec<String> {
        let ttl = self.settings.lost_channel_ttl.as_millis();
        let mut all: Vec<String> = spec
            .init_args
            .iter()
            // The server of a Pod may lose its channel and come back.
            .filter(|argument| !argument.starts_with("--orphan-ttl-ms="))
            .cloned()
            .collect();
        if all.len() < spec.init_args.len() {
            all.push(format!("--orphan-ttl-ms={ttl}"));
        }
        all.push(format!("--lost-channel-ttl-ms={ttl}"));
        // Kubernetes has no limits of single processes.
        let limits = [
            ("core", 0),
            ("nofile", 4096),
            ("fsize", spec.limits.file_size),
            ("memlock", 64 << 10),
            // Where the cgroup has no limit: it counts all processes of the uid, which is the user's own.
            ("nproc", spec.limits.pids.into()),
        ];
        all.extend(limits.map(|(name, limit)| format!("--rlimit={name}:{limit}")));
        all.extend(
            self.unreachable
                .iter()
                .map(|address| format!("--unreachable={address}")),
        );
        // The variables of the service of the API server.
        all.push("--env-without=KUBERNETES_".to_owned());
        all.push("--env-unless-set=LANG=C.UTF-8".to_owned());
        all.push(format!(
            "--env-unless-set={}={}",
            node::VARIABLE,
            node::options()
        ));
        all.push(format!("--path-first={WORKSPACE}/.home/.local/bin"));
        all
    }
}

/// All labels of Docker's, whole.
fn annotations(spec: &ContainerSpec, facts: &PodFacts, hash: String) -> BTreeMap<String, String> {
    let mut all = spec.labels.to_map();
    all.insert(labels::SPEC.to_owned(), hash);
    if let Some(group) = &spec.labels.group {
        all.insert(labels::GROUP.to_owned(), group.clone());
    }
    all.insert(NONCE.to_owned(), facts.nonce.clone());
    if let Some(node) = &facts.last_node {
        all.insert(LAST_NODE.to_owned(), node.clone());
    }
    all.insert("linkerd.io/inject".to_owned(), "disabled".to_owned());
    all
}

/// No privilege, and none to be gained.
fn confined() -> Value {
    json!({
        "allowPrivilegeEscalation": false,
        "privileged": false,
        "readOnlyRootFilesystem": true,
        "runAsNonRoot": true,
        "capabilities": { "drop": ["ALL"] },
        "seccompProfile": { "type": "RuntimeDefault" },
    })
}

fn prefer(node: &str) -> Value {
    let named = json!({ "key": "kubernetes.io/hostname", "operator": "In", "values": [node] });
    json!({ "nodeAffinity": { "preferredDuringSchedulingIgnoredDuringExecution": [
        { "weight": 1, "preference": { "matchExpressions": [named] } },
    ] } })
}

fn volumes(spec: &ContainerSpec) -> Vec<Value> {
    let memory = |name: &str, size: u64| json!({ "name": name, "emptyDir": { "medium": "Memory", "sizeLimit": size.to_string() } });
    let claim = match &spec.workspace {
        Workspace::Volume(name) => name.as_str(),
        // Refused before: see `KubernetesEngine::create`.
        Workspace::Bind(_) => "",
    };
    let workspace = json!({ "name": "workspace", "persistentVolumeClaim": { "claimName": claim } });
    let covered = covered(spec).map(|(name, _)| memory(&name, VOLUME_SIZE));
    [workspace, memory("tmp", TMP_SIZE)]
        .into_iter()
        .chain(covered)
        .collect()
}

/// The VOLUMEs of the image: a runtime would give each a directory of the node.
fn covered(spec: &ContainerSpec) -> impl Iterator<Item = (String, &String)> {
    let volumes = spec.image.volumes.iter().filter(|path| *path != "/tmp");
    volumes
        .enumerate()
        .map(|(number, path)| (format!("volume-{number}"), path))
}
