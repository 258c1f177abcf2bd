//! Checks the Engine's host: storage, limits, confinement, free space.

use super::{Finding, chain};
use crate::config::{Bytes, Config, Quantity as _};
use crate::engine::{Capabilities, Engine, EngineKind, Quota};
use crate::provision::BindError;

/// Parts of the names of runtimes that run code on the host's kernel, so that the kernel's answers
/// inside are true. gVisor takes no seccomp profile without `--oci-seccomp`, Kata takes none, and
/// both limit a sandbox from outside.
const SAME_KERNEL: [&str; 3] = ["runc", "crun", "nvidia"];

/// Whether this runtime runs another kernel between the code and the host's.
pub(super) fn is_other_kernel(runtime: &str) -> bool {
    !SAME_KERNEL.iter().any(|name| runtime.contains(name))
}

/// The host's capabilities, as its Engine reports them.
pub async fn look(engine: &Engine) -> Vec<Finding> {
    let capabilities = match engine.capabilities().await {
        Ok(capabilities) => capabilities,
        Err(error) => return vec![Finding::error("host", chain(&error))],
    };
    let mut found = judge(&capabilities);
    found.push(match engine.quota().await {
        Ok(quota) => of_quota(quota),
        Err(error) => Finding::warning("quota", chain(&error)),
    });
    found
}

fn judge(host: &Capabilities) -> Vec<Finding> {
    let mut found = vec![storage(host), cgroups(host)];
    found.extend(swap(host));
    found.extend([
        seccomp(host),
        labels(host),
        namespaces(host),
        runtimes(host),
    ]);
    found
}

fn storage(host: &Capabilities) -> Finding {
    let driver = &host.storage_driver;
    if driver == "vfs" {
        let said = "the storage driver vfs copies the whole image for every sandbox";
        return Finding::warning("storage", said).fix(match host.kind {
            EngineKind::Docker => "use overlay2 (\"storage-driver\" in daemon.json)",
            EngineKind::Podman => "use overlay (driver in storage.conf)",
            EngineKind::Kubernetes => "use overlayfs on the nodes",
        });
    }
    Finding::ok(
        "storage",
        format!("storage driver {driver}, in {}", host.root_dir),
    )
}

fn of_quota(quota: Quota) -> Finding {
    match quota {
        Quota::Volume => Finding::ok("quota", "each workspace has a size (CASEMATE_QUOTA)"),
        Quota::None => {
            let said =
                "the Engine cannot limit the size of volumes: a user's commands can fill its disk";
            let fix = "keep the Engine's data on XFS with project quotas (mount option pquota); until \
                        then watch the disk";
            Finding::warning("quota", said).fix(fix)
        }
    }
}

fn cgroups(host: &Capabilities) -> Finding {
    let version = host.cgroup_version;
    let missing = host.missing_limits();
    if !missing.is_empty() {
        let said = format!(
            "the Engine, on cgroup v{version}, cannot limit the {} of a sandbox: every sandbox is refused",
            missing.join(", ")
        );
        return Finding::error("cgroups", said).fix(host.how_to_limit());
    }
    let said = format!("cgroup v{version} limits memory, CPU time and processes");
    if version == 1 {
        return Finding::note(
            "cgroups",
            format!("{said}; it works, but distributions are moving to v2"),
        );
    }
    Finding::ok("cgroups", said)
}

/// Says nothing where memory has no limit either: then there is no sandbox.
fn swap(host: &Capabilities) -> Option<Finding> {
    if !host.memory_limit {
        return None;
    }
    if host.swap_limit {
        return Some(Finding::ok("swap", "sandboxes use no swap"));
    }
    let said = "the kernel lets a sandbox use as much swap as it has memory";
    Some(Finding::warning("swap", said).fix("boot with swapaccount=1, or have no swap"))
}

fn seccomp(host: &Capabilities) -> Finding {
    if host.seccomp {
        return Finding::ok(
            "seccomp",
            "system calls are filtered, by Casemate's own profile",
        );
    }
    let said = "the Engine cannot filter system calls, and refuses every sandbox";
    Finding::error("seccomp", said).fix("use a kernel and an Engine with seccomp")
}

fn labels(host: &Capabilities) -> Finding {
    match (host.apparmor, host.selinux) {
        (true, _) => Finding::ok("lsm", "the Engine has AppArmor to confine sandboxes with"),
        (_, true) => Finding::ok("lsm", "the Engine has SELinux to confine sandboxes with"),
        _ => Finding::note(
            "lsm",
            "neither AppArmor nor SELinux confines sandboxes in addition",
        ),
    }
}

fn namespaces(host: &Capabilities) -> Finding {
    if host.rootless {
        return Finding::ok(
            "users",
            "the Engine is rootless: a uid in a sandbox is that of no account of the host. Bind mode does not work",
        );
    }
    if host.user_namespaces {
        return Finding::ok(
            "users",
            "the Engine maps ids (userns-remap): a uid in a sandbox is that of no account of the host. \
             Bind mode does not work",
        );
    }
    let wall = match host.kind {
        EngineKind::Docker => "\"userns-remap\" in daemon.json",
        EngineKind::Podman => "a rootless Podman",
        EngineKind::Kubernetes => "user namespaces of Pods",
    };
    let said = format!(
        "the Engine maps no ids: a uid in a sandbox is that uid of the host. Sandboxes have no \
         capabilities; {wall} would add another wall, but bind mode does not work with it"
    );
    Finding::note("users", said)
}

fn runtimes(host: &Capabilities) -> Finding {
    let (default, all) = (&host.default_runtime, host.runtimes.join(", "));
    let said = match host.kind {
        EngineKind::Docker => {
            format!(
                "sandboxes of the profile standard are run by {default} (the Engine has: {all})"
            )
        }
        // It lists those that its settings name, whether or not they are there.
        EngineKind::Podman | EngineKind::Kubernetes => {
            format!("sandboxes of the profile standard are run by {default}")
        }
    };
    if default.contains("kata") {
        return Finding::ok("runtime", said);
    }
    if default.contains("runsc") {
        let also = "gVisor's kernel does not protect a PID 1 of the user's own uid, so no sandbox of \
                    the profile standard runs there";
        return Finding::warning("runtime", format!("{said}; {also}"))
            .fix("set CASEMATE_PROFILE=high, or make runc the default runtime");
    }
    let also = "they share the host's kernel; for hostile strangers there is the profile high, which runs on gVisor (docs/gvisor.md)";
    Finding::note("runtime", format!("{said}; {also}"))
}

/// Whether bind mode, if some user has it, works with this Engine.
pub async fn bind(engine: &Engine, config: &Config) -> Option<Finding> {
    config.bind.as_ref()?;
    // `look` reports that it does not answer.
    let why = engine.bind_refusal().await.ok()??;
    Some(Finding::error("bind", chain(&BindError::Engine { why })))
}

/// Free space on the Engine's disk, against what must stay free.
pub async fn disk(engine: &Engine, config: &Config) -> Option<Finding> {
    Some(match engine.disk_free().await {
        Ok(Some(free)) => free_space(free, config.min_free_disk.0),
        Ok(None) => unseen_disk(config.min_free_disk.0),
        Err(error) => Finding::warning("disk", chain(&error)),
    })
}

/// PID 1 sees the disk and refuses what tools write; a new user's workspace is the server's decision.
fn unseen_disk(floor: u64) -> Finding {
    let said = "the Engine's disk cannot be seen from here";
    if floor == 0 {
        let said = format!("{said}, and nothing keeps it from being filled");
        return Finding::warning("disk", said).fix("set CASEMATE_MIN_FREE_DISK");
    }
    Finding::note(
        "disk",
        format!(
            "{said}: with less than {} free (CASEMATE_MIN_FREE_DISK) the tools write nothing, but new users are not \
             refused",
            show(floor)
        ),
    )
}

/// Bytes for people: whole MiB, from ten GiB on whole GiB.
pub(super) fn show(bytes: u64) -> String {
    let unit = if bytes < 10 << 30 { 20 } else { 30 };
    Bytes(bytes >> unit << unit).show()
}

fn free_space(free: u64, floor: u64) -> Finding {
    let said = format!(
        "{} of the Engine's disk are free, and {} must stay free (CASEMATE_MIN_FREE_DISK)",
        show(free),
        show(floor)
    );
    let fix = "remove unused images and volumes (`docker system df`, `podman system df`), or enlarge the disk";
    if free < floor {
        return Finding::error("disk", format!("{said}: writes and new users are refused"))
            .fix(fix);
    }
    if floor == 0 {
        let said = format!(
            "{} of the Engine's disk are free, but nothing keeps it from being filled",
            show(free)
        );
        return Finding::warning("disk", said).fix("set CASEMATE_MIN_FREE_DISK");
    }
    if free / 2 < floor {
        return Finding::warning("disk", said).fix(fix);
    }
    Finding::ok("disk", said)
}

#[cfg(test)]
#[path = "host_tests.rs"]
mod tests;
#[cfg(test)]
pub(super) use tests::good;
