//! How many connections a user has at a time, how fast they begin, and how fast names are asked
//! for.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use casemate_egress::Reason;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_stream::Stream;

use super::budget::DayBudget;

/// Connections of a user that are open.
pub const CONNECTION_LIMIT: usize = 64;

/// Connections of a user that begin in any second.
pub const START_LIMIT: usize = 20;

/// How long one waits where a limit is reached. casemate-init waits for the server for 10 s.
pub const WAIT_TIMEOUT: Duration = Duration::from_secs(9);

/// Questions of a sandbox in any second. More than casemate-init sends: its second and this one
/// do not begin together, and a new carrier is asked again.
pub const QUESTION_LIMIT: usize = 4 * casemate_egress::sandbox::QUESTION_RATE;

/// The window of the limits.
const WINDOW: Duration = Duration::from_secs(1);

/// What one user may take, in all of their sandboxes.
#[derive(Debug, Default)]
pub struct UserLimits {
    /// Connections.
    pub connections: ConnectionLimits,
    /// Bytes.
    pub budget: DayBudget,
}

/// The connections of one user.
#[derive(Debug)]
pub struct ConnectionLimits {
    open: Arc<Semaphore>,
    /// When the last ones began. A fair lock: the one that waits longest begins next.
    begun: Mutex<VecDeque<Instant>>,
}

/// One open connection. To be held for as long as anything of it takes memory:
/// `PermittedStream`.
#[derive(Debug)]
pub struct ConnectionPermit(#[allow(dead_code, reason = "held")] OwnedSemaphorePermit);

/// A stream that holds a permit until it is dropped. hyper keeps the body of a call that the other
/// side does not read, also after the call's answer was dropped.
#[derive(Debug)]
pub struct PermittedStream<S, P> {
    stream: S,
    _permit: P,
}

impl<S, P> PermittedStream<S, P> {
    /// Holds `permit` until it is dropped.
    pub const fn new(stream: S, permit: P) -> Self {
        Self {
            stream,
            _permit: permit,
        }
    }
}

impl<S: Stream + Unpin, P: Unpin> Stream for PermittedStream<S, P> {
    type Item = S::Item;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<S::Item>> {
        Pin::new(&mut self.stream).poll_next(context)
    }
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            open: Arc::new(Semaphore::new(CONNECTION_LIMIT)),
            begun: Mutex::default(),
        }
    }
}

impl ConnectionLimits {
    /// Waits until one more may begin.
    ///
    /// # Errors
    /// [`Reason::Limit`] after [`WAIT_TIMEOUT`].
    pub async fn admit(&self) -> Result<ConnectionPermit, Reason> {
        let admitted = async {
            let permit = self.open.clone().acquire_owned().await.ok()?;
            let mut begun = self.begun.lock().await;
            if begun.len() == START_LIMIT
                && let Some(first) = begun.front().copied()
            {
                sleep_until(first + WINDOW).await;
                begun.pop_front();
            }
            begun.push_back(Instant::now());
            Some(ConnectionPermit(permit))
        };
        let admitted = timeout(WAIT_TIMEOUT, admitted).await;
        admitted.ok().flatten().ok_or(Reason::Limit)
    }
}

/// The questions of one sandbox. casemate-init keeps the same bound, and may have been replaced.
#[derive(Debug, Default)]
pub struct QuestionLimits(VecDeque<Instant>);

impl QuestionLimits {
    /// Whether one more may be asked now.
    pub fn admit(&mut self) -> bool {
        let is_old = |at: &Instant| at.elapsed() >= WINDOW;
        while self.0.front().is_some_and(is_old) {
            self.0.pop_front();
        }
        let is_admitted = self.0.len() < QUESTION_LIMIT;
        if is_admitted {
            self.0.push_back(Instant::now());
        }
        is_admitted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_65th_waits_for_one_that_ends_and_is_refused_after_9_s() {
        let limits = ConnectionLimits::default();
        let mut open = Vec::new();
        for _ in 0..CONNECTION_LIMIT {
            open.push(limits.admit().await.expect("admitted"));
        }
        let begin = Instant::now();
        assert_eq!(limits.admit().await.err(), Some(Reason::Limit));
        assert_eq!(begin.elapsed(), WAIT_TIMEOUT);
        let (next, ()) = tokio::join!(limits.admit(), async {
            tokio::time::sleep(Duration::from_secs(5)).await;
            open.pop();
        });
        assert!(next.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn questions_are_bounded_in_any_second() {
        let mut limits = QuestionLimits::default();
        assert!((0..QUESTION_LIMIT).all(|_| limits.admit()) && !limits.admit());
        tokio::time::advance(WINDOW).await;
        assert!(limits.admit());
    }

    #[tokio::test(start_paused = true)]
    async fn twenty_begin_in_any_second() {
        let limits = ConnectionLimits::default();
        let begin = Instant::now();
        let mut times = Vec::new();
        for _ in 0..3 * START_LIMIT {
            drop(limits.admit().await.expect("admitted"));
            times.push(begin.elapsed());
        }
        for (early, late) in times.iter().zip(&times[START_LIMIT..]) {
            assert!(*late - *early >= WINDOW, "{early:?} {late:?}");
        }
        assert!(
            times[START_LIMIT - 1] < WINDOW,
            "they do not wait without need"
        );
    }
}
