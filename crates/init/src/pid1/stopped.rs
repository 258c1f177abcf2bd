//! The user's processes, stopped for a moment.
//!
//! All descendants of supervisors are stopped, and exactly those that were stopped here continue
//! afterwards: a process that the user had stopped stays stopped. Supervisors run on: a command
//! that ends or is killed in this time is reported as always. The child that waits for the next
//! command is stopped with the others, so that command begins later.

use std::collections::HashMap;
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tokio::time::{Instant, sleep};

use crate::procfs::ProcessEntry;
use crate::tree;

/// A process in uninterruptible sleep stops when that ends. Nobody waits longer for it,
/// and the copy then is not one of a stopped workspace.
const STOP_TIMEOUT: Duration = Duration::from_millis(500);

/// Between two looks. The first one is late enough that what was written before shows
/// another time than what could be written now.
const CHECK_INTERVAL: Duration = Duration::from_millis(25);

/// Processes that go on when this is dropped.
#[derive(Debug)]
pub struct StoppedProcesses {
    ours: HashMap<Pid, ProcessEntry>,
    since: Instant,
    complete: bool,
}

impl StoppedProcesses {
    /// Stops all that run. Takes half a second at most.
    pub async fn all() -> Self {
        let mut stopped = Self {
            ours: HashMap::new(),
            since: Instant::now(),
            complete: false,
        };
        let end = stopped.since + STOP_TIMEOUT;
        while !stopped.complete && Instant::now() < end {
            let fresh = stopped.stop_those_that_run();
            sleep(CHECK_INTERVAL).await;
            stopped.complete = !fresh && running().is_some_and(|running| running.is_empty());
        }
        stopped
    }

    /// Whether there were some to stop, or none is known.
    fn stop_those_that_run(&mut self) -> bool {
        let Some(running) = running() else {
            return true;
        };
        for process in &running {
            // Noted first, so that it continues in any case.
            self.ours.insert(process.pid, *process);
            tree::signal(process, Signal::STOP);
        }
        !running.is_empty()
    }

    /// Whether nothing of the user's ran any more.
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// How many were stopped, and for how long until now.
    pub fn so_far(&self) -> (usize, Duration) {
        (self.ours.len(), self.since.elapsed())
    }
}

impl Drop for StoppedProcesses {
    fn drop(&mut self) {
        for process in children_first(&self.ours) {
            tree::signal(process, Signal::CONT);
        }
    }
}

/// A shell that goes on before its command finds it stopped, and does not wait for it.
fn children_first(all: &HashMap<Pid, ProcessEntry>) -> Vec<&ProcessEntry> {
    let depth = |process: &&ProcessEntry| {
        let parent = |process: &&ProcessEntry| all.get(&process.parent?);
        // At most one step per process: processes that were read at different times may form a
        // circle.
        let above = std::iter::successors(Some(*process), parent);
        above.take(all.len()).count()
    };
    let mut sorted: Vec<&ProcessEntry> = all.values().collect();
    sorted.sort_by_cached_key(|process| std::cmp::Reverse(depth(process)));
    sorted
}

/// What runs below the supervisors; `None` when it cannot be known.
fn running() -> Option<Vec<ProcessEntry>> {
    let mut all = tree::descendants(Pid::INIT).ok()?;
    all.retain(is_running);
    Some(all)
}

fn is_running(process: &ProcessEntry) -> bool {
    process.parent != Some(Pid::INIT) && !process.stopped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::procfs::ExecState;

    fn process(parent: Option<i32>, stopped: bool) -> ProcessEntry {
        ProcessEntry {
            pid: Pid::from_raw(7).expect("pid"),
            parent: parent.and_then(Pid::from_raw),
            group: None,
            dead: false,
            stopped,
            started: 1,
            execed: ExecState::Yes,
        }
    }

    #[test]
    fn children_go_on_before_their_parents_also_in_a_circle() {
        let of = |pairs: &[(i32, i32)]| {
            let process = |(pid, parent): &(i32, i32)| {
                let pid = Pid::from_raw(*pid).expect("pid");
                let process = process(Some(*parent), false);
                (pid, ProcessEntry { pid, ..process })
            };
            let all: HashMap<Pid, ProcessEntry> = pairs.iter().map(process).collect();
            let raw = |process: &ProcessEntry| process.pid.as_raw_nonzero().get();
            let sorted: Vec<i32> = children_first(&all).into_iter().map(raw).collect();
            sorted
        };
        // Ids say nothing of who is whose child: they begin again.
        assert_eq!(of(&[(90, 2), (7, 90), (50, 7), (3, 50)]), [3, 50, 7, 90]);
        assert_eq!(of(&[(5, 6), (6, 5)]).len(), 2);
    }

    #[test]
    fn supervisors_and_what_is_stopped_already_are_left_alone() {
        assert!(is_running(&process(Some(3), false)));
        assert!(!is_running(&process(Some(3), true)));
        assert!(!is_running(&process(Some(1), false)));
    }
}
