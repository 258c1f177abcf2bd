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

static MEMORY_STAT: LazyLock<Option<&str>> = LazyLock::new(|| {
    present([
        "/sys/fs/cgroup/memory.stat",
        "/sys/fs/cgroup/memory/memory.stat",
    ])
});

/// Version 2 counts microseconds in one of several lines, version 1 nanoseconds.
static CPU: LazyLock<Option<&str>> = LazyLock::new(|| {
    present([
        "/sys/fs/cgroup/cpu.stat",
        "/sys/fs/cgroup/cpuacct/cpuacct.usage",
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

/// Bytes charged to the container without its page cache, which the kernel takes back before
/// anything fails; 0 where nothing counts them. What is in `/tmp` is memory. (`docker stats`
/// leaves out the inactive half of the cache alone.)
pub fn memory() -> u64 {
    let cache = read(*MEMORY_STAT).map_or(0, |text| page_cache(&text));
    number(*MEMORY).unwrap_or(0).saturating_sub(cache)
}

/// Version 1 has the cgroup's own pages under these names too, and with `total_` those below
/// it, as usage counts them.
fn page_cache(text: &str) -> u64 {
    let of = |name: &str| {
        let mut lines = text.lines().filter_map(|line| line.split_once(' '));
        let found = lines.find(|(key, _)| *key == name);
        found.and_then(|(_, bytes)| bytes.trim().parse::<u64>().ok())
    };
    let both = |[active, inactive]: [&str; 2]| Some(of(active)?.saturating_add(of(inactive)?));
    both(["total_active_file", "total_inactive_file"])
        .or_else(|| both(["active_file", "inactive_file"]))
        .unwrap_or(0)
}

/// CPU time of all that ran in the container, in milliseconds; 0 where nothing counts it.
pub fn cpu_ms() -> u64 {
    read(*CPU).and_then(|text| milliseconds(&text)).unwrap_or(0)
}

fn milliseconds(text: &str) -> Option<u64> {
    let usage = text
        .lines()
        .find_map(|line| line.strip_prefix("usage_usec "));
    match usage {
        Some(microseconds) => Some(microseconds.trim().parse::<u64>().ok()? / 1_000),
        None => Some(text.trim().parse::<u64>().ok()? / 1_000_000),
    }
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
        let v2 = "usage_usec 1234567\nuser_usec 1000000\n";
        assert_eq!(milliseconds(v2), Some(1_234));
        assert_eq!(milliseconds("1234567890\n"), Some(1_234));
        assert_eq!(milliseconds("nr_periods 0\n"), None);
        let v2 = "anon 9\ninactive_file 200\nactive_file 30\n";
        assert_eq!(page_cache(v2), 230);
        let v1 = "inactive_file 2\nactive_file 3\ntotal_inactive_file 20\ntotal_active_file 30\n";
        assert_eq!(page_cache(v1), 50);
        assert_eq!(page_cache("anon 9\n"), 0);
    }
}
