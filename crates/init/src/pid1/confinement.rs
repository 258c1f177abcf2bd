//! What the kernel shows of the container's walls. Some Engines accept a limit or a protection and
//! do not apply it, so the server compares their word with this.
//!
//! Read once, before any code of the user runs: that code may mount nothing, but on cgroup version 1
//! some runtimes let it write files beside those of the cgroup.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use casemate_protocol::{Confinement, MountedAt, Ulimit};

/// Paths that show the host or other containers. The Engine masks those that its kernel has.
const HOST_PATHS: [&str; 7] = [
    "/proc/acpi",
    "/proc/keys",
    "/proc/kcore",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/timer_list",
    "/sys/firmware",
];

/// Paths of `/proc` through which the host is changed. Read-only, as far as the kernel has them.
const HOST_SWITCHES: [&str; 5] = [
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
];

/// An interface that is up (netdevice(7)).
const IFF_UP: u32 = 1;

/// From this many bytes on, a limit of cgroup version 1 means "no limit": the kernel then shows the
/// largest multiple of the page size.
const UNLIMITED: u64 = 1 << 62;

/// Billionths of a CPU.
const NANO_CPUS: u128 = 1_000_000_000;

/// Reads it.
pub fn read() -> Confinement {
    let status = text("/proc/self/status");
    let mut mounts = mounts(&text("/proc/self/mountinfo"));
    for mount in &mut mounts {
        mount.read_only |= is_of_a_runtime(&mount.path) && is_closed(Path::new(&mount.path));
    }
    Confinement {
        capabilities: capabilities(&status),
        no_new_privileges: field(&status, "NoNewPrivs") == Some("1"),
        uid: first_id(&status, "Uid"),
        gid: first_id(&status, "Gid"),
        memory: limit(["memory.max", "memory/memory.limit_in_bytes"]),
        memory_and_swap: memory_and_swap(),
        pids: limit(["pids.max", "pids/pids.max"]),
        nano_cpus: nano_cpus(),
        interfaces: interfaces(),
        ulimits: ulimits(&text("/proc/self/limits")),
        unmasked: unmasked(&mounts),
        mounts,
        label: text("/proc/self/attr/current").trim().to_owned(),
    }
}

fn text(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    let fields = status.lines().filter_map(|line| line.split_once(':'));
    let (_, value) = fields.into_iter().find(|(field, _)| *field == name)?;
    Some(value.trim())
}

/// All bits when a set is not shown: nothing is known of it.
fn capabilities(status: &str) -> u64 {
    let sets = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"];
    let bits = |set| {
        let bits = field(status, set);
        bits.and_then(|bits| u64::from_str_radix(bits, 16).ok())
            .unwrap_or(u64::MAX)
    };
    sets.into_iter().fold(0, |all, set| all | bits(set))
}

/// Root when it is not shown, which the server never wants.
fn first_id(status: &str, name: &str) -> u32 {
    let first = field(status, name).and_then(|ids| ids.split_whitespace().next());
    first.and_then(|id| id.parse().ok()).unwrap_or(0)
}

/// The first of the cgroup's files that exists: of version 2, or of version 1.
fn cgroup_file(files: [&str; 2]) -> Option<String> {
    let path = |file| format!("/sys/fs/cgroup/{file}");
    files
        .into_iter()
        .find_map(|file| fs::read_to_string(path(file)).ok())
}

/// `None` without a limit, which version 2 shows as `max`.
fn limit(files: [&str; 2]) -> Option<u64> {
    let bytes = cgroup_file(files)?.trim().parse().ok()?;
    (bytes < UNLIMITED).then_some(bytes)
}

/// Version 2 limits swap alone, version 1 both together.
fn memory_and_swap() -> Option<u64> {
    if let Ok(swap) = fs::read_to_string("/sys/fs/cgroup/memory.swap.max") {
        let memory = limit(["memory.max", ""])?;
        return memory.checked_add(swap.trim().parse().ok()?);
    }
    limit(["memory/memory.memsw.limit_in_bytes", ""])
}

fn nano_cpus() -> Option<u64> {
    let (quota, period) = match cgroup_file(["cpu.max", ""]) {
        Some(both) => {
            let (quota, period) = both.trim().split_once(' ')?;
            (quota.parse().ok()?, period.parse().ok()?)
        }
        None => (
            cgroup_file(["cpu/cpu.cfs_quota_us", ""])?
                .trim()
                .parse()
                .ok()?,
            cgroup_file(["cpu/cpu.cfs_period_us", ""])?
                .trim()
                .parse()
                .ok()?,
        ),
    };
    share(quota, period)
}

fn share(quota: u64, period: u64) -> Option<u64> {
    let nano = u128::from(quota) * NANO_CPUS / u128::from(period.max(1));
    u64::try_from(nano).ok()
}

/// The list is that of the process's own network namespace; whether one is up is in sysfs. One
/// whose state cannot be read counts as up.
fn interfaces() -> Vec<String> {
    let list = text("/proc/self/net/dev");
    let names = list
        .lines()
        .filter_map(|line| Some(line.split_once(':')?.0.trim()));
    let is_up = |name: &str| {
        let flags = text(&format!("/sys/class/net/{name}/flags"));
        let bits = u32::from_str_radix(flags.trim().trim_start_matches("0x"), 16);
        bits.map_or(true, |bits| bits & IFF_UP != 0)
    };
    names
        .filter(|name| *name != "lo" && is_up(name))
        .map(str::to_owned)
        .collect()
}

/// The lines of /proc/self/limits that the Engine is asked for, by its names.
fn ulimits(limits: &str) -> Vec<Ulimit> {
    let names = [
        ("core", "Max core file size"),
        ("nofile", "Max open files"),
        ("fsize", "Max file size"),
        ("memlock", "Max locked memory"),
    ];
    let hard = |title: &str| {
        let line = limits.lines().find_map(|line| line.strip_prefix(title))?;
        line.split_whitespace().nth(1)?.parse().ok()
    };
    let each = names.into_iter().filter_map(|(name, title)| {
        let (name, hard) = (name.to_owned(), hard(title)?);
        Some(Ulimit { name, hard })
    });
    each.collect()
}

/// The last mount at each path: it is on top of the others.
fn mounts(mountinfo: &str) -> Vec<MountedAt> {
    let mut found: Vec<MountedAt> = Vec::new();
    for mount in mountinfo.lines().filter_map(mount) {
        found.retain(|below| below.path != mount.path);
        found.push(mount);
    }
    found
}

/// A line of mountinfo: point and options are the fifth and sixth field, and after a dash come the
/// type, the source and the file system's own options (proc_pid_mountinfo(5)).
fn mount(line: &str) -> Option<MountedAt> {
    let (mount, system) = line.split_once(" - ")?;
    let mount: Vec<&str> = mount.split(' ').collect();
    let system: Vec<&str> = system.split(' ').collect();
    let (options, of_system) = (mount.get(5)?, system.get(2)?);
    let has_ro = |options: &str| options.split(',').any(|option| option == "ro");
    let size = of_system
        .split(',')
        .find_map(|option| option.strip_prefix("size="));
    Some(MountedAt {
        path: (*mount.get(4)?).to_owned(),
        file_system: (*system.first()?).to_owned(),
        read_only: has_ro(options) || has_ro(of_system),
        size: size.and_then(bytes),
    })
}

/// A tmpfs writes its size in KiB: `131072k`.
fn bytes(size: &str) -> Option<u64> {
    size.strip_suffix('k')?
        .parse::<u64>()
        .ok()?
        .checked_mul(1024)
}

/// Whether it may be a file that a runtime has put over one of the image, such as `/etc/hosts`. What the
/// kernel has in these places is read as it shows it.
fn is_of_a_runtime(path: &str) -> bool {
    let own = ["/proc", "/sys", "/dev"];
    !own.iter().any(|kernel| Path::new(path).starts_with(kernel))
}

/// Whether it is a file of another that this user may not write: by its mode, or as they cannot come to
/// it. A directory never is.
fn is_closed(path: &Path) -> bool {
    let own = rustix::process::geteuid().as_raw();
    if fs::metadata(path).is_ok_and(|file| file.uid() == own) {
        return false;
    }
    let opened = OpenOptions::new().write(true).open(path);
    opened.is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
}

/// A path is masked by a mount on it, and one that can change the host by a read-only mount.
fn unmasked(mounts: &[MountedAt]) -> Vec<String> {
    let on = |path: &str| mounts.iter().find(|mount| mount.path == path);
    let exists = |path: &&str| fs::symlink_metadata(path).is_ok();
    let shown = HOST_PATHS.into_iter().filter(|path| on(path).is_none());
    let writable = HOST_SWITCHES
        .into_iter()
        .filter(|path| on(path).is_none_or(|mount| !mount.read_only));
    shown
        .chain(writable)
        .filter(exists)
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
#[path = "confinement_tests.rs"]
mod tests;
