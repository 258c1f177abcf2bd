//! The kernel's word about a container of Podman: what its PID 1 read before any code of the user
//! ran, against what Podman stored. Podman has accepted limits that it did not apply
//! (containers/podman#21575).

use casemate_protocol::{Confinement, MountedAt, WORKSPACE};
use serde_json::Value;

use crate::engine::capabilities::Capabilities;

/// The kernel keeps a limit of memory in pages and rounds it down; the largest pages of Linux have
/// 64 KiB.
const PAGE: u64 = 64 << 10;

/// File systems of the runtime's that stay writable: devices, and what only root may write.
/// `/sys/fs/cgroup` is crun's own tmpfs of 1 MiB on cgroup version 1, over which the real ones are
/// read-only; `/run/secrets` is what the host's `mounts.conf` adds. A rootless Podman mounts each
/// device.
const RUNTIMES_OWN: [&str; 13] = [
    "/dev",
    "/dev/full",
    "/dev/mqueue",
    "/dev/null",
    "/dev/pts",
    "/dev/random",
    "/dev/shm",
    "/dev/tty",
    "/dev/urandom",
    "/dev/zero",
    "/proc",
    "/run/secrets",
    "/sys/fs/cgroup",
];

/// The protections that were stored and are not real, each with what the kernel shows. `stored` is
/// an inspect.
pub(in crate::engine) fn unreal(
    stored: &Value,
    inside: Option<&Confinement>,
    engine: &Capabilities,
) -> Vec<String> {
    let Some(inside) = inside else {
        return vec!["all (the casemate-init of this sandbox is too old to say)".to_owned()];
    };
    let check = Check {
        host: &stored["HostConfig"],
        stored,
        inside,
    };
    let mut found = Vec::new();
    found.extend(check.process());
    found.extend(check.limits(engine.swap_limit));
    found.extend(check.ulimits());
    found.extend(check.files());
    if engine.apparmor && !inside.label.ends_with("(enforce)") {
        found.push(format!("AppArmor (its label is {:?})", inside.label));
    }
    found
}

struct Check<'a> {
    host: &'a Value,
    stored: &'a Value,
    inside: &'a Confinement,
}

impl Check<'_> {
    fn process(&self) -> Vec<String> {
        let Confinement {
            capabilities,
            no_new_privileges,
            uid,
            gid,
            interfaces,
            unmasked,
            ..
        } = self.inside;
        let user = self.stored["Config"]["User"].as_str().unwrap_or_default();
        let checks = [
            (
                *capabilities == 0,
                format!("no capabilities (it has {capabilities:#x})"),
            ),
            (*no_new_privileges, "no new privileges".to_owned()),
            (
                user == format!("{uid}:{gid}"),
                format!("the user {user} (it runs as {uid}:{gid})"),
            ),
            (
                interfaces.is_empty(),
                format!("no network (it has {})", interfaces.join(", ")),
            ),
            (
                unmasked.is_empty(),
                format!("masked paths ({} are open)", unmasked.join(", ")),
            ),
        ];
        failed(checks)
    }

    fn limits(&self, swap_limit: bool) -> Vec<String> {
        let wanted = |field: &str| self.host[field].as_u64().unwrap_or(0);
        let Confinement {
            memory,
            memory_and_swap,
            pids,
            nano_cpus,
            ..
        } = *self.inside;
        let rounded = |limit: Option<u64>, wanted: u64| {
            limit.is_some_and(|limit| limit <= wanted && wanted - limit < PAGE)
        };
        let cpus = |limit: u64| {
            let wanted = wanted("NanoCpus");
            limit.abs_diff(wanted) <= wanted / 10_000
        };
        failed([
            (
                rounded(memory, wanted("Memory")),
                shows("the limit of memory", memory),
            ),
            (
                !swap_limit || rounded(memory_and_swap, wanted("MemorySwap")),
                shows("the limit of memory with swap", memory_and_swap),
            ),
            (
                pids == Some(wanted("PidsLimit")),
                shows("the limit of processes", pids),
            ),
            (
                nano_cpus.is_some_and(cpus),
                shows("the limit of CPUs", nano_cpus),
            ),
        ])
    }

    fn ulimits(&self) -> Vec<String> {
        let stored = self.host["Ulimits"].as_array().into_iter().flatten();
        let checks = stored.filter_map(|limit| {
            let name = limit["Name"]
                .as_str()?
                .trim_start_matches("RLIMIT_")
                .to_lowercase();
            let mut shown = self.inside.ulimits.iter();
            let shown = shown
                .find(|shown| shown.name == name)
                .map(|shown| shown.hard);
            // Podman adds one of processes, which is the host's.
            let holds = name == "nproc" || shown == limit["Hard"].as_u64();
            Some((holds, shows(&format!("the limit {name}"), shown)))
        });
        failed(checks)
    }

    fn files(&self) -> Vec<String> {
        let is_root = |mount: &&MountedAt| mount.path == "/";
        let root = self.inside.mounts.iter().find(is_root);
        let root = (
            root.is_some_and(|mount| mount.read_only),
            "the read-only root".to_owned(),
        );
        let others = self.inside.mounts.iter().filter(|mount| !is_root(mount));
        let others = others.map(|mount| {
            let size = mount.size.map_or("without a size".to_owned(), |size| {
                format!("of {size} bytes")
            });
            let what = format!(
                "nothing writable at {} ({}, {size})",
                mount.path, mount.file_system
            );
            (self.may_be_written(mount), what)
        });
        let memory = self.host["ShmSize"].as_u64().unwrap_or(0);
        let shm = self
            .inside
            .mounts
            .iter()
            .find(|mount| mount.path == "/dev/shm");
        let shm = shm.and_then(|mount| mount.size);
        let shm = (
            shm.is_some_and(|size| size <= memory),
            shows("the size of /dev/shm", shm),
        );
        failed([root, shm].into_iter().chain(others))
    }

    /// Whether a mount is as it was asked for, where it can be written.
    fn may_be_written(&self, mount: &MountedAt) -> bool {
        let path = mount.path.as_str();
        if mount.read_only || RUNTIMES_OWN.contains(&path) || path == WORKSPACE {
            return true;
        }
        let Some(options) = self.host["Tmpfs"][path].as_str() else {
            return false;
        };
        let asked = options
            .split(',')
            .find_map(|option| option.strip_prefix("size="));
        mount.file_system == "tmpfs"
            && mount
                .size
                .zip(asked.and_then(bytes))
                .is_some_and(|(has, asked)| has <= asked)
    }
}

fn failed(checks: impl IntoIterator<Item = (bool, String)>) -> Vec<String> {
    let checks = checks.into_iter();
    checks
        .filter(|(holds, _)| !holds)
        .map(|(_, what)| what)
        .collect()
}

fn shows(what: &str, shown: Option<u64>) -> String {
    match shown {
        Some(number) => format!("{what} (the kernel has {number})"),
        None => format!("{what} (the kernel has none)"),
    }
}

/// `128m`, `64k` or a number.
fn bytes(size: &str) -> Option<u64> {
    let digits = size.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &size[digits.len()..] {
        "" => 1,
        "k" => 1 << 10,
        "m" => 1 << 20,
        "g" => 1 << 30,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

#[cfg(test)]
#[path = "kernel_tests.rs"]
mod tests;
