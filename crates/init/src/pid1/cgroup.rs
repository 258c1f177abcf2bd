//! The counters of the container's cgroup. Each file is at one of two places: that of version 2,
//! or that of version 1 (cgroups(7)).

/// Its files that exist.
#[derive(Clone, Copy, Debug)]
pub struct Cgroup {
    memory_events: Option<&'static str>,
    pids: Option<&'static str>,
    pids_limit: Option<&'static str>,
    memory: Option<&'static str>,
    memory_stat: Option<&'static str>,
    cpu: Option<&'static str>,
    /// Processes and threads that the user may have, where PID 1 limits them.
    tasks_limit: Option<u64>,
}

impl Cgroup {
    /// Looks for the files.
    pub fn find() -> Self {
        Self {
            memory_events: present([
                "/sys/fs/cgroup/memory.events",
                "/sys/fs/cgroup/memory/memory.oom_control",
            ]),
            pids: present([
                "/sys/fs/cgroup/pids.current",
                "/sys/fs/cgroup/pids/pids.current",
            ]),
            pids_limit: present(["/sys/fs/cgroup/pids.max", "/sys/fs/cgroup/pids/pids.max"]),
            memory: present([
                "/sys/fs/cgroup/memory.current",
                "/sys/fs/cgroup/memory/memory.usage_in_bytes",
            ]),
            memory_stat: present([
                "/sys/fs/cgroup/memory.stat",
                "/sys/fs/cgroup/memory/memory.stat",
            ]),
            // Version 2 counts microseconds in one of several lines, version 1 nanoseconds.
            cpu: present([
                "/sys/fs/cgroup/cpu.stat",
                "/sys/fs/cgroup/cpuacct/cpuacct.usage",
            ]),
            tasks_limit: None,
        }
    }

    /// The same, where PID 1 limits the user to so many processes and threads, because the kernel shows no
    /// limit of the container's.
    pub fn with_tasks_limit(self, limit: u64) -> Self {
        let tasks_limit = Some(limit);
        Self {
            tasks_limit,
            ..self
        }
    }

    /// How often the kernel killed for memory; 0 if it is not counted.
    pub fn oom_kills(&self) -> u64 {
        let events = read(self.memory_events);
        events.and_then(|text| parse(&text)).unwrap_or(0)
    }

    /// Whether more than half of the allowed processes exist.
    pub fn is_crowded(&self) -> bool {
        let limit = number(self.pids_limit).or(self.tasks_limit);
        limit.is_some_and(|limit| self.tasks().is_some_and(|now| now > limit / 2))
    }

    /// Whether there is no room for a command's processes. Where the kernel limits the container, it
    /// refuses them itself.
    pub fn is_full(&self) -> bool {
        let limit = self.tasks_limit;
        limit.is_some_and(|limit| self.tasks().is_some_and(|now| now >= limit))
    }

    /// How many processes and threads there are; `None` if they are not counted.
    pub fn tasks(&self) -> Option<u64> {
        number(self.pids)
    }

    /// Bytes charged to the container without its page cache, which the kernel reclaims before an
    /// allocation fails; 0 if they are not counted. Files in `/tmp` are memory. (`docker stats`
    /// leaves out only the inactive half of the cache.)
    pub fn memory(&self) -> u64 {
        let cache = read(self.memory_stat).map_or(0, |text| page_cache(&text));
        number(self.memory).unwrap_or(0).saturating_sub(cache)
    }

    /// CPU time of all that ran in the container, in milliseconds; 0 if it is not counted.
    pub fn cpu_ms(&self) -> u64 {
        let usage = read(self.cpu);
        usage.and_then(|text| milliseconds(&text)).unwrap_or(0)
    }
}

fn present(files: [&'static str; 2]) -> Option<&'static str> {
    files
        .into_iter()
        .find(|file| std::fs::exists(file).unwrap_or(false))
}

fn read(file: Option<&str>) -> Option<String> {
    std::fs::read_to_string(file?).ok()
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
    fn a_container_without_a_limit_of_the_kernels_is_full_at_that_of_pid_1() {
        let counted = std::env::temp_dir().join(format!("casemate-tasks-{}", std::process::id()));
        std::fs::write(&counted, "20\n").expect("written");
        let pids: &'static str = counted.to_str().expect("UTF-8").to_owned().leak();
        let cgroup = Cgroup {
            pids: Some(pids),
            pids_limit: None,
            ..Cgroup::find()
        };
        let with = |limit| cgroup.with_tasks_limit(limit);
        let all = [
            (cgroup.is_crowded(), cgroup.is_full()),
            (with(40).is_crowded(), with(40).is_full()),
            (with(39).is_crowded(), with(21).is_full()),
            (with(21).is_crowded(), with(20).is_full()),
        ];
        std::fs::remove_file(&counted).expect("removed");
        let none = (false, false);
        assert_eq!(all, [none, none, (true, false), (true, true)]);
    }

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
