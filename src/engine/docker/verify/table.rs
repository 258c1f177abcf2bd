//! The meaning of a difference in each field.

use Rule::{AtLeast, Hardening, Identity, Limit, Mount, Neutral, Seccomp, Swap, WhereWanted};

/// How a field is compared, and what a difference is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Rule {
    /// A difference weakens.
    Hardening,
    /// A difference is another limit; a missing limit weakens.
    Limit,
    /// A difference is another version or image.
    Identity,
    /// As `Identity`, if a value is wanted.
    WhereWanted,
    /// Never compared: it cannot weaken, or another field shows it.
    Neutral,
    /// A list of paths. Fewer than these weaken.
    AtLeast(&'static [&'static str]),
    /// Memory and swap together: as `Limit` where it equals memory.
    Swap,
    /// The seccomp profile: one that allows more weakens.
    Seccomp,
    /// A mount. A difference weakens, but shared data may be missing: its first version may have
    /// come later.
    Mount,
}

/// How `field` is compared; `None` for an unknown field.
pub(super) fn rule(field: &str) -> Option<Rule> {
    let matches = |name: &str| match name.strip_suffix('*') {
        Some(prefix) => field.starts_with(prefix),
        None => field == name,
    };
    TABLE
        .iter()
        .find(|(name, _)| matches(name))
        .map(|&(_, rule)| rule)
}

/// The fields that are judged even if both sides lack them: an empty list of masked paths counts
/// as missing, and masks nothing.
pub(super) fn always<'a>() -> impl Iterator<Item = &'a str> {
    let rows = TABLE.iter().filter(|(_, rule)| matches!(rule, AtLeast(_)));
    rows.map(|&(field, _)| field)
}

/// The lists that a container must have, by field.
pub(super) fn lists() -> impl Iterator<Item = (&'static str, &'static [&'static str])> {
    TABLE.iter().filter_map(|&(field, rule)| match rule {
        AtLeast(paths) => Some((field, paths)),
        _ => None,
    })
}

/// The Engine's list since 2018. Newer versions only add to it (moby,
/// `oci/defaults.go`).
const MASKED_PATHS: &[&str] = &[
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/firmware",
];

/// As [`MASKED_PATHS`].
const READONLY_PATHS: &[&str] = &[
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
];

/// The first row that fits counts. A name that ends in `*` fits all that begin with it.
const TABLE: &[(&str, Rule)] = &[
    ("Image", Identity),
    ("Config.User", Hardening),
    ("Config.Entrypoint", Hardening),
    ("Config.Entrypoint.args", Identity),
    ("Config.Cmd", Hardening),
    ("Config.Env", Identity),
    ("Config.WorkingDir", Identity),
    ("Config.Hostname", Identity),
    ("Config.Domainname", Identity),
    ("Config.Healthcheck", Hardening),
    ("Config.StopSignal", Identity),
    ("Config.StopTimeout", Identity),
    ("Config.Tty", Identity),
    ("Config.OpenStdin", Identity),
    ("Config.StdinOnce", Identity),
    ("Config.AttachStdin", Neutral),
    ("Config.AttachStdout", Neutral),
    ("Config.AttachStderr", Neutral),
    // These two differ between servers by design.
    ("Config.Labels.io.casemate.version", Neutral),
    ("Config.Labels.io.casemate.since", Neutral),
    // The image's own are there besides.
    ("Config.Labels.*", WhereWanted),
    // By name here; `Image` has the id.
    ("Config.Image", Neutral),
    // What they lead to shows in `Mounts`.
    ("Config.Volumes", Neutral),
    // Of the image, without effect on a container without a network, or on any.
    ("Config.ExposedPorts", Neutral),
    ("Config.OnBuild", Neutral),
    ("Config.Shell", Neutral),
    ("Config.ArgsEscaped", Neutral),
    ("Config.MacAddress", Neutral),
    ("Config.NetworkDisabled", Neutral),
    // Isolation
    ("HostConfig.NetworkMode", Hardening),
    ("NetworkSettings.Networks", Hardening),
    ("HostConfig.CapDrop", Hardening),
    ("HostConfig.CapAdd", Hardening),
    ("HostConfig.SecurityOpt.seccomp", Seccomp),
    ("HostConfig.SecurityOpt.*", Hardening),
    ("AppArmorProfile", Hardening),
    ("HostConfig.Privileged", Hardening),
    ("HostConfig.Devices", Hardening),
    ("HostConfig.DeviceRequests", Hardening),
    ("HostConfig.DeviceCgroupRules", Hardening),
    ("HostConfig.ReadonlyRootfs", Hardening),
    ("HostConfig.MaskedPaths", AtLeast(MASKED_PATHS)),
    ("HostConfig.ReadonlyPaths", AtLeast(READONLY_PATHS)),
    ("HostConfig.PidMode", Hardening),
    ("HostConfig.IpcMode", Hardening),
    ("HostConfig.UTSMode", Hardening),
    ("HostConfig.CgroupnsMode", Hardening),
    ("HostConfig.UsernsMode", Hardening),
    ("HostConfig.CgroupParent", Hardening),
    ("HostConfig.Cgroup", Hardening),
    ("HostConfig.Runtime", Hardening),
    ("HostConfig.Init", Hardening),
    ("HostConfig.Sysctls", Hardening),
    ("HostConfig.Annotations", Hardening),
    ("HostConfig.GroupAdd", Hardening),
    ("HostConfig.LogConfig", Hardening),
    ("HostConfig.RestartPolicy", Hardening),
    ("HostConfig.AutoRemove", Hardening),
    ("HostConfig.Dns", Hardening),
    ("HostConfig.DnsSearch", Hardening),
    ("HostConfig.DnsOptions", Hardening),
    ("HostConfig.ExtraHosts", Hardening),
    ("HostConfig.Links", Hardening),
    ("HostConfig.PortBindings", Hardening),
    ("HostConfig.PublishAllPorts", Hardening),
    // Files
    ("HostConfig.Mounts.*", Mount),
    ("Mounts.*", Mount),
    ("HostConfig.Tmpfs.*", Hardening),
    ("HostConfig.Binds", Hardening),
    ("HostConfig.VolumesFrom", Hardening),
    ("HostConfig.VolumeDriver", Neutral),
    // Limits
    ("HostConfig.Memory", Limit),
    ("HostConfig.MemorySwap", Swap),
    ("HostConfig.NanoCpus", Limit),
    ("HostConfig.CpuQuota", Limit),
    ("HostConfig.CpuPeriod", Limit),
    ("HostConfig.PidsLimit", Limit),
    // Real-time scheduling starves the host despite any CPU limit.
    ("HostConfig.CpuRealtimePeriod", Hardening),
    ("HostConfig.CpuRealtimeRuntime", Hardening),
    ("HostConfig.Ulimits.rtprio", Hardening),
    ("HostConfig.Ulimits.nice", Hardening),
    ("HostConfig.Ulimits.*", Limit),
    ("HostConfig.ShmSize", Limit),
    ("HostConfig.StorageOpt", Limit),
    // A container that the kernel may not kill takes the host's memory, and others' lives.
    ("HostConfig.OomKillDisable", Hardening),
    ("HostConfig.OomScoreAdj", Hardening),
    // These only take away, or share out what the limits above leave.
    ("HostConfig.CpuShares", Neutral),
    ("HostConfig.CpusetCpus", Neutral),
    ("HostConfig.CpusetMems", Neutral),
    ("HostConfig.MemoryReservation", Neutral),
    ("HostConfig.MemorySwappiness", Neutral),
    ("HostConfig.KernelMemory", Neutral),
    ("HostConfig.KernelMemoryTCP", Neutral),
    ("HostConfig.Blkio*", Neutral),
    // Windows, or the docker CLI's own notes.
    ("HostConfig.Isolation", Neutral),
    ("HostConfig.ConsoleSize", Neutral),
    ("HostConfig.ContainerIDFile", Neutral),
    ("HostConfig.CpuCount", Neutral),
    ("HostConfig.CpuPercent", Neutral),
    ("HostConfig.IOMaximum*", Neutral),
];

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
