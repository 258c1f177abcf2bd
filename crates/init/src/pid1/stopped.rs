//! The user's processes, stopped for a moment.
//!
//! All that descends from a supervisor is stopped, and exactly what was stopped here
//! goes on again: what the user had stopped stays so. Supervisors are ours, and run on:
//! a command that ends or is killed meanwhile is reported as always. The one that waits
//! for the next command is stopped with the others, so that command begins later.

use std::collections::HashMap;
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tokio::time::{Instant, sleep};

use crate::procfs::Process;
use crate::tree;

/// A process in uninterruptible sleep stops when that ends. Nobody waits longer for it,
/// and the copy then is not one of a stopped workspace.
const SETTLE: Duration = Duration::from_millis(500);

/// Between two looks. The first one is late enough that what was written before shows
/// another time than what could be written now.
const LOOK: Duration = Duration::from_millis(25);

/// Processes that go on when this is dropped.
#[derive(Debug)]
pub struct Stopped {
    ours: HashMap<Pid, Process>,
    since: Instant,
    complete: bool,
}

impl Stopped {
    /// Stops all that run. Takes half a second at most.
    pub async fn all() -> Self {
        let mut stopped = Self {
            ours: HashMap::new(),
            since: Instant::now(),
            complete: false,
        };
        let end = stopped.since + SETTLE;
        while !stopped.complete && Instant::now() < end {
            let fresh = stopped.stop_those_that_run();
            sleep(LOOK).await;
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
            // Noted first: whatever happens, it goes on again.
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

impl Drop for Stopped {
    fn drop(&mut self) {
        for process in self.ours.values() {
            tree::signal(process, Signal::CONT);
        }
    }
}

/// What runs below the supervisors; `None` when it cannot be known.
fn running() -> Option<Vec<Process>> {
    let mut all = tree::descendants(Pid::INIT).ok()?;
    all.retain(is_running);
    Some(all)
}

fn is_running(process: &Process) -> bool {
    process.parent != Some(Pid::INIT) && !process.stopped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(parent: Option<i32>, stopped: bool) -> Process {
        Process {
            pid: Pid::from_raw(7).expect("pid"),
            parent: parent.and_then(Pid::from_raw),
            dead: false,
            stopped,
            started: 1,
        }
    }

    #[test]
    fn supervisors_and_what_is_stopped_already_are_left_alone() {
        assert!(is_running(&process(Some(3), false)));
        assert!(!is_running(&process(Some(3), true)));
        assert!(!is_running(&process(Some(1), false)));
    }
}
