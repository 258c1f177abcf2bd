//! The last resort: kills every process of the container except PID 1, of all commands.
//!
//! A process that survives even that (in uninterruptible sleep, or frozen by the host) makes the
//! container unusable: no result may say that it is gone. PID 1 then accepts nothing more, sends
//! the outcome, and ends with
//! [`exit::STUCK`](casemate_protocol::exit::STUCK).

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use rustix::process::{Pid, test_kill_process};
use tokio::time::Instant;

use super::lifecycle::Lifecycle;
use crate::procfs::{self, ProcessEntry};
use crate::sys;

/// What the kernel may take to end what was killed: writing out a core, giving
/// back memory, a device that answers late. With all before it below the 4 s that a
/// server waits for an outcome.
const KILL_TIMEOUT: Duration = Duration::from_millis(1500);

/// Between two looks at what is left.
const CHECK_INTERVAL: Duration = Duration::from_millis(10);

/// How often it was taken, and what it left.
#[derive(Debug)]
pub struct KillAll {
    lifecycle: Arc<Lifecycle>,
    taken: AtomicU64,
    stuck: AtomicU32,
}

impl KillAll {
    /// Never taken yet.
    pub fn new(lifecycle: Arc<Lifecycle>) -> Self {
        Self {
            lifecycle,
            taken: AtomicU64::new(0),
            stuck: AtomicU32::new(0),
        }
    }

    /// Kills everything and waits until it is gone, 1.5 s at most.
    pub async fn take(&self) {
        self.taken.fetch_add(1, Ordering::Relaxed);
        let killed = procfs::processes().unwrap_or_default();
        sys::kill_everything();
        let end = Instant::now() + KILL_TIMEOUT;
        loop {
            let left = killed.iter().filter(|process| is_left(process)).count();
            if left == 0 {
                return;
            }
            if Instant::now() > end {
                crate::report_error(&format!("{left} processes outlive their kill"));
                self.stuck
                    .store(u32::try_from(left).unwrap_or(u32::MAX), Ordering::Relaxed);
                self.lifecycle.refuse();
                return;
            }
            tokio::time::sleep(CHECK_INTERVAL).await;
        }
    }

    /// How often it was used: it may have killed a command that was killed in that time.
    pub fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    /// Processes that outlived it.
    pub fn stuck(&self) -> u32 {
        self.stuck.load(Ordering::Relaxed)
    }
}

/// Whether this very process is still there and has not ended.
fn is_left(killed: &ProcessEntry) -> bool {
    // The bridge is another user's: it was not killed, and is not user code.
    if killed.pid == Pid::INIT || killed.dead || test_kill_process(killed.pid).is_err() {
        return false;
    }
    procfs::process(killed.pid).is_some_and(|now| now.started == killed.started && !now.dead)
}
