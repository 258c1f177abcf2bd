//! How many calls run at once, how many wait, in which order, and the answer to one
//! more.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until};

use super::error::SandboxError;
use crate::config::limits::{CALLS_WAITING, CALLS_WAITING_PER_USER};

/// A queue of calls: for their turn among the user's own, or for a container of the user's.
/// First come, first served. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Admission(Arc<WaitQueue>);

#[derive(Debug)]
struct WaitQueue {
    running: Arc<Semaphore>,
    /// The tickets of calls that wait, in the order of arrival.
    waiting: Mutex<BTreeSet<u64>>,
    tickets: AtomicU64,
    /// A call left the queue.
    moved: Notify,
    /// Calls that wait in any queue of this server.
    in_all: Arc<AtomicUsize>,
}

/// A call that may run, until it is dropped.
#[derive(Debug)]
pub struct AdmissionPermit(#[expect(dead_code, reason = "held for its Drop")] OwnedSemaphorePermit);

/// A place in the line, until it is dropped.
struct QueueEntry<'a> {
    line: &'a WaitQueue,
    ticket: u64,
}

impl QueueEntry<'_> {
    fn ahead(&self) -> usize {
        self.line.waiting.lock().range(..self.ticket).count()
    }
}

impl Drop for QueueEntry<'_> {
    fn drop(&mut self) {
        self.line.waiting.lock().remove(&self.ticket);
        self.line.in_all.fetch_sub(1, Ordering::Relaxed);
        self.line.moved.notify_waiters();
    }
}

impl WaitQueue {
    fn join(&self) -> Result<QueueEntry<'_>, SandboxError> {
        let in_all = self.in_all.fetch_add(1, Ordering::Relaxed);
        let ticket = self.tickets.fetch_add(1, Ordering::Relaxed);
        self.waiting.lock().insert(ticket);
        let waiting = QueueEntry { line: self, ticket };
        let ahead = waiting.ahead();
        if ahead >= CALLS_WAITING_PER_USER {
            return Err(SandboxError::Busy { waiting: ahead });
        }
        if in_all >= CALLS_WAITING {
            return Err(SandboxError::Crowded { waiting: in_all });
        }
        Ok(waiting)
    }
}

impl Admission {
    /// `at_once` calls run; up to [`CALLS_WAITING_PER_USER`] more wait, as long as no
    /// more than [`CALLS_WAITING`] do in all lines that count in `in_all`.
    pub fn new(at_once: u32, in_all: Arc<AtomicUsize>) -> Self {
        Self(Arc::new(WaitQueue {
            running: Arc::new(Semaphore::new(at_once as usize)),
            waiting: Mutex::default(),
            tickets: AtomicU64::new(0),
            moved: Notify::new(),
            in_all,
        }))
    }

    /// Waits for the call's turn, until `deadline`. `told` is how many are ahead, when
    /// that changes.
    ///
    /// # Errors
    /// [`SandboxError::Busy`] and [`SandboxError::Crowded`] when too many wait already,
    /// [`SandboxError::NoTurn`].
    pub async fn enter(
        &self,
        deadline: Instant,
        told: impl Fn(usize),
    ) -> Result<AdmissionPermit, SandboxError> {
        let line = &*self.0;
        let came = Instant::now();
        let waiting = line.join()?;
        let turn = line.running.clone().acquire_owned();
        tokio::pin!(turn);
        let mut last = None;
        loop {
            let moved = line.moved.notified();
            tokio::pin!(moved);
            moved.as_mut().enable();
            tokio::select! {
                biased;
                // The semaphore is never closed.
                Ok(permit) = &mut turn => return Ok(AdmissionPermit(permit)),
                () = sleep_until(deadline) => return Err(SandboxError::NoTurn(came.elapsed())),
                () = std::future::ready(()), if last != Some(waiting.ahead()) => {
                    last = Some(waiting.ahead());
                    told(waiting.ahead());
                }
                () = moved => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn later() -> Instant {
        Instant::now() + std::time::Duration::from_secs(60)
    }

    fn one_at_once() -> Admission {
        Admission::new(1, Arc::default())
    }

    async fn until_waiting(admission: &Admission, count: usize) {
        while admission.0.waiting.lock().len() < count {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_whose_turn_does_not_come_says_so_at_its_deadline() {
        let admission = one_at_once();
        let _running = admission.enter(later(), |_| {}).await.expect("runs");
        let start = Instant::now();
        let refused = admission.enter(later(), |_| {}).await;
        assert!(matches!(refused, Err(SandboxError::NoTurn(_))));
        assert_eq!(start.elapsed().as_secs(), 60);
    }

    #[tokio::test]
    async fn one_call_too_many_is_busy_and_the_others_get_their_turn() {
        let admission = one_at_once();
        let running = admission.enter(later(), |_| {}).await.expect("runs");
        let waiting: Vec<_> = (0..CALLS_WAITING_PER_USER)
            .map(|_| {
                let admission = admission.clone();
                tokio::spawn(async move { admission.enter(later(), |_| {}).await.map(drop) })
            })
            .collect();
        until_waiting(&admission, CALLS_WAITING_PER_USER).await;
        assert!(matches!(
            admission.enter(later(), |_| {}).await,
            Err(SandboxError::Busy { .. })
        ));
        drop(running);
        for call in waiting {
            call.await.expect("task").expect("its turn");
        }
        assert_eq!(admission.0.waiting.lock().len(), 0);
        assert_eq!(admission.0.in_all.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn who_waits_is_told_how_many_are_ahead_and_is_served_in_order() {
        let admission = one_at_once();
        let running = admission.enter(later(), |_| {}).await.expect("runs");
        let (told, mut heard) = tokio::sync::mpsc::channel(32);
        let mut calls = Vec::new();
        for call in 0..3 {
            let (admission, told) = (admission.clone(), told.clone());
            calls.push(tokio::spawn({
                let admission = admission.clone();
                async move {
                    let said = |ahead| told.try_send((call, ahead)).expect("room");
                    let admitted = admission.enter(later(), said).await.expect("its turn");
                    told.try_send((call, usize::MAX)).expect("room");
                    drop(admitted);
                }
            }));
            until_waiting(&admission, call + 1).await;
        }
        // One in the middle gives up: those after it move up.
        calls.remove(1).abort();
        until_two_wait(&admission).await;
        drop(running);
        for call in calls {
            call.await.expect("task");
        }
        drop(told);
        let mut heard_by = [Vec::new(), Vec::new(), Vec::new()];
        while let Some((call, ahead)) = heard.recv().await {
            heard_by[call].push(ahead);
        }
        assert_eq!(heard_by[0], [0, usize::MAX]);
        assert!(heard_by[2].starts_with(&[2, 1]), "{:?}", heard_by[2]);
        assert_eq!(heard_by[2].last(), Some(&usize::MAX));
    }

    async fn until_two_wait(admission: &Admission) {
        while admission.0.waiting.lock().len() > 2 {
            tokio::task::yield_now().await;
        }
        // And the next one has looked.
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn the_lines_of_all_users_together_have_an_end() {
        let in_all = Arc::new(AtomicUsize::new(CALLS_WAITING - 1));
        let admission = Admission::new(1, in_all);
        let running = admission.enter(later(), |_| {}).await.expect("runs");
        let first = tokio::spawn({
            let admission = admission.clone();
            async move { admission.enter(later(), |_| {}).await.map(drop) }
        });
        until_waiting(&admission, 1).await;
        let refused = admission.enter(later(), |_| {}).await;
        assert!(matches!(refused, Err(SandboxError::Crowded { .. })));
        drop(running);
        first.await.expect("task").expect("its turn");
    }
}
