//! What an Engine stores, without an Engine.

use bollard::models::ContainerCreateBody;
use serde_json::{Value, json};

/// The values that an Engine 20.10 fills in.
fn fill_in(host: &mut Value) {
    let default = |value: &mut Value, default: Value| {
        if value.is_null() {
            *value = default;
        }
    };
    default(
        &mut host["MaskedPaths"],
        json!([
            "/proc/asound",
            "/proc/acpi",
            "/proc/kcore",
            "/proc/keys",
            "/proc/latency_stats",
            "/proc/timer_list",
            "/proc/timer_stats",
            "/proc/sched_debug",
            "/proc/scsi",
            "/sys/firmware",
            "/a/newer/one",
        ]),
    );
    default(
        &mut host["ReadonlyPaths"],
        json!([
            "/proc/bus",
            "/proc/fs",
            "/proc/irq",
            "/proc/sys",
            "/proc/sysrq-trigger",
        ]),
    );
    for empty in ["CapAdd", "Binds", "Devices", "OomKillDisable", "Init"] {
        default(&mut host[empty], Value::Null);
    }
    for (zero, value) in [("CpuShares", json!(0)), ("ConsoleSize", json!([0, 0]))] {
        host[zero] = value;
    }
    for mount in host["Mounts"].as_array_mut().unwrap() {
        mount["ReadOnly"] = json!(mount["ReadOnly"].as_bool().unwrap_or(false));
    }
    host["RestartPolicy"]["MaximumRetryCount"] = json!(0);
    host["LogConfig"]["Config"] = json!({});
}

/// The inspect of an Engine 20.10 for a container that was created with `body`.
pub(in crate::engine::docker::verify) fn inspect(body: &ContainerCreateBody) -> Value {
    let mut config = serde_json::to_value(body).unwrap();
    let mut host = config["HostConfig"].take();
    fill_in(&mut host);
    let volumes =
        body.volumes.iter().flatten().map(
            |path| json!({ "Type": "volume", "Name": "0123", "Destination": path, "RW": true }),
        );
    let mounts = host["Mounts"].as_array().unwrap().iter().map(|mount| {
        json!({
            "Type": mount["Type"], "Name": mount["Source"], "Source": "/var/lib/docker/volumes/a",
            "Destination": mount["Target"], "Driver": "local", "Mode": "z", "Propagation": "",
            "RW": mount["ReadOnly"] != json!(true),
        })
    });
    let network = host["NetworkMode"].as_str().unwrap_or("bridge").to_owned();
    json!({
        "Image": body.image,
        "AppArmorProfile": "",
        "Mounts": mounts.chain(volumes).collect::<Vec<_>>(),
        "NetworkSettings": { "Networks": { network: { "NetworkID": "" } } },
        "Config": config,
        "HostConfig": host,
    })
}
