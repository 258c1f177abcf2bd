//! The one owner of `waitid`: tells supervisors' ends, keeps the ends of what
//! supervisors left behind, and kills orphans.
//!
//! PID 1's own children are supervisors only. Any other child is an orphan whose
//! supervisor was killed by user code; it is killed at once, and its status, if
//! it was a command, is still told.

use std::collections::{HashMap, HashSet, VecDeque};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::last_resort::LastResort;
use crate::supervisor::Ended;
use crate::sys::{self, Change, ChildEvent, Wait};
use crate::tree;

/// Ends of orphans that nobody asked for yet: a command's end may be reaped
/// before its id was read from the dead supervisor's socket.
const UNCLAIMED: usize = 256;

/// How long they are kept: the id may be another's afterwards.
const UNCLAIMED_FOR: Duration = Duration::from_secs(5);

/// Between two looks for orphans: they appear one generation after the other.
const ORPHAN_PAUSE: Duration = Duration::from_millis(2);

/// Looks for orphans before everything is killed instead.
const ORPHAN_ROUNDS: usize = 100;

/// Handle to the task that waits for children.
#[derive(Debug, Clone)]
pub struct Reaper {
    children: Arc<Mutex<Children>>,
    resort: Arc<LastResort>,
}

#[derive(Debug, Default)]
struct Children {
    supervisors: HashMap<Pid, oneshot::Sender<()>>,
    commands: HashMap<Pid, oneshot::Sender<Ended>>,
    unclaimed: VecDeque<(Pid, Ended, Instant)>,
}

impl Reaper {
    /// Starts to wait for children.
    ///
    /// # Errors
    /// When SIGCHLD cannot be listened to.
    pub fn start(resort: Arc<LastResort>) -> io::Result<Self> {
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

    /// What is done against what cannot be ended otherwise.
    pub fn resort(&self) -> &LastResort {
        &self.resort
    }

    /// Tells when this supervisor, just started, is gone, and with it
    /// everything that it had below it.
    pub fn supervisor(&self, pid: Pid) -> oneshot::Receiver<()> {
        let (gone, receiver) = oneshot::channel();
        self.children().supervisors.insert(pid, gone);
        receiver
    }

    /// Tells the end of this command, should PID 1 inherit it.
    pub fn command(&self, pid: Pid) -> oneshot::Receiver<Ended> {
        let (ended, receiver) = oneshot::channel();
        let mut children = self.children();
        let known = children
            .unclaimed
            .iter()
            .rposition(|(id, _, at)| *id == pid && at.elapsed() < UNCLAIMED_FOR);
        match known.and_then(|at| children.unclaimed.remove(at)) {
            Some((_, status, _)) => drop(ended.send(status)),
            None => drop(children.commands.insert(pid, ended)),
        }
        receiver
    }

    /// The command's end was told in another way.
    pub fn forget(&self, command: Pid) {
        self.children().commands.remove(&command);
    }

    /// Pids of all supervisors that live.
    fn supervisors(&self) -> HashSet<Pid> {
        self.children().supervisors.keys().copied().collect()
    }

    fn reap(&self) {
        // An error is ECHILD: no children at all.
        while let Ok(Some(event)) = sys::wait_any(Wait::ReapNow) {
            self.handle(&event);
        }
    }

    fn handle(&self, event: &ChildEvent) {
        if event.change == Change::Stopped {
            // Only user code stops a supervisor. It does not get to keep it.
            let _ = rustix::process::kill_process(event.pid, Signal::KILL);
            return;
        }
        let mut children = self.children();
        if let Some(gone) = children.supervisors.remove(&event.pid) {
            drop(children);
            if event.change == Change::Exited(0) {
                let _ = gone.send(());
            } else {
                tokio::spawn(self.clone().end_orphans(gone));
            }
            return;
        }
        let Some(ended) = Ended::from_event(event) else {
            return;
        };
        match children.commands.remove(&event.pid) {
            Some(command) => drop(command.send(ended)),
            None => {
                children
                    .unclaimed
                    .push_back((event.pid, ended, Instant::now()));
                let excess = children.unclaimed.len().saturating_sub(UNCLAIMED);
                children.unclaimed.drain(..excess);
            }
        }
    }

    /// A supervisor did not end by itself: what it had is PID 1's now.
    async fn end_orphans(self, gone: oneshot::Sender<()>) {
        for round in 0.. {
            let orphans = tree::orphans(&self.supervisors());
            if orphans.as_ref().is_ok_and(Vec::is_empty) {
                break;
            }
            if round == ORPHAN_ROUNDS {
                crate::complain("orphans outran their end: everything was killed");
                self.resort.take().await;
                break;
            }
            for orphan in orphans.iter().flatten() {
                tree::signal(orphan, Signal::KILL);
            }
            tokio::time::sleep(ORPHAN_PAUSE).await;
            self.reap();
        }
        let _ = gone.send(());
    }
}
