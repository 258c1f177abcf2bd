//! How many calls of one user run at once, how many wait, and the answer to
//! one more.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use super::SandboxError;
use crate::config::limits::CALLS_WAITING_PER_USER;

/// The calls of one user. First come, first served.
#[derive(Debug, Clone)]
pub struct Admission {
    running: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
}

/// A call that may run, until it is dropped.
#[derive(Debug)]
pub struct Admitted(#[expect(dead_code, reason = "held for its Drop")] OwnedSemaphorePermit);

struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Admission {
    /// `at_once` calls run; up to [`CALLS_WAITING_PER_USER`] more wait.
    pub fn new(at_once: u32) -> Self {
        Self {
            running: Arc::new(Semaphore::new(at_once as usize)),
            waiting: Arc::default(),
        }
    }

    /// Waits for the call's turn, until `deadline`.
    ///
    /// # Errors
    /// [`SandboxError::Busy`] when too many wait already, or its turn did not come.
    pub async fn enter(&self, deadline: Instant) -> Result<Admitted, SandboxError> {
        let ahead = self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waiting = Waiting(&self.waiting);
        if ahead >= CALLS_WAITING_PER_USER {
            return Err(SandboxError::Busy { waiting: ahead });
        }
        let turn = timeout_at(deadline, self.running.clone().acquire_owned());
        match turn.await {
            Ok(Ok(permit)) => Ok(Admitted(permit)),
            // The semaphore is never closed: the time is over.
            _ => Err(SandboxError::Busy { waiting: ahead }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn later() -> Instant {
        Instant::now() + std::time::Duration::from_secs(60)
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_whose_turn_does_not_come_is_busy_at_its_deadline() {
        let admission = Admission::new(1);
        let _running = admission.enter(later()).await.expect("runs");
        let start = Instant::now();
        let refused = admission.enter(later()).await;
        assert!(matches!(refused, Err(SandboxError::Busy { .. })));
        assert_eq!(start.elapsed().as_secs(), 60);
    }

    #[tokio::test]
    async fn one_call_too_many_is_busy_and_the_others_get_their_turn() {
        let admission = Admission::new(1);
        let running = admission.enter(later()).await.expect("runs");
        let waiting: Vec<_> = (0..CALLS_WAITING_PER_USER)
            .map(|_| {
                let admission = admission.clone();
                tokio::spawn(async move { admission.enter(later()).await.map(drop) })
            })
            .collect();
        while admission.waiting.load(Ordering::Relaxed) < CALLS_WAITING_PER_USER {
            tokio::task::yield_now().await;
        }
        assert!(matches!(
            admission.enter(later()).await,
            Err(SandboxError::Busy { .. })
        ));
        drop(running);
        for call in waiting {
            call.await.expect("task").expect("its turn");
        }
        assert_eq!(admission.waiting.load(Ordering::Relaxed), 0);
    }
}
