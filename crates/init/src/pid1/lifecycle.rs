//! Whether PID 1 is needed: the current activities, the idle time, and the end.
//!
//! ```text
//!          enter / leave
//!         ┌────────────┐
//!         ▼            │        retire, idle timeout
//!       idle ──────► busy       (only from idle, atomically)
//!         └───────────────────────────► ending ─► announce ─► exit
//! ```
//!
//! From `ending` on nothing is accepted, and everybody who listens is told which
//! commands had been.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use casemate_protocol::{Ending, Event, Failure, FailureExt as _, event, exit, failure::Code};
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

/// The life of this PID 1.
#[derive(Debug)]
pub struct Lifecycle {
    idle_timeout: Duration,
    state: Mutex<State>,
    changed: Notify,
    /// A call came in since somebody looked.
    used: Notify,
    /// A call begins.
    begun: Notify,
    /// How many calls used the sandbox.
    uses: Arc<AtomicU64>,
}

#[derive(Debug)]
struct State {
    busy: usize,
    /// How many of those are the user's own.
    uses: usize,
    /// When work of the user last ended; at first the start.
    quiet_since: Instant,
    /// When a call last came in.
    last_call: Instant,
    was_used: bool,
    /// Nothing is accepted any more, and the end is near.
    refusing: bool,
    ending: Option<i64>,
    /// The event that was sent to all listeners.
    announced: Option<Event>,
    listeners: Vec<mpsc::Sender<Event>>,
}

/// Something that runs. While it exists, PID 1 does not end itself.
#[derive(Debug)]
pub struct ActivityGuard {
    lifecycle: Arc<Lifecycle>,
    /// The user's own, and not for example a backup.
    is_use: bool,
}

impl Drop for ActivityGuard {
    fn drop(&mut self) {
        let mut state = self.lifecycle.state();
        state.busy -= 1;
        if self.is_use {
            state.uses -= 1;
            state.quiet_since = Instant::now();
        }
        drop(state);
        self.lifecycle.changed.notify_waiters();
    }
}

impl Lifecycle {
    /// Idle, from now on.
    pub fn new(idle_timeout: Duration) -> Self {
        let now = Instant::now();
        Self {
            idle_timeout,
            uses: Arc::default(),
            state: Mutex::new(State {
                busy: 0,
                uses: 0,
                quiet_since: now,
                last_call: now,
                was_used: false,
                refusing: false,
                ending: None,
                announced: None,
                listeners: Vec::new(),
            }),
            changed: Notify::new(),
            used: Notify::new(),
            begun: Notify::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call came in.
    ///
    /// # Errors
    /// `ENDING`: nothing is accepted any more, the call did not happen.
    pub fn enter(self: &Arc<Self>) -> Result<ActivityGuard, Failure> {
        self.begin(true)
    }

    /// As [`Self::enter`], for work that is no use of the sandbox: an idle sandbox ends at the
    /// same time with and without it.
    ///
    /// # Errors
    /// As there.
    pub fn begin_maintenance(self: &Arc<Self>) -> Result<ActivityGuard, Failure> {
        self.begin(false)
    }

    fn begin(self: &Arc<Self>, is_use: bool) -> Result<ActivityGuard, Failure> {
        let mut state = self.state();
        if state.refusing || state.ending.is_some() {
            return Err(Failure::new(Code::Ending, "the sandbox is ending itself"));
        }
        state.busy += 1;
        if is_use {
            state.uses += 1;
            state.last_call = Instant::now();
            state.was_used = true;
            self.used.notify_one();
            self.begun.notify_waiters();
            self.uses.fetch_add(1, Ordering::Relaxed);
        }
        Ok(ActivityGuard {
            lifecycle: self.clone(),
            is_use,
        })
    }

    /// Grows with each call that uses the sandbox.
    pub fn uses(&self) -> &Arc<AtomicU64> {
        &self.uses
    }

    /// Since when nothing runs; zero while something does.
    pub fn idle_for(&self) -> Duration {
        let state = self.state();
        match state.busy {
            0 => state.quiet_since.elapsed(),
            _ => Duration::ZERO,
        }
    }

    /// Whether a call ever came in.
    pub fn was_used(&self) -> bool {
        self.state().was_used
    }

    /// Whether something of the user's runs.
    pub fn is_in_use(&self) -> bool {
        self.state().uses > 0
    }

    /// Waits until something of the user's runs.
    pub async fn in_use(&self) {
        loop {
            // Before the look, so that none begins unseen in between.
            let begun = self.begun.notified();
            if self.is_in_use() {
                return;
            }
            begun.await;
        }
    }

    /// Waits for a call, if none came in since the last time.
    pub async fn used(&self) {
        self.used.notified().await;
    }

    /// When a call last came in.
    pub fn last_call(&self) -> Instant {
        self.state().last_call
    }

    /// Ends if nothing runs and nothing did for `idle_for`. `false`: busy.
    pub fn retire(&self, idle_for: Duration) -> bool {
        self.end_if_quiet_for(idle_for, exit::RETIRED)
    }

    /// Accepts nothing any more. [`Self::end`] follows when the outcomes are told.
    pub fn refuse(&self) {
        self.state().refusing = true;
    }

    /// Ends PID 1, and with it all that runs. The first code counts.
    pub fn end(&self, code: i64) {
        self.state().ending.get_or_insert(code);
        self.changed.notify_waiters();
    }

    fn end_if_quiet_for(&self, time: Duration, code: i64) -> bool {
        let mut state = self.state();
        if state.busy > 0 || state.quiet_since.elapsed() < time {
            return false;
        }
        state.ending.get_or_insert(code);
        drop(state);
        self.changed.notify_waiters();
        true
    }

    /// Waits for the end, by [`Self::retire`] or by the idle timeout. Returns
    /// the code to exit with.
    pub async fn ended(&self) -> i64 {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let (busy, quiet_since) = {
                let state = self.state();
                if let Some(code) = state.ending {
                    return code;
                }
                (state.busy > 0, state.quiet_since)
            };
            if busy {
                changed.await;
                continue;
            }
            tokio::select! {
                () = changed => {}
                () = tokio::time::sleep_until(quiet_since + self.idle_timeout) => {
                    self.end_if_quiet_for(self.idle_timeout, exit::IDLE_TIMEOUT);
                }
            }
        }
    }

    /// Events for one connection: also for one that comes when the end was announced,
    /// or its server would not know that a command sent over it is not run.
    pub fn listen(&self) -> mpsc::Receiver<Event> {
        let (sender, receiver) = mpsc::channel(1);
        let mut state = self.state();
        state.listeners.retain(|listener| !listener.is_closed());
        match &state.announced {
            // The only event there is: the channel has room.
            Some(ending) => drop(sender.try_send(ending.clone())),
            None => state.listeners.push(sender),
        }
        receiver
    }

    /// Tells everybody who listens that this is the end.
    pub fn announce(&self, accepted: Vec<String>, code: i64) {
        let exit_code = u32::try_from(code).unwrap_or(u32::MAX);
        let ending = Event {
            event: Some(event::Event::Ending(Ending {
                accepted,
                exit_code,
            })),
        };
        let mut state = self.state();
        for listener in std::mem::take(&mut state.listeners) {
            // As above.
            let _ = listener.try_send(ending.clone());
        }
        state.announced = Some(ending);
    }
}

/// Whole milliseconds.
pub fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lifecycle() -> Arc<Lifecycle> {
        Arc::new(Lifecycle::new(Duration::from_secs(900)))
    }

    #[tokio::test(start_paused = true)]
    async fn it_ends_by_itself_when_nothing_happened_for_the_idle_timeout() {
        let lifecycle = lifecycle();
        let start = Instant::now();
        assert_eq!(lifecycle.ended().await, exit::IDLE_TIMEOUT);
        assert_eq!(start.elapsed().as_secs(), 900);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_no_use_keeps_it_only_as_long_as_it_lasts() {
        let lifecycle = lifecycle();
        let start = Instant::now();
        let (minutes, called) = (|n: u64| Duration::from_secs(60 * n), lifecycle.last_call());
        tokio::time::advance(minutes(14)).await;
        let backup = lifecycle.begin_maintenance().expect("accepted");
        tokio::time::advance(minutes(10)).await;
        assert!(!lifecycle.retire(Duration::ZERO));
        drop(backup);
        assert_eq!(lifecycle.ended().await, exit::IDLE_TIMEOUT);
        assert_eq!(
            (start.elapsed(), lifecycle.last_call()),
            (minutes(24), called)
        );
        assert!(!lifecycle.was_used());
    }

    #[tokio::test(start_paused = true)]
    async fn it_never_ends_while_something_runs() {
        let lifecycle = lifecycle();
        let busy = lifecycle.enter().expect("accepted");
        let waiting = tokio::time::timeout(Duration::from_secs(10_000), lifecycle.ended());
        assert!(waiting.await.is_err());
        assert!(!lifecycle.retire(Duration::ZERO));
        drop(busy);
        let start = Instant::now();
        assert_eq!(lifecycle.ended().await, exit::IDLE_TIMEOUT);
        assert_eq!(start.elapsed().as_secs(), 900);
    }

    #[tokio::test(start_paused = true)]
    async fn who_retires_it_waits_for_the_quiet_that_was_asked_for() {
        let lifecycle = lifecycle();
        assert!(!lifecycle.retire(Duration::from_secs(30)));
        tokio::time::advance(Duration::from_secs(31)).await;
        assert!(lifecycle.retire(Duration::from_secs(30)));
        assert_eq!(lifecycle.ended().await, exit::RETIRED);
    }

    #[tokio::test]
    async fn after_the_end_nothing_is_accepted_and_listeners_know_what_was() {
        let lifecycle = lifecycle();
        let mut events = lifecycle.listen();
        assert!(lifecycle.retire(Duration::ZERO));
        let refused = lifecycle.enter().expect_err("refused");
        assert_eq!(refused.code(), Code::Ending);
        lifecycle.announce(vec!["a".into()], exit::RETIRED);
        let Some(event::Event::Ending(ending)) = events.recv().await.and_then(|e| e.event) else {
            panic!("no ending");
        };
        assert_eq!(ending.accepted, ["a"]);
        assert_eq!(i64::from(ending.exit_code), exit::RETIRED);
        // A late listener gets it too.
        let late = lifecycle.listen().recv().await.and_then(|e| e.event);
        assert_eq!(late, Some(event::Event::Ending(ending)));
    }
}
