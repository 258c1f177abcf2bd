//! Ends the largest process before the sandbox is out of memory, where that would end the whole
//! sandbox: gVisor's kernel is itself a process of the host's, which kills it at the container's limit
//! (<https://github.com/google/gvisor/issues/2533>). On Linux the kernel ends one process itself.
//!
//! ```text
//! /proc/meminfo ─► look ─┬─ enough is free: the next look is when that could be gone
//!                        └─ not enough ─► kill the largest process of the user's ─► wait for its end
//! ```
//!
//! A program that takes memory faster than one looks is not caught: the sandbox is lost then, and its
//! server says so.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tokio::time::{Instant, sleep};

use super::cgroup::Cgroup;
use super::lifecycle::Lifecycle;
use super::reaper::Reaper;
use crate::procfs::{self, ProcessEntry};
use crate::tree;

/// What gVisor's kernel takes for itself, which counts for the limit and is not shown inside: 15 MiB in a
/// sandbox that is idle, and 30 MiB in one that has read many files (measured on the host).
const KERNEL_BYTES: u64 = 24 << 20;

/// What it takes for each process and thread (measured: 0.45 MiB).
const TASK_BYTES: u64 = 512 << 10;

/// What stays free is one part of so many of the limit, and at least so many bytes: from a look until the
/// largest process is found and has ended up to 20 ms go by.
const RESERVE: u64 = 10;
const LEAST_RESERVE: u64 = 24 << 20;

/// How fast programs take memory, at most: 1 GiB in a second. One that is faster may not be caught.
const BYTES_PER_MS: u64 = 1 << 20;

/// Between two looks, each some 0.3 ms, while something of the user's runs.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(2);
const LONGEST_INTERVAL: Duration = Duration::from_millis(50);

/// How long the memory of a process that was killed may take to be free. Then another is killed, and before
/// when more is used than at the kill, because others go on.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(1);
const GROWTH: u64 = 8 << 20;

/// Counts what it killed.
#[derive(Debug, Default)]
pub struct MemoryWatch(AtomicU64);

/// The container's memory, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Memory {
    limit: u64,
    used: u64,
}

impl MemoryWatch {
    /// How many processes were killed for memory.
    pub fn kills(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Watches until PID 1 ends.
    pub async fn run(self: Arc<Self>, cgroup: Cgroup, reaper: Reaper, lifecycle: Arc<Lifecycle>) {
        loop {
            lifecycle.in_use().await;
            // Without the kernel's word nothing can be decided.
            let Some(memory) = Memory::read() else {
                sleep(LONGEST_INTERVAL).await;
                continue;
            };
            let tasks = cgroup.tasks().unwrap_or(0);
            match memory.time_left(tasks) {
                Some(time) => sleep(time).await,
                None => self.kill_largest(&reaper, memory, tasks).await,
            }
        }
    }

    /// Kills it and waits until there is enough again.
    async fn kill_largest(&self, reaper: &Reaper, before: Memory, tasks: u64) {
        let Some(largest) = largest(&reaper.supervisors()) else {
            return sleep(LONGEST_INTERVAL).await;
        };
        tree::signal(&largest, Signal::KILL);
        self.0.fetch_add(1, Ordering::Relaxed);
        let end = Instant::now() + RELEASE_TIMEOUT;
        while Instant::now() < end {
            sleep(SHORTEST_INTERVAL).await;
            let Some(now) = Memory::read() else { continue };
            let grows = !lives(&largest) && now.used > before.used + GROWTH;
            if grows || now.time_left(tasks).is_some() {
                return;
            }
        }
    }
}

impl Memory {
    fn read() -> Option<Self> {
        Self::parse(&read("/proc/meminfo")?)
    }

    /// Of `/proc/meminfo`, whose total is the container's limit on gVisor.
    fn parse(meminfo: &str) -> Option<Self> {
        let of = |name: &str| {
            let mut lines = meminfo.lines();
            let value = lines.find_map(|line| line.strip_prefix(name))?;
            let kib: u64 = value.trim().strip_suffix(" kB")?.parse().ok()?;
            kib.checked_mul(1024)
        };
        let limit = of("MemTotal:")?;
        let used = limit.saturating_sub(of("MemFree:")?);
        Some(Self { limit, used })
    }

    /// How long it takes at least until too little is free; `None`: it is so now.
    fn time_left(self, tasks: u64) -> Option<Duration> {
        let kernel = KERNEL_BYTES + tasks.saturating_mul(TASK_BYTES);
        let reserve = (self.limit / RESERVE).max(LEAST_RESERVE);
        // Of a small limit this may be nearly all.
        let usable = self.limit.saturating_sub(kernel + reserve);
        let usable = usable.max(self.limit / 2);
        let free = usable.checked_sub(self.used).filter(|free| *free > 0)?;
        let time = Duration::from_millis(free / BYTES_PER_MS);
        Some(time.clamp(SHORTEST_INTERVAL, LONGEST_INTERVAL))
    }
}

/// The process of the user's that has the most memory.
fn largest(supervisors: &HashSet<Pid>) -> Option<ProcessEntry> {
    let all = procfs::processes().ok()?;
    let users = all
        .into_iter()
        .filter(|process| is_users(process, supervisors));
    users.max_by_key(|process| resident_pages(process.pid).unwrap_or(0))
}

/// Whether it descends from a command, and can be ended. Who has no parent was put in by the Engine.
fn is_users(process: &ProcessEntry, supervisors: &HashSet<Pid>) -> bool {
    let is_ours = process.pid == Pid::INIT || supervisors.contains(&process.pid);
    !is_ours && process.parent.is_some() && !process.dead
}

fn lives(killed: &ProcessEntry) -> bool {
    let now = procfs::process(killed.pid);
    now.is_some_and(|now| now.started == killed.started && !now.dead)
}

/// The second number of `/proc/PID/statm`.
fn resident_pages(pid: Pid) -> Option<u64> {
    let statm = read(&format!("/proc/{}/statm", pid.as_raw_nonzero()))?;
    statm.split_ascii_whitespace().nth(1)?.parse().ok()
}

fn read(file: &str) -> Option<String> {
    std::fs::read_to_string(file).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::procfs::ExecState;

    const MIB: u64 = 1 << 20;

    #[test]
    fn the_memory_is_read_as_gvisor_prints_it() {
        let meminfo = "MemTotal:         131072 kB\nMemFree:          127988 kB\n\
            MemAvailable:     127988 kB\nBuffers:               0 kB\n";
        let memory = Memory {
            limit: 128 * MIB,
            used: 3084 << 10,
        };
        assert_eq!(Memory::parse(meminfo), Some(memory));
        assert_eq!(Memory::parse("MemTotal: 1 kB\n"), None);
        assert_eq!(Memory::parse("MemTotal: x kB\nMemFree: 1 kB\n"), None);
        assert!(read("/proc/meminfo").is_some_and(|text| Memory::parse(&text).is_some()));
    }

    fn time_left(limit: u64, used: u64, tasks: u64) -> Option<Duration> {
        let memory = Memory {
            limit: limit * MIB,
            used: used * MIB,
        };
        memory.time_left(tasks)
    }

    #[test]
    fn looks_come_faster_the_less_is_free_and_a_tenth_is_kept() {
        assert_eq!(time_left(512, 100, 10), Some(LONGEST_INTERVAL));
        // 512 without a tenth, 24 for the kernel and 5 for ten tasks: 431.
        let soon = time_left(512, 420, 10).expect("there is some left");
        assert!(soon > SHORTEST_INTERVAL && soon < LONGEST_INTERVAL);
        assert_eq!(time_left(512, 431, 10), Some(SHORTEST_INTERVAL));
        assert_eq!(time_left(512, 432, 10), None);
        assert_eq!(time_left(512, 431, 20), None, "tasks take memory too");
        assert_eq!(time_left(512, 2_000, 0), None);
    }

    #[test]
    fn a_small_sandbox_has_room_for_a_shell() {
        assert!(time_left(32, 8, 20).is_some());
        assert_eq!(time_left(32, 16, 0), None, "half of it is kept");
        assert_eq!(time_left(0, 0, 0), None);
    }

    #[test]
    fn neither_pid_1_nor_a_supervisor_nor_a_bridge_nor_the_dead_are_killed() {
        let pid = |id| Pid::from_raw(id).expect("an id");
        let process = |id, parent, dead| ProcessEntry {
            pid: pid(id),
            parent: Pid::from_raw(parent),
            group: None,
            dead,
            stopped: false,
            started: 1,
            execed: ExecState::Unknown,
        };
        let supervisors = HashSet::from([pid(7)]);
        let is_users = |id, parent, dead| is_users(&process(id, parent, dead), &supervisors);
        assert!(!is_users(1, 0, false) && !is_users(7, 1, false));
        assert!(!is_users(9, 0, false), "a bridge");
        assert!(!is_users(8, 7, true), "dead");
        assert!(is_users(8, 7, false));
        assert!(is_users(10, 1, false), "an orphan");
    }

    #[test]
    fn a_process_has_pages() {
        let own = rustix::process::getpid();
        assert!(resident_pages(own).is_some_and(|pages| pages > 0));
    }
}
