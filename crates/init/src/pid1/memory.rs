//! How often the kernel killed for memory in this container, as the cgroup
//! counts it.

use std::sync::LazyLock;

/// Where the counter is: version 2, then version 1 (cgroups(7)).
const FILES: [&str; 2] = [
    "/sys/fs/cgroup/memory.events",
    "/sys/fs/cgroup/memory/memory.oom_control",
];

/// The file that is there; looked for once.
static FILE: LazyLock<Option<&str>> =
    LazyLock::new(|| FILES.into_iter().find(|file| std::fs::exists(file).unwrap_or(false)));

/// Kills so far; 0 where nothing counts them.
pub fn oom_kills() -> u64 {
    let text = FILE.and_then(|file| std::fs::read_to_string(file).ok());
    text.and_then(|text| parse(&text)).unwrap_or(0)
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
