//! What Podman stores, in Docker's words.
//!
//! A value that means the same is rewritten to the wanted one. What Podman does not store at all is
//! left to the kernel's word ([`super::kernel`]): its row here says so. Everything else stays as it
//! is, and so a difference.

use bollard::models::Mount;
use serde_json::{Value, json};

use super::fields::{self, Fields};

/// Options of a mount in `Binds` that take nothing away from its isolation.
const MOUNT_OPTIONS: [&str; 9] = [
    "rprivate", "private", "nosuid", "nodev", "noexec", "rbind", "bind", "rw", "ro",
];

/// Annotations that repeat other fields. Podman adds all but the first two at the start.
const ANNOTATIONS: [&str; 6] = [
    "io.podman.annotations.autoremove",
    "io.podman.annotations.pids-limit",
    "io.container.manager",
    "org.opencontainers.image.stopSignal",
    "org.systemd.property.KillSignal",
    "org.systemd.property.TimeoutStopUSec",
];

/// Options of a tmpfs that Podman adds, and one of ours that it does not store.
const TMPFS_OPTIONS: [&str; 3] = ["rprivate", "tmpcopyup", "notmpcopyup"];

/// Rewrites both sides.
pub(super) fn adapt(wanted: &mut Fields, stored: &mut Fields, inspect: &Value) {
    for field in ["HostConfig.PidMode", "HostConfig.UTSMode"] {
        // Docker's word for it is nothing.
        remove_if(stored, field, |value| value == "private");
    }
    remove_if(stored, "Config.StopTimeout", |value| *value == 10);
    remove_if(stored, "HostConfig.Ulimits.RLIMIT_NPROC", |_| true);
    rename_ulimits(stored);
    environment(wanted, stored);
    if stored.get("Config.StopSignal") == Some(&json!("9")) {
        stored.insert("Config.StopSignal".to_owned(), json!("SIGKILL"));
    }
    capabilities(stored, inspect);
    // The one that is used; `HostConfig.Runtime` is always "oci".
    replace(stored, "HostConfig.Runtime", &inspect["OCIRuntime"]);
    // Shown only where it is used.
    stored
        .entry("HostConfig.Init".to_owned())
        .or_insert(json!(false));
    // Not stored: the kernel shows what is masked.
    for (field, paths) in super::table::lists() {
        stored.insert(field.to_owned(), json!(paths));
    }
    // Not stored. Ours gives the user ports, and takes no protection away.
    wanted.remove("HostConfig.Sysctls");
    annotations(stored);
    cpus(wanted, stored);
    for fields in [&mut *wanted, &mut *stored] {
        tmpfs(fields);
    }
    mounts(wanted, stored);
}

fn remove_if(fields: &mut Fields, field: &str, is: impl Fn(&Value) -> bool) {
    if fields.get(field).is_some_and(is) {
        fields.remove(field);
    }
}

fn replace(fields: &mut Fields, field: &str, value: &Value) {
    match value {
        Value::Null => fields.remove(field),
        value => fields.insert(field.to_owned(), value.clone()),
    };
}

/// `RLIMIT_CORE` is `core`.
fn rename_ulimits(stored: &mut Fields) {
    const PREFIX: &str = "HostConfig.Ulimits.RLIMIT_";
    let names: Vec<_> = stored
        .keys()
        .filter(|key| key.starts_with(PREFIX))
        .cloned()
        .collect();
    for name in names {
        let (Some(mut value), Some(limit)) = (stored.remove(&name), name.strip_prefix(PREFIX))
        else {
            continue;
        };
        let limit = limit.to_lowercase();
        value["Name"] = json!(limit);
        stored.insert(format!("HostConfig.Ulimits.{limit}"), value);
    }
}

/// Podman adds who it is, the host name, and a home where none is asked for.
fn environment(wanted: &Fields, stored: &mut Fields) {
    let field = "Config.Env";
    let list = |fields: &Fields| fields.get(field).and_then(Value::as_array).cloned();
    let (Some(wanted), Some(mut all)) = (list(wanted), list(stored)) else {
        return;
    };
    let own = ["container=", "HOSTNAME=", "TERM="];
    let is_own = |variable: &Value| {
        let text = variable.as_str().unwrap_or_default();
        own.iter().any(|name| text.starts_with(name))
    };
    all.retain(|variable| wanted.contains(variable) || !is_own(variable));
    stored.insert(field.to_owned(), json!(all));
}

/// Podman writes which of its defaults were dropped, which says nothing of those that are left.
/// Its own API names what a container has: nothing, or an empty list.
fn capabilities(stored: &mut Fields, inspect: &Value) {
    let has_none = |key: &str| match inspect.get(key) {
        Some(Value::Null) => true,
        Some(Value::Array(all)) => all.is_empty(),
        _ => false,
    };
    if has_none("BoundingCaps") && has_none("EffectiveCaps") {
        stored.insert("HostConfig.CapDrop".to_owned(), json!(["ALL"]));
    }
}

fn annotations(stored: &mut Fields) {
    let field = "HostConfig.Annotations";
    if let Some(map) = stored.get_mut(field).and_then(Value::as_object_mut) {
        map.retain(|key, _| !ANNOTATIONS.contains(&key.as_str()));
        if map.is_empty() {
            stored.remove(field);
        }
    }
}

/// Podman stores the CPUs also as the quota and the period that they are.
fn cpus(wanted: &Fields, stored: &mut Fields) {
    let number = |fields: &Fields, field: &str| fields.get(field).and_then(Value::as_i64);
    let (Some(quota), Some(period), Some(nano)) = (
        number(stored, "HostConfig.CpuQuota"),
        number(stored, "HostConfig.CpuPeriod"),
        number(wanted, "HostConfig.NanoCpus"),
    ) else {
        return;
    };
    // Microseconds, so the last digits are cut.
    let given = i128::from(quota) * 1_000_000_000 / i128::from(period.max(1));
    let cut = 1_000_000_000 / i128::from(period.max(1));
    if (0..=cut).contains(&(i128::from(nano) - given)) {
        stored.remove("HostConfig.CpuQuota");
        stored.remove("HostConfig.CpuPeriod");
        stored.insert("HostConfig.NanoCpus".to_owned(), json!(nano));
    }
}

fn tmpfs(fields: &mut Fields) {
    for (_, value) in fields
        .iter_mut()
        .filter(|(name, _)| name.starts_with("HostConfig.Tmpfs."))
    {
        if let Some(options) = value.as_array_mut() {
            options.retain(|option| !TMPFS_OPTIONS.contains(&option.as_str().unwrap_or_default()));
        }
    }
}

/// Podman keeps all mounts as `source:target:options` in `Binds`. A mount of the wanted source whose
/// options are known and give no more is as wanted.
fn mounts(wanted: &Fields, stored: &mut Fields) {
    let Some(Value::Array(binds)) = stored.remove("HostConfig.Binds") else {
        return;
    };
    let mut others = Vec::new();
    for bind in binds {
        let field = bind.as_str().and_then(|text| {
            let (source, target, options) = split(text)?;
            let field = format!("HostConfig.Mounts.{target}");
            let wanted = wanted.get(&field)?;
            is_as_wanted(wanted, source, &options).then(|| (field, wanted.clone()))
        });
        match field {
            Some((field, value)) => drop(stored.insert(field, value)),
            None => others.push(bind),
        }
    }
    replace(
        stored,
        "HostConfig.Binds",
        &match others.is_empty() {
            true => Value::Null,
            false => json!(others),
        },
    );
}

fn split(bind: &str) -> Option<(&str, &str, Vec<&str>)> {
    let (rest, options) = bind.rsplit_once(':')?;
    let (source, target) = rest.rsplit_once(':')?;
    Some((source, target, options.split(',').collect()))
}

fn is_as_wanted(wanted: &Value, source: &str, options: &[&str]) -> bool {
    let known = options.iter().all(|option| MOUNT_OPTIONS.contains(option));
    let has = |option: &str| options.contains(&option);
    // `Mount` of bollard, without what is empty.
    let mount: Mount = serde_json::from_value(wanted.clone()).unwrap_or_default();
    let read_only = mount.read_only == Some(true);
    let is_alone = mount.bind_options.and_then(|it| it.non_recursive) == Some(true);
    let named = mount.source.unwrap_or_default();
    // Of what can only be read, the wanted name has no version.
    let same = source == named || (read_only && fields::same_share(source, &named));
    // crun binds what is mounted below the source with either.
    let takes_others = has("rbind") || has("rprivate");
    known && same && (!read_only || has("ro")) && !(is_alone && takes_others)
}

#[cfg(test)]
#[path = "podman_tests.rs"]
mod tests;
