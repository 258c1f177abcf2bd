//! One command from acceptance to outcome.
//!
//! ```text
//! accepted ─► running ─┬─ it ends ──────────────► drain ─────► exited, signaled, out_of_memory
//!                      ├─ its deadline ─► end_tree ─► drain ─► timed_out
//!                      └─ Kill, unwatched ─► end_tree ─► drain ─► cancelled
//!
//! An operator's Kill also ends the processes that it left in the background.
//! ```

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use casemate_protocol::{Captured, Finished, RunningCommand};
use rustix::process::Pid;
use tokio::net::unix::pipe;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::caller::Caller;
use super::link::Link;
use super::spill::Spill;
use super::supervisors::Input;
use crate::capture::{self, Capture, Stream};

/// How long a command runs on without a watcher: a server that lost its connection is back
/// sooner, and one that died does not come back.
pub const UNWATCHED_GRACE: Duration = Duration::from_secs(10);

/// Bytes of its script that are kept for an operator who asks what runs.
const SHOWN_SCRIPT_BYTES: usize = 1024;

/// A command that PID 1 accepted.
#[derive(Debug)]
pub struct Command {
    /// Chosen by the server.
    pub id: String,
    /// Tag of the client's request; empty: none.
    tag: Bytes,
    /// The beginning of its script, and the length of the whole.
    script: (Bytes, u64),
    /// Its raw output, where a result cannot show it all.
    pub spill: Spill,
    captured: Mutex<Streams>,
    chars: usize,
    finished: watch::Sender<Option<Arc<Finished>>>,
    watchers_seen: AtomicU64,
    /// The connection over which it was last watched.
    watched_over: Mutex<Link>,
    /// How long it runs on when that broke.
    lost_ttl: Duration,
    /// Whether its outcome reached a watcher.
    pub delivered: AtomicBool,
    killed: Notify,
    /// By an operator.
    stopped: Notify,
    /// The attached caller; `None`: the output is kept for the result.
    caller: Option<Caller>,
    /// Its caller was told that it still runs.
    detached: AtomicBool,
    started: Instant,
    /// What it starts descends from this process; 0 before there is one.
    supervisor: AtomicI32,
    /// Its own process; 0 before there is one, and when it is over.
    main: AtomicI32,
    /// Hit by the last resort against another command.
    doomed: AtomicBool,
}

#[derive(Debug)]
struct Streams {
    stdout: Capture,
    stderr: Capture,
    newest: Stream,
}

/// Why a command did not end by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interruption {
    /// By its deadline.
    Deadline,
    /// By Kill, or because it has no watcher.
    Cancelled,
    /// By an operator's Kill.
    Operator,
}

impl Command {
    /// Accepted, with room for `chars` characters of output.
    pub fn new(id: String, chars: usize) -> Self {
        Self {
            // A character has at least one byte: so many are always shown whole.
            spill: Spill::new(&id, chars),
            id,
            tag: Bytes::new(),
            script: (Bytes::new(), 0),
            captured: Mutex::new(Streams {
                stdout: Capture::new(chars),
                stderr: Capture::new(chars),
                newest: Stream::Stdout,
            }),
            chars,
            finished: watch::Sender::new(None),
            watchers_seen: AtomicU64::new(0),
            watched_over: Mutex::default(),
            lost_ttl: UNWATCHED_GRACE,
            delivered: AtomicBool::new(false),
            killed: Notify::new(),
            stopped: Notify::new(),
            caller: None,
            detached: AtomicBool::new(false),
            started: Instant::now(),
            supervisor: AtomicI32::new(0),
            main: AtomicI32::new(0),
            doomed: AtomicBool::new(false),
        }
    }

    /// The same, for the request with this tag.
    pub fn tagged(self, tag: Bytes) -> Self {
        Self { tag, ..self }
    }

    /// The same, running this script. Only its beginning is kept.
    pub fn running(self, script: &[u8]) -> Self {
        let shown = &script[..script.len().min(SHOWN_SCRIPT_BYTES)];
        let script = (Bytes::copy_from_slice(shown), script.len() as u64);
        Self { script, ..self }
    }

    /// The same, which runs on for so long when the connection of its watcher broke.
    pub fn kept_for(self, lost_ttl: Duration) -> Self {
        Self { lost_ttl, ..self }
    }

    /// The same, attached to `caller`.
    pub fn with_caller(self, caller: Caller) -> Self {
        let caller = Some(caller);
        Self { caller, ..self }
    }

    /// The caller that it is attached to.
    pub fn caller(&self) -> Option<&Caller> {
        self.caller.as_ref()
    }

    /// What its standard input is.
    pub fn input(&self) -> Input {
        match self.caller {
            Some(_) => Input::Piped,
            None => Input::Ordered,
        }
    }

    /// Writes the caller's input into its standard input. Ends the command if that is invalid.
    pub async fn feed(&self, stdin: &mut Option<pipe::Sender>) -> Infallible {
        if let Some(caller) = &self.caller
            && caller.feed(stdin).await.is_err()
        {
            self.kill();
        }
        std::future::pending().await
    }

    /// Whether that request may still end it: its caller was not told that it runs on.
    pub fn is_for(&self, tag: &[u8]) -> bool {
        !tag.is_empty() && self.tag == tag && !self.detached.load(Ordering::Relaxed)
    }

    fn streams(&self) -> MutexGuard<'_, Streams> {
        self.captured.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in output.
    pub fn push(&self, stream: Stream, bytes: &[u8]) {
        let mut streams = self.streams();
        streams.newest = stream;
        let capture = match stream {
            Stream::Stdout => &mut streams.stdout,
            Stream::Stderr => &mut streams.stderr,
        };
        match self.caller {
            Some(_) => capture.count(bytes),
            None => capture.push(bytes),
        }
    }

    /// Bytes of output so far, and the newest `count` of them.
    pub fn newest(&self, count: usize) -> (u64, Vec<u8>) {
        let streams = self.streams();
        let newest = match streams.newest {
            Stream::Stdout => &streams.stdout,
            Stream::Stderr => &streams.stderr,
        };
        let total = streams.stdout.total() + streams.stderr.total();
        (total, newest.newest(count))
    }

    /// Bytes of output so far.
    pub fn total(&self) -> u64 {
        let streams = self.streams();
        streams.stdout.total() + streams.stderr.total()
    }

    /// The output so far, as a result would show it.
    pub fn snapshot(&self) -> (Captured, Captured) {
        let streams = self.streams();
        capture::cut(&streams.stdout, &streams.stderr, self.chars)
    }

    /// Milliseconds since it was accepted.
    pub fn duration_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// The output as the result shows it. The memory that kept it is freed.
    pub fn cut(&self) -> (Captured, Captured) {
        let mut streams = self.streams();
        let cut = capture::cut(&streams.stdout, &streams.stderr, self.chars);
        streams.stdout = Capture::new(0);
        streams.stderr = Capture::new(0);
        cut
    }

    /// Follows the command for a server behind `link`. As long as the receiver lives, it is watched.
    pub fn watch(&self, link: &Link) -> watch::Receiver<Option<Arc<Finished>>> {
        *self.link() = link.clone();
        self.watchers_seen.fetch_add(1, Ordering::Relaxed);
        self.finished.subscribe()
    }

    /// Sets the outcome.
    pub fn finish(&self, finished: Finished) {
        self.finished.send_replace(Some(Arc::new(finished)));
    }

    /// Whether the outcome is known.
    pub fn is_finished(&self) -> bool {
        self.finished.borrow().is_some()
    }

    /// The outcome, when it is known.
    pub fn finished(&self) -> Option<Finished> {
        self.finished.borrow().as_deref().cloned()
    }

    /// From now on it runs without a watcher.
    pub fn detach(&self) {
        self.detached.store(true, Ordering::Relaxed);
    }

    /// Ends it.
    pub fn kill(&self) {
        self.killed.notify_one();
    }

    /// Ends it for an operator, or what it has left in the background.
    pub fn stop(&self) {
        self.stopped.notify_one();
    }

    /// Resolves when an operator ends it.
    pub async fn stopped(&self) {
        self.stopped.notified().await;
    }

    /// As Stats reports it.
    pub fn listed(&self, background: bool, processes: u32, with_script: bool) -> RunningCommand {
        let (script, script_bytes) = &self.script;
        let main = self.main().map(|pid| pid.as_raw_nonzero().get());
        RunningCommand {
            id: self.id.clone(),
            running_ms: self.duration_ms(),
            background,
            processes,
            script: with_script.then(|| script.clone()),
            script_bytes: if with_script { *script_bytes } else { 0 },
            pid: main.and_then(|pid| u32::try_from(pid).ok()),
            // What it wrote was counted for its result.
            output_bytes: (!background).then(|| self.total()),
        }
    }

    /// Notes the supervisor that it runs below.
    pub fn placed(&self, supervisor: Pid) {
        let pid = supervisor.as_raw_nonzero().get();
        self.supervisor.store(pid, Ordering::Relaxed);
    }

    /// The process that it runs below.
    pub fn supervisor(&self) -> Option<Pid> {
        Pid::from_raw(self.supervisor.load(Ordering::Relaxed))
    }

    /// Notes its own process.
    pub fn runs_as(&self, main: Option<Pid>) {
        let pid = main.map_or(0, |pid| pid.as_raw_nonzero().get());
        self.main.store(pid, Ordering::Relaxed);
    }

    /// Its own process, while that runs.
    pub fn main(&self) -> Option<Pid> {
        Pid::from_raw(self.main.load(Ordering::Relaxed))
    }

    /// Marks it as hit by the last resort against another.
    pub fn doom(&self) {
        self.doomed.store(true, Ordering::Relaxed);
    }

    /// Whether it was hit by the last resort against another.
    pub fn is_doomed(&self) -> bool {
        self.doomed.load(Ordering::Relaxed)
    }

    /// Resolves when the command must be interrupted.
    pub async fn interrupted(&self, deadline: Duration) -> Interruption {
        tokio::select! {
            () = tokio::time::sleep(deadline) => Interruption::Deadline,
            () = self.killed.notified() => Interruption::Cancelled,
            () = self.stopped() => Interruption::Operator,
            () = self.unwatched() => Interruption::Cancelled,
        }
    }

    /// Resolves when it was without a watcher for as long as it may be; never for a detached
    /// command.
    async fn unwatched(&self) {
        loop {
            self.finished.closed().await;
            let seen = self.watchers_seen.load(Ordering::Relaxed);
            let is_unwatched = || {
                let unseen = self.watchers_seen.load(Ordering::Relaxed) == seen;
                unseen && self.finished.receiver_count() == 0
            };
            tokio::time::sleep(UNWATCHED_GRACE).await;
            // By now it is known how the watcher's connection ended.
            if is_unwatched() && self.link().is_lost() {
                tokio::time::sleep(self.lost_ttl.saturating_sub(UNWATCHED_GRACE)).await;
            }
            if self.detached.load(Ordering::Relaxed) {
                return std::future::pending().await;
            }
            if is_unwatched() {
                return;
            }
        }
    }

    fn link(&self) -> MutexGuard<'_, Link> {
        let link = self.watched_over.lock();
        link.unwrap_or_else(PoisonError::into_inner)
    }
}

/// The outcome, when it is known.
pub async fn outcome(finished: &mut watch::Receiver<Option<Arc<Finished>>>) -> Option<Finished> {
    let known = finished.wait_for(Option::is_some).await.ok()?;
    known.as_deref().cloned()
}

#[cfg(test)]
mod tests;
