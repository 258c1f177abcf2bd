//! How many connections a user has at a time, and how fast they begin.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use casemate_egress::Reason;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until, timeout};

/// Connections of a user that are open.
pub const CONNECTION_LIMIT: usize = 64;

/// Connections of a user that begin in any second.
pub const START_LIMIT: usize = 20;

/// How long one waits where a limit is reached. casemate-init waits as long for the server.
pub const WAIT_TIMEOUT: Duration = Duration::from_secs(10);

/// The window of [`START_LIMIT`].
const WINDOW: Duration = Duration::from_secs(1);

/// The connections of one user, in all of their sandboxes.
#[derive(Debug)]
pub struct ConnectionLimits {
    open: Arc<Semaphore>,
    /// When the last ones began. A fair lock: whoever waits longest begins next.
    begun: Mutex<VecDeque<Instant>>,
}

/// One open connection. To be held for as long as anything of it takes memory.
#[derive(Debug)]
pub struct ConnectionPermit(#[allow(dead_code, reason = "held")] OwnedSemaphorePermit);

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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_65th_waits_for_one_that_ends_and_is_refused_after_10_s() {
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
