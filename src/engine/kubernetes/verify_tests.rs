use serde_json::json;

use super::*;
use crate::engine::kubernetes::testing::{facts, maker, spec};

/// The Pod as it is sent, and as the API server of the lab stores it (1.34): with its defaults.
fn pair() -> (Value, Value) {
    let wanted = maker().pod(&spec(), &facts());
    let mut stored = wanted.clone();
    stored["metadata"]["uid"] = json!("6f3c");
    stored["metadata"]["namespace"] = json!("sandboxes");
    stored["metadata"]["resourceVersion"] = json!("1");
    stored["metadata"]["generation"] = json!(1);
    stored["metadata"]["managedFields"] = json!([{ "manager": "casemate" }]);
    stored["spec"]["schedulerName"] = json!("default-scheduler");
    stored["spec"]["serviceAccount"] = json!("default");
    stored["spec"]["priority"] = json!(0);
    stored["spec"]["preemptionPolicy"] = json!("PreemptLowerPriority");
    stored["spec"]["nodeName"] = json!("node1");
    stored["spec"]["containers"][0]["resources"]["limits"]["memory"] = json!("512Mi");
    stored["spec"]["containers"][0]["resources"]["limits"]["cpu"] = json!("1");
    stored["spec"]["volumes"][1]["emptyDir"]["sizeLimit"] = json!("128Mi");
    let status = json!({ "phase": "Pending" });
    stored["status"] = status;
    stored.as_object_mut().expect("a Pod")["spec"]
        .as_object_mut()
        .expect("its spec")
        .remove("schedulingGates");
    (wanted, stored)
}

/// One change of a stored Pod that isolates it less, and the field that names it.
type Mutation = (&'static str, fn(&mut Value));

fn push(list: &mut Value, value: Value) {
    match list.as_array_mut() {
        Some(list) => list.push(value),
        None => *list = json!([value]),
    }
}

const WEAKER: [Mutation; 46] = [
    ("spec.containers.proxy", |p| {
        push(
            &mut p["spec"]["containers"],
            json!({ "name": "proxy", "image": "a" }),
        )
    }),
    ("spec.initContainers.proxy", |p| {
        push(&mut p["spec"]["initContainers"], json!({ "name": "proxy" }))
    }),
    ("spec.ephemeralContainers", |p| {
        push(
            &mut p["spec"]["ephemeralContainers"],
            json!({ "name": "debug" }),
        )
    }),
    ("spec.volumes.kube-api-access-x", |p| {
        push(
            &mut p["spec"]["volumes"],
            json!({ "name": "kube-api-access-x", "projected": {} }),
        )
    }),
    ("spec.volumes.workspace.hostPath", |p| {
        p["spec"]["volumes"][0]["hostPath"] = json!({ "path": "/" })
    }),
    (
        "spec.volumes.workspace.persistentVolumeClaim.claimName",
        |p| p["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"] = json!("other"),
    ),
    ("spec.volumes.tmp.emptyDir.medium", |p| {
        p["spec"]["volumes"][1]["emptyDir"]["medium"] = Value::Null
    }),
    ("spec.volumes.tmp.emptyDir.sizeLimit", |p| {
        p["spec"]["volumes"][1]["emptyDir"]["sizeLimit"] = Value::Null
    }),
    ("spec.containers.sandbox.volumeMounts.host", |p| {
        push(
            &mut p["spec"]["containers"][0]["volumeMounts"],
            json!({ "name": "host" }),
        )
    }),
    (
        "spec.containers.sandbox.volumeMounts.workspace.subPath",
        |p| p["spec"]["containers"][0]["volumeMounts"][0]["subPath"] = Value::Null,
    ),
    (
        "spec.containers.sandbox.volumeMounts.workspace.mountPropagation",
        |p| {
            p["spec"]["containers"][0]["volumeMounts"][0]["mountPropagation"] =
                json!("Bidirectional")
        },
    ),
    ("spec.containers.sandbox.volumeDevices", |p| {
        push(
            &mut p["spec"]["containers"][0]["volumeDevices"],
            json!({ "name": "disk" }),
        )
    }),
    (
        "spec.containers.sandbox.securityContext.capabilities.add",
        |p| {
            p["spec"]["containers"][0]["securityContext"]["capabilities"]["add"] =
                json!(["NET_ADMIN"])
        },
    ),
    (
        "spec.containers.sandbox.securityContext.capabilities.drop",
        |p| p["spec"]["containers"][0]["securityContext"]["capabilities"]["drop"] = Value::Null,
    ),
    ("spec.containers.sandbox.securityContext.privileged", |p| {
        p["spec"]["containers"][0]["securityContext"]["privileged"] = json!(true)
    }),
    (
        "spec.containers.sandbox.securityContext.allowPrivilegeEscalation",
        |p| p["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = Value::Null,
    ),
    (
        "spec.containers.sandbox.securityContext.readOnlyRootFilesystem",
        |p| p["spec"]["containers"][0]["securityContext"]["readOnlyRootFilesystem"] = json!(false),
    ),
    ("spec.containers.sandbox.securityContext.runAsUser", |p| {
        p["spec"]["containers"][0]["securityContext"]["runAsUser"] = json!(0)
    }),
    ("spec.containers.sandbox.securityContext.procMount", |p| {
        p["spec"]["containers"][0]["securityContext"]["procMount"] = json!("Unmasked")
    }),
    (
        "spec.containers.sandbox.securityContext.seccompProfile.type",
        |p| {
            p["spec"]["containers"][0]["securityContext"]["seccompProfile"]["type"] =
                json!("Unconfined")
        },
    ),
    (
        "spec.containers.sandbox.securityContext.appArmorProfile",
        |p| {
            p["spec"]["containers"][0]["securityContext"]["appArmorProfile"] =
                json!({ "type": "Unconfined" })
        },
    ),
    ("spec.containers.sandbox.env.LD_PRELOAD", |p| {
        push(
            &mut p["spec"]["containers"][0]["env"],
            json!({ "name": "LD_PRELOAD", "value": "/a" }),
        )
    }),
    ("spec.containers.sandbox.envFrom", |p| {
        p["spec"]["containers"][0]["envFrom"] = json!([{ "secretRef": { "name": "a" } }])
    }),
    ("spec.containers.sandbox.command.0", |p| {
        p["spec"]["containers"][0]["command"][0] = json!("/bin/sh")
    }),
    ("spec.containers.sandbox.args", |p| {
        p["spec"]["containers"][0]["args"] = json!(["a"])
    }),
    ("spec.containers.sandbox.lifecycle", |p| {
        p["spec"]["containers"][0]["lifecycle"] = json!({ "postStart": {} , "a": 1 })
    }),
    ("spec.containers.sandbox.livenessProbe", |p| {
        p["spec"]["containers"][0]["livenessProbe"] = json!({ "exec": { "command": ["a"] } })
    }),
    ("spec.containers.sandbox.ports", |p| {
        p["spec"]["containers"][0]["ports"] = json!([{ "hostPort": 80 }])
    }),
    ("spec.containers.sandbox.resources.claims", |p| {
        p["spec"]["containers"][0]["resources"]["claims"] = json!([{ "name": "gpu" }])
    }),
    ("spec.containers.sandbox.resources.limits.memory", |p| {
        p["spec"]["containers"][0]["resources"]["limits"]["memory"] = Value::Null
    }),
    (
        "spec.containers.sandbox.resources.limits.nvidia.com/gpu",
        |p| p["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] = json!("1"),
    ),
    ("spec.containers.sandbox.tty", |p| {
        p["spec"]["containers"][0]["tty"] = json!(true)
    }),
    ("spec.containers.sandbox.terminationMessagePath", |p| {
        p["spec"]["containers"][0]["terminationMessagePath"] = json!("/dev/termination-log")
    }),
    ("spec.automountServiceAccountToken", |p| {
        p["spec"]["automountServiceAccountToken"] = json!(true)
    }),
    ("spec.serviceAccountName", |p| {
        p["spec"]["serviceAccountName"] = json!("admin")
    }),
    ("spec.hostAliases", |p| {
        p["spec"]["hostAliases"] = json!([{ "ip": "10.0.0.1", "hostnames": ["a"] }])
    }),
    ("spec.shareProcessNamespace", |p| {
        p["spec"]["shareProcessNamespace"] = json!(true)
    }),
    ("spec.hostNetwork", |p| {
        p["spec"]["hostNetwork"] = json!(true)
    }),
    ("spec.hostPID", |p| p["spec"]["hostPID"] = json!(true)),
    ("spec.hostUsers", |p| p["spec"]["hostUsers"] = json!(true)),
    ("spec.runtimeClassName", |p| {
        p["spec"]["runtimeClassName"] = json!("other")
    }),
    ("spec.dnsPolicy", |p| {
        p["spec"]["dnsPolicy"] = json!("ClusterFirst")
    }),
    ("spec.restartPolicy", |p| {
        p["spec"]["restartPolicy"] = json!("Always")
    }),
    ("metadata.annotations.k8s.v1.cni.cncf.io/networks", |p| {
        p["metadata"]["annotations"]["k8s.v1.cni.cncf.io/networks"] = json!("other")
    }),
    ("metadata.annotations.cdi.k8s.io/gpu", |p| {
        p["metadata"]["annotations"]["cdi.k8s.io/gpu"] = json!("vendor.com/gpu=all")
    }),
    ("metadata.labels.network", |p| {
        p["metadata"]["labels"]["network"] = json!("open")
    }),
];

#[test]
fn what_the_api_server_fills_in_is_no_difference() {
    let (wanted, stored) = pair();
    assert_eq!(compare(&wanted, &stored), []);
    assert!(is_gated(&wanted) && !is_gated(&stored));
}

#[test]
fn whatever_weakens_a_pod_is_named_by_its_field() {
    let (wanted, stored) = pair();
    for (field, mutate) in WEAKER {
        let mut changed = stored.clone();
        mutate(&mut changed);
        let found = compare(&wanted, &changed);
        let of = found.iter().find(|difference| difference.field == field);
        let kind = of.map(|difference| difference.kind);
        assert_eq!(kind, Some(DifferenceKind::Hardening), "{field}: {found:?}");
    }
}

/// Each field that was sent, without exception: a change of it is a difference, and so is its absence.
#[test]
fn no_field_that_was_sent_can_be_lost() {
    fn leaves(path: String, value: &Value, into: &mut Vec<String>) {
        match value {
            Value::Object(map) => {
                map.iter().for_each(|(key, value)| {
                    leaves(format!("{path}/{}", key.replace('/', "~1")), value, into)
                });
            }
            Value::Array(list) => {
                let entries = list.iter().enumerate();
                entries.for_each(|(number, value)| leaves(format!("{path}/{number}"), value, into));
            }
            _ => into.push(path),
        }
    }
    let (wanted, stored) = pair();
    let mut all = Vec::new();
    leaves(String::new(), &stored, &mut all);
    let sent = |path: &&String| {
        wanted.pointer(path).is_some() && !path.starts_with("/metadata/finalizers")
    };
    let sent: Vec<_> = all.iter().filter(sent).collect();
    assert!(sent.len() > 80, "{}", sent.len());
    for path in sent {
        for value in [Value::Null, json!("something else")] {
            let mut changed = stored.clone();
            *changed.pointer_mut(path).expect("there") = value;
            // Fields that say of which kind an object is are not compared.
            let is_kind = ["/apiVersion", "/kind"].contains(&path.as_str());
            assert_eq!(compare(&wanted, &changed).is_empty(), is_kind, "{path}");
        }
    }
}

#[test]
fn other_settings_are_no_weakness() {
    use DifferenceKind::{Identity, Limit};
    let (wanted, stored) = pair();
    let mutations: [(Mutation, DifferenceKind); 4] = [
        (
            ("another limit", |p| {
                p["spec"]["containers"][0]["resources"]["limits"]["memory"] = json!("1Gi");
            }),
            Limit,
        ),
        (
            ("another image", |p| {
                p["spec"]["containers"][0]["image"] = json!("other");
            }),
            Identity,
        ),
        (
            ("another timeout", |p| {
                p["spec"]["containers"][0]["command"][2] = json!("--idle-timeout-ms=1");
            }),
            Identity,
        ),
        (
            ("other nodes", |p| {
                p["spec"]["nodeSelector"] = json!({ "disk": "fast" });
            }),
            Identity,
        ),
    ];
    for ((name, mutate), kind) in mutations {
        let mut changed = stored.clone();
        mutate(&mut changed);
        let found = compare(&wanted, &changed);
        assert!(
            !found.is_empty() && found.iter().all(|one| one.kind == kind),
            "{name}: {found:?}"
        );
    }
}

/// A stored Pod whose PID 1 has other arguments.
fn with_arguments(change: impl FnOnce(&mut Vec<Value>)) -> Vec<Difference> {
    let (wanted, mut stored) = pair();
    let command = &mut stored["spec"]["containers"][0]["command"];
    change(command.as_array_mut().expect("a command"));
    compare(&wanted, &stored)
}

fn place_of(arguments: &[Value], start: &str) -> usize {
    let starts = |one: &Value| one.as_str().is_some_and(|one| one.starts_with(start));
    arguments.iter().position(starts).expect("one of them")
}

fn weakens(found: &[Difference]) -> bool {
    let is_weaker = |one: &Difference| one.kind == DifferenceKind::Hardening;
    found.iter().any(is_weaker)
}

#[test]
fn a_pod_that_serves_another_key_or_limits_no_processes_is_none_of_ours() {
    for argument in ["--bridge-key-sha256=", "--rlimit=nproc:", "--unreachable="] {
        let without = with_arguments(|all| drop(all.remove(place_of(all, argument))));
        assert!(weakens(&without), "{argument}: {without:?}");
        let other = with_arguments(|all| {
            let at = place_of(all, argument);
            all[at] = json!("--env-without=A");
        });
        assert!(weakens(&other), "{argument}: {other:?}");
    }
    for added in ["--bridge-key-sha256=0", "--rlimit=nproc:0", "--rlimit=as:0"] {
        let found = with_arguments(|all| all.push(json!(added)));
        assert!(weakens(&found), "{added}: {found:?}");
    }
    for moved in ["--bridge-key-sha256=0", "--unreachable=0"] {
        let found = with_arguments(|all| {
            let (start, _) = moved.split_once('=').expect("a value");
            let at = place_of(all, start);
            all[at] = json!(moved);
        });
        assert!(weakens(&found), "{moved}: {found:?}");
    }
}

#[test]
fn another_limit_of_processes_is_one_of_other_settings() {
    let found = with_arguments(|all| {
        let at = place_of(all, "--rlimit=nproc:");
        all[at] = json!("--rlimit=nproc:7");
    });
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].kind, DifferenceKind::Limit);
}
