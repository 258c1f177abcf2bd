//! How many calls of one user run at once, how many wait, and the answer to
//! one more.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

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

    /// Waits for the call's turn.
    ///
    /// # Errors
    /// [`SandboxError::Busy`] when too many wait already.
    pub async fn enter(&self) -> Result<Admitted, SandboxError> {
        let ahead = self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waiting = Waiting(&self.waiting);
        if ahead >= CALLS_WAITING_PER_USER {
            return Err(SandboxError::Busy { waiting: ahead });
        }
        let permit = self.running.clone().acquire_owned().await;
        // Never closed: an error would mean that nobody may run any more.
        permit
            .map(Admitted)
            .map_err(|_| SandboxError::Busy { waiting: ahead })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_call_too_many_is_busy_and_the_others_get_their_turn() {
        let admission = Admission::new(1);
        let running = admission.enter().await.expect("runs");
        let waiting: Vec<_> = (0..CALLS_WAITING_PER_USER)
            .map(|_| {
                let admission = admission.clone();
                tokio::spawn(async move { admission.enter().await.map(drop) })
            })
            .collect();
        while admission.waiting.load(Ordering::Relaxed) < CALLS_WAITING_PER_USER {
            tokio::task::yield_now().await;
        }
        assert!(matches!(
            admission.enter().await,
            Err(SandboxError::Busy { .. })
        ));
        drop(running);
        for call in waiting {
            call.await.expect("task").expect("its turn");
        }
        assert_eq!(admission.waiting.load(Ordering::Relaxed), 0);
    }
}
