use serde_json::{Map, Value, json};

use super::super::{DifferenceKind, EngineKind, UnknownFields, compare};
use crate::engine::docker::testing::spec;
use crate::engine::{ContainerSpec, Workspace};

fn podman() -> ContainerSpec {
    ContainerSpec {
        engine: EngineKind::Podman,
        runtime: "crun".to_owned(),
        ..spec()
    }
}

/// What Podman 5.8 stores of it, as it was read there.
fn inspect(spec: &ContainerSpec) -> Value {
    let body = spec.body();
    let wanted = serde_json::to_value(&body).expect("JSON");
    let mut host = wanted["HostConfig"].clone();
    let limit = |it: &Value| {
        let name = it["Name"].as_str().expect("a name").to_uppercase();
        json!({ "Name": format!("RLIMIT_{name}"), "Soft": it["Soft"], "Hard": it["Hard"] })
    };
    let ulimits = host["Ulimits"]
        .as_array()
        .expect("limits")
        .iter()
        .map(limit);
    let nproc = json!({ "Name": "RLIMIT_NPROC", "Soft": 9, "Hard": 9 });
    host["Ulimits"] = ulimits.chain([nproc]).collect();
    let tmpfs = host["Tmpfs"].as_object().expect("tmpfs").iter();
    let stored = |options: &Value| json!(format!("{},rprivate", options.as_str().expect("text")));
    let tmpfs: Map<_, _> = tmpfs
        .map(|(path, options)| (path.clone(), stored(options)))
        .collect();
    host["Tmpfs"] = tmpfs.into();
    let nano = host["NanoCpus"].as_i64().expect("CPUs");
    for (key, value) in [
        ("PidMode", json!("private")),
        ("UTSMode", json!("private")),
        ("CapDrop", json!(["CHOWN", "KILL"])),
        ("SecurityOpt", json!(["no-new-privileges"])),
        ("Runtime", json!("oci")),
        ("Init", Value::Null),
        ("CpuPeriod", json!(100_000)),
        ("CpuQuota", json!(nano / 10_000)),
        ("MaskedPaths", Value::Null),
        ("ReadonlyPaths", Value::Null),
        ("MemorySwappiness", json!(-1)),
        (
            "Annotations",
            // All but the first are added at the start.
            json!({
                "io.podman.annotations.autoremove": "TRUE",
                "io.podman.annotations.pids-limit": "256",
                "io.container.manager": "libpod",
                "org.opencontainers.image.stopSignal": "9",
                "org.systemd.property.KillSignal": "9",
                "org.systemd.property.TimeoutStopUSec": "uint64 10000000",
            }),
        ),
        ("Mounts", Value::Null),
        ("Sysctls", Value::Null),
        ("Binds", json!(["v:/workspace:rprivate,nosuid,nodev,rbind"])),
    ] {
        host[key] = value;
    }
    let mut config = wanted.clone();
    config["HostConfig"] = Value::Null;
    config["StopSignal"] = json!("9");
    config["StopTimeout"] = json!(10);
    let env = config["Env"].as_array_mut().expect("variables");
    env.extend([json!("container=podman"), json!("HOSTNAME=casemate")]);
    json!({
        "Image": body.image,
        "Config": config,
        "HostConfig": host,
        "AppArmorProfile": "",
        "OCIRuntime": "crun",
        "BoundingCaps": null,
        "EffectiveCaps": null,
        "Mounts": [{
            "Type": "volume", "Name": "v", "Destination": "/workspace", "RW": true,
            "Propagation": "rprivate",
        }],
        "NetworkSettings": { "Networks": { "none": {} } },
    })
}

fn on_a_volume() -> ContainerSpec {
    ContainerSpec {
        workspace: Workspace::Volume("v".to_owned()),
        ..podman()
    }
}

#[test]
fn what_podman_stores_otherwise_and_means_the_same_is_no_difference() {
    let spec = on_a_volume();
    let found = compare(
        EngineKind::Podman,
        &spec.body(),
        &inspect(&spec),
        &UnknownFields::default(),
    );
    assert_eq!(found, []);
}

#[test]
fn what_it_stores_weaker_is_one() {
    type Change = fn(&mut Value);
    let changes: [(&str, Change); 16] = [
        ("HostConfig.PidMode", |it| {
            it["HostConfig"]["PidMode"] = json!("host")
        }),
        ("HostConfig.UTSMode", |it| {
            it["HostConfig"]["UTSMode"] = json!("host")
        }),
        ("HostConfig.CapDrop", |it| {
            it["BoundingCaps"] = json!(["CAP_CHOWN"])
        }),
        ("HostConfig.CapDrop", |it| {
            it["EffectiveCaps"] = json!(["CAP_CHOWN"])
        }),
        // It was gone when Podman's own API was asked.
        ("HostConfig.CapDrop", |it| {
            drop(it.as_object_mut().unwrap().remove("BoundingCaps"))
        }),
        ("HostConfig.Runtime", |it| it["OCIRuntime"] = json!("runc")),
        ("HostConfig.Init", |it| {
            it["HostConfig"]["Init"] = json!(true)
        }),
        ("HostConfig.Memory", |it| {
            it["HostConfig"]["Memory"] = json!(0)
        }),
        ("HostConfig.PidsLimit", |it| {
            it["HostConfig"]["PidsLimit"] = json!(0)
        }),
        ("HostConfig.SecurityOpt.no-new-privileges", |it| {
            it["HostConfig"]["SecurityOpt"] = json!([])
        }),
        ("HostConfig.SecurityOpt.seccomp", |it| {
            it["HostConfig"]["SecurityOpt"] = json!(["no-new-privileges", "seccomp=unconfined"]);
        }),
        ("HostConfig.Tmpfs./run", |it| {
            it["HostConfig"]["Tmpfs"]["/run"] = Value::Null
        }),
        ("HostConfig.Annotations", |it| {
            it["HostConfig"]["Annotations"]["run.oci.keep_original_groups"] = json!("1");
        }),
        ("HostConfig.Binds", |it| {
            it["HostConfig"]["Binds"] = json!([
                "v:/workspace:rprivate,nosuid,nodev,rbind",
                "/:/host:rprivate,rbind",
            ]);
        }),
        ("HostConfig.Mounts./workspace", |it| {
            it["HostConfig"]["Binds"] = json!(["other:/workspace:rprivate,nosuid,nodev,rbind"]);
        }),
        ("HostConfig.Mounts./workspace", |it| {
            it["HostConfig"]["Binds"] = json!(["v:/workspace:rshared,nosuid,nodev,rbind"]);
        }),
    ];
    let spec = on_a_volume();
    for (field, change) in changes {
        let mut stored = inspect(&spec);
        change(&mut stored);
        let unknown = UnknownFields::default();
        let found = compare(EngineKind::Podman, &spec.body(), &stored, &unknown);
        let noticed = found
            .iter()
            .any(|found| found.field == field && found.kind == DifferenceKind::Hardening);
        assert!(noticed, "{field}: {found:?}");
    }
}

/// crun binds what is mounted below a directory with `rbind`, and with `rprivate`.
#[test]
fn a_directory_with_what_is_mounted_below_it_is_weaker() {
    let spec = ContainerSpec {
        workspace: Workspace::Bind("/b".to_owned()),
        ..podman()
    };
    let with = |options: &str, propagation: &str| {
        let mut stored = inspect(&spec);
        stored["HostConfig"]["Binds"] = json!([format!("/b:/workspace:{options}")]);
        stored["Mounts"][0]["Type"] = json!("bind");
        stored["Mounts"][0]["Propagation"] = json!(propagation);
        let unknown = UnknownFields::default();
        let found = compare(EngineKind::Podman, &spec.body(), &stored, &unknown);
        let fields = found.into_iter().map(|found| found.field);
        fields.collect::<Vec<_>>()
    };
    assert_eq!(with("private,bind", "private"), [""; 0]);
    for options in ["rbind,private", "bind,rprivate"] {
        let fields = with(options, "private");
        assert!(
            fields.contains(&"HostConfig.Mounts./workspace".to_owned()),
            "{fields:?}"
        );
    }
    assert_eq!(with("private,bind", "rprivate"), ["Mounts./workspace"]);
}

#[test]
fn more_cpus_than_asked_are_another_limit() {
    let spec = on_a_volume();
    let mut stored = inspect(&spec);
    stored["HostConfig"]["CpuQuota"] = json!(999_000);
    let found = compare(
        EngineKind::Podman,
        &spec.body(),
        &stored,
        &UnknownFields::default(),
    );
    assert!(!found.is_empty(), "{found:?}");
}
