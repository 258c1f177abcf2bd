//! What the container's cgroup counts. Each file is at one of two places: that of
//! version 2, then that of version 1 (cgroups(7)).

use std::sync::LazyLock;

static MEMORY_EVENTS: LazyLock<Option<&str>> = LazyLock::new(|| {
    present([
        "/sys/fs/cgroup/memory.events",
        "/sys/fs/cgroup/memory/memory.oom_control",
    ])
});

static PIDS: LazyLock<Option<&str>> = LazyLock::new(|| {
    present([
        "/sys/fs/cgroup/pids.current",
        "/sys/fs/cgroup/pids/pids.current",
    ])
});

static PIDS_LIMIT: LazyLock<Option<&str>> =
    LazyLock::new(|| present(["/sys/fs/cgroup/pids.max", "/sys/fs/cgroup/pids/pids.max"]));

static MEMORY: LazyLock<Option<&str>> = LazyLock::new(|| {
    present([
        "/sys/fs/cgroup/memory.current",
        "/sys/fs/cgroup/memory/memory.usage_in_bytes",
    ])
});

fn present(files: [&'static str; 2]) -> Option<&'static str> {
    files
        .into_iter()
        .find(|file| std::fs::exists(file).unwrap_or(false))
}

fn read(file: Option<&str>) -> Option<String> {
    std::fs::read_to_string(file?).ok()
}

/// How often the kernel killed for memory; 0 where nothing counts it.
pub fn oom_kills() -> u64 {
    read(*MEMORY_EVENTS)
        .and_then(|text| parse(&text))
        .unwrap_or(0)
}

/// Whether more than half of the processes that there may be are there.
pub fn is_crowded() -> bool {
    match (number(*PIDS), number(*PIDS_LIMIT)) {
        (Some(now), Some(limit)) => now > limit / 2,
        _ => false,
    }
}

/// Processes and threads in the container; 0 where nothing counts them.
pub fn processes() -> u64 {
    number(*PIDS).unwrap_or(0)
}

/// Bytes charged to the container, page cache included; 0 where nothing counts them.
pub fn memory() -> u64 {
    number(*MEMORY).unwrap_or(0)
}

fn number(file: Option<&str>) -> Option<u64> {
    read(file)?.trim().parse().ok()
}

fn parse(text: &str) -> Option<u64> {
    text.lines()
        .find_map(|line| line.strip_prefix("oom_kill "))
        .and_then(|count| count.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_of_cgroups_are_read() {
        assert_eq!(parse("low 0\noom 3\noom_kill 2\n"), Some(2));
        let v1 = "oom_kill_disable 0\nunder_oom 0\noom_kill 7\n";
        assert_eq!(parse(v1), Some(7));
        assert_eq!(parse("under_oom 0\n"), None);
    }
}
