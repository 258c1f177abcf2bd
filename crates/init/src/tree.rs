//! Process trees: finds the descendants of a supervisor, and ends a tree.

use std::collections::{HashMap, HashSet};
use std::io;
use std::time::Instant;

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open, pidfd_send_signal};

use crate::procfs::{self, ProcessEntry};

/// Living descendants of `root`, without `root` itself.
///
/// The supervisor is a subreaper, so that double forks and new sessions stay
/// below it.
///
/// # Errors
/// When they cannot be known now.
pub fn descendants(root: Pid) -> io::Result<Vec<ProcessEntry>> {
    Ok(below(&procfs::processes()?, root))
}

/// The children of `parent`, which has one thread: also those that have ended and were not
/// reaped.
///
/// # Errors
/// When they cannot be known: `parent` is gone.
pub fn children(parent: Pid) -> io::Result<Vec<Pid>> {
    let id = parent.as_raw_nonzero();
    if let Ok(children) = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")) {
        let children = children.split_ascii_whitespace().map(str::parse);
        let children: Result<Vec<i32>, _> = children.collect();
        let children = children.map_err(io::Error::other)?;
        return Ok(children.into_iter().filter_map(Pid::from_raw).collect());
    }
    // A kernel without CONFIG_PROC_CHILDREN.
    let all = procfs::processes()?;
    if !all.iter().any(|process| process.pid == parent) {
        return Err(io::ErrorKind::NotFound.into());
    }
    let children = all.iter().filter(|process| process.parent == Some(parent));
    Ok(children.map(|process| process.pid).collect())
}

/// How many processes live below `root`; 1 where they cannot be counted.
pub fn size(root: Pid) -> u32 {
    procfs::processes().map_or(1, |all| size_in(&all, root))
}

/// How many of `all` live below `root`.
pub fn size_in(all: &[ProcessEntry], root: Pid) -> u32 {
    u32::try_from(below(all, root).len()).unwrap_or(u32::MAX)
}

/// Children of PID 1 that are not among `ours`: orphans of a supervisor that
/// user code killed. Their own children follow when they are gone.
///
/// # Errors
/// When they cannot be known now.
pub fn orphans(ours: &HashSet<Pid>) -> io::Result<Vec<ProcessEntry>> {
    let mut all = procfs::processes()?;
    all.retain(|process| {
        process.parent == Some(Pid::INIT) && !process.dead && !ours.contains(&process.pid)
    });
    Ok(all)
}

fn below(all: &[ProcessEntry], root: Pid) -> Vec<ProcessEntry> {
    let mut children: HashMap<Pid, Vec<&ProcessEntry>> = HashMap::new();
    for process in all {
        if let Some(parent) = process.parent {
            children.entry(parent).or_default().push(process);
        }
    }
    let mut found = Vec::new();
    let mut seen = HashSet::from([root]);
    let mut todo = vec![root];
    while let Some(parent) = todo.pop() {
        for child in children.get(&parent).into_iter().flatten() {
            // A snapshot that is taken while processes start and end may have a circle.
            if seen.insert(child.pid) {
                todo.push(child.pid);
                if !child.dead {
                    found.push(**child);
                }
            }
        }
    }
    found
}

/// Sends `signal` to exactly this process: its id may be another's by now, so
/// it is pinned by a pidfd and its start time compared. Where no pidfd can be had
/// (a kernel that lacks them, no descriptors left) the comparison alone must do.
pub fn signal(process: &ProcessEntry, signal: Signal) {
    let pinned = pidfd_open(process.pid, PidfdFlags::empty());
    let same = procfs::process(process.pid).is_none_or(|now| now.started == process.started);
    let _ = match pinned {
        Ok(fd) if same => pidfd_send_signal(fd, signal),
        Err(errno) if same && errno != Errno::SRCH => kill_process(process.pid, signal),
        _ => Ok(()),
    };
}

/// Stops everything below `root` and then kills it, until `end`. One pass; `true` when there
/// certainly was nothing to kill.
///
/// Stopping first keeps a fork bomb at its limit of processes, where it cannot
/// fork, instead of making room for it with every kill.
pub fn kill_pass(root: Pid, end: Instant) -> bool {
    let mut known: HashSet<Pid> = HashSet::new();
    for _ in 0..STOP_ROUND_LIMIT {
        let Ok(mut fresh) = descendants(root) else {
            return false;
        };
        fresh.retain(|process| known.insert(process.pid));
        if fresh.is_empty() {
            break;
        }
        for process in fresh.iter().take_while(|_| Instant::now() < end) {
            signal(process, Signal::STOP);
        }
        // On gVisor a look at some hundred processes takes as long as all passes may.
        if Instant::now() >= end {
            return false;
        }
    }
    let Ok(tree) = descendants(root) else {
        return false;
    };
    for process in &tree {
        signal(process, Signal::KILL);
    }
    tree.is_empty()
}

/// Rounds of stopping before the kill: a tree that outruns them is met again in
/// the next pass.
const STOP_ROUND_LIMIT: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::procfs::ExecState;

    fn process(pid: i32, parent: i32, dead: bool) -> ProcessEntry {
        ProcessEntry {
            pid: Pid::from_raw(pid).expect("pid"),
            parent: Pid::from_raw(parent),
            group: None,
            dead,
            stopped: false,
            started: 1,
            execed: ExecState::Yes,
        }
    }

    #[test]
    fn a_parent_has_a_child_until_that_is_reaped() {
        let mut parent = std::process::Command::new("sh")
            .args(["-c", "true & exec sleep 60"])
            .spawn()
            .expect("spawned");
        let pid = Pid::from_raw(i32::try_from(parent.id()).expect("id")).expect("id");
        // `exec` forgets the child, so that it is not reaped.
        let end = std::time::Instant::now() + std::time::Duration::from_secs(10);
        let has_child =
            std::iter::from_fn(|| (std::time::Instant::now() < end).then_some(())).any(|()| {
                std::thread::yield_now();
                let all = procfs::processes().expect("processes");
                all.iter()
                    .any(|process| process.parent == Some(pid) && process.dead)
            });
        assert!(has_child && children(pid).expect("children").len() == 1);
        parent.kill().expect("killed");
        parent.wait().expect("reaped");
        assert!(
            children(pid).is_err(),
            "nothing is known of one that is gone"
        );
        let mut single = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .expect("spawned");
        let pid = Pid::from_raw(i32::try_from(single.id()).expect("id")).expect("id");
        assert_eq!(children(pid).expect("children"), []);
        single.kill().expect("killed");
        single.wait().expect("reaped");
    }

    #[test]
    fn a_tree_is_followed_through_the_dead_and_ends_in_circles() {
        let all = [
            process(2, 1, false),
            process(3, 2, true),
            process(4, 3, false),
            process(5, 6, false),
            process(6, 5, false),
            process(7, 1, false),
        ];
        let pids = |root| {
            let mut pids: Vec<i32> = below(&all, Pid::from_raw(root).expect("pid"))
                .iter()
                .map(|process| process.pid.as_raw_nonzero().get())
                .collect();
            pids.sort_unstable();
            pids
        };
        assert_eq!(pids(2), [4]);
        assert_eq!(pids(1), [2, 4, 7]);
        assert_eq!(pids(5), [6]);
    }
}
