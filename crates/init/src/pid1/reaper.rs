//! The only caller of `waitid`: reports the ends of supervisors, keeps the ends of processes that
//! supervisors left, and kills orphans.
//!
//! PID 1's own children are supervisors only. Any other child is an orphan whose supervisor was
//! killed by user code. It is killed at once. If it was a command, its status is still available by
//! its id and its start time, as its id alone may belong to another process by then.

use std::collections::{HashMap, HashSet, VecDeque};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use super::kill_all::KillAll;
use crate::procfs;
use crate::supervisor::{FinalStatus, ProcessIdentity};
use crate::sys::{self, Change, ChildEvent, Wait};
use crate::tree;

/// Ends of orphans that are not claimed yet: a command may be reaped before its id was read from
/// the dead supervisor's socket.
const UNCLAIMED_LIMIT: usize = 256;

/// Between two looks for orphans: they appear one generation after the other.
const ORPHAN_INTERVAL: Duration = Duration::from_millis(2);

/// Looks for orphans before everything is killed instead.
const ORPHAN_ROUND_LIMIT: usize = 100;

/// Handle to the task that waits for children.
#[derive(Debug, Clone)]
pub struct Reaper {
    children: Arc<Mutex<Children>>,
    resort: Arc<KillAll>,
}

/// That nothing is left below a supervisor. Made in this module alone, and only of what
/// the kernel says: that it has no child, that it ended as one that has none does, or, of
/// one that was killed, that PID 1 has ended all that it inherited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TreeReaped(());

#[cfg(test)]
impl TreeReaped {
    /// For the rules that need it.
    pub fn for_tests() -> Self {
        Self(())
    }
}

#[derive(Debug, Default)]
struct Children {
    supervisors: HashMap<Pid, oneshot::Sender<TreeReaped>>,
    commands: HashMap<ProcessIdentity, oneshot::Sender<FinalStatus>>,
    unclaimed: VecDeque<(ProcessIdentity, FinalStatus)>,
}

impl Reaper {
    /// Starts to wait for children.
    ///
    /// # Errors
    /// When SIGCHLD cannot be listened to.
    pub fn start(resort: Arc<KillAll>) -> io::Result<Self> {
        let mut child_signals = signal(SignalKind::child())?;
        let reaper = Self {
            children: Arc::default(),
            resort,
        };
        let this = reaper.clone();
        tokio::spawn(async move {
            loop {
                this.reap();
                child_signals.recv().await;
            }
        });
        Ok(reaper)
    }

    fn children(&self) -> MutexGuard<'_, Children> {
        self.children.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last resort against processes that cannot be ended otherwise.
    pub fn resort(&self) -> &KillAll {
        &self.resort
    }

    /// Tells when this supervisor, just started, is gone, and with it
    /// everything that it had below it.
    pub fn supervisor(&self, pid: Pid) -> oneshot::Receiver<TreeReaped> {
        let (gone, receiver) = oneshot::channel();
        self.children().supervisors.insert(pid, gone);
        receiver
    }

    /// Looks whether nothing is left below this supervisor, which says so. `None` when
    /// something is, and when the supervisor is gone: [`Self::supervisor`] tells the rest.
    pub fn nothing_left(&self, supervisor: Pid) -> Option<TreeReaped> {
        let childless = tree::children(supervisor).is_ok_and(|all| all.is_empty());
        // A dead process has no children: PID 1 has inherited them. One that is not reaped now
        // was alive when it was checked.
        self.reap();
        let alive = self.children().supervisors.contains_key(&supervisor);
        (childless && alive).then_some(TreeReaped(()))
    }

    /// Whether this is a supervisor that was not reaped yet, so that its id is its own.
    pub fn supervises(&self, pid: Pid) -> bool {
        self.children().supervisors.contains_key(&pid)
    }

    /// Tells the end of this command, should PID 1 inherit it.
    pub fn command(&self, command: ProcessIdentity) -> oneshot::Receiver<FinalStatus> {
        let (ended, receiver) = oneshot::channel();
        let mut children = self.children();
        let known = children
            .unclaimed
            .iter()
            .rposition(|(id, _)| *id == command);
        match known.and_then(|at| children.unclaimed.remove(at)) {
            Some((_, last)) => drop(ended.send(last)),
            None => drop(children.commands.insert(command, ended)),
        }
        receiver
    }

    /// The command's end was told in another way.
    pub fn forget(&self, command: ProcessIdentity) {
        self.children().commands.remove(&command);
    }

    /// Pids of all supervisors that live.
    pub fn supervisors(&self) -> HashSet<Pid> {
        self.children().supervisors.keys().copied().collect()
    }

    fn reap(&self) {
        // An error is ECHILD: no children at all.
        while let Ok(Some(event)) = sys::wait_any(Wait::PeekNow) {
            self.handle(&event);
        }
    }

    /// Reads a process before it is reaped, while its id is still its own.
    fn handle(&self, event: &ChildEvent) {
        if event.change == Change::Stopped {
            // Only user code stops a supervisor. It does not get to keep it.
            let _ = rustix::process::kill_process(event.pid, Signal::KILL);
            let _ = sys::forget_stop(event.pid);
            return;
        }
        let mut children = self.children();
        if let Some(gone) = children.supervisors.remove(&event.pid) {
            drop(children);
            let _ = sys::reap(event.pid);
            if event.change == Change::Exited(0) {
                let _ = gone.send(TreeReaped(()));
            } else {
                tokio::spawn(self.clone().end_orphans(gone));
            }
            return;
        }
        let process = procfs::process(event.pid);
        let last = FinalStatus::of_zombie(event);
        let _ = sys::reap(event.pid);
        let (Some(process), Some(last)) = (process, last) else {
            return;
        };
        let started = ProcessIdentity::from(&process);
        match children.commands.remove(&started) {
            Some(command) => drop(command.send(last)),
            None => {
                children.unclaimed.push_back((started, last));
                let excess = children.unclaimed.len().saturating_sub(UNCLAIMED_LIMIT);
                children.unclaimed.drain(..excess);
            }
        }
    }

    /// A supervisor did not end by itself: what it had is PID 1's now.
    async fn end_orphans(self, gone: oneshot::Sender<TreeReaped>) {
        for round in 0.. {
            let orphans = tree::orphans(&self.supervisors());
            if orphans.as_ref().is_ok_and(Vec::is_empty) {
                break;
            }
            if round == ORPHAN_ROUND_LIMIT {
                crate::report_error("orphans outran their end: everything was killed");
                self.resort.take().await;
                break;
            }
            for orphan in orphans.iter().flatten() {
                tree::signal(orphan, Signal::KILL);
            }
            tokio::time::sleep(ORPHAN_INTERVAL).await;
            self.reap();
        }
        let _ = gone.send(TreeReaped(()));
    }
}
