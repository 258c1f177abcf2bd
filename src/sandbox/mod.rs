//! Sandboxes: one user, one container, one volume, one owner.
//!
//! ```text
//!             first call, warm                    started, channel open
//!   absent ────────────────────► creating ──────────────────────────────► running
//!     ▲                             │                                       │
//!     │        failed               │         idle, killed, removed         │
//!     ├─────────────────────────────┘                                       │
//!     ├─────────────────────────────────────────────────────────────────────┤
//!     └────────────── gone ◄──────── retiring ◄──── newer settings ─────────┘
//! ```
//!
//! Rules:
//! - One task, the `owner`, changes a sandbox's state. Others hold a
//!   [`Sandbox`], ask it for a lease and read its status.
//! - What runs is known to PID 1 alone; several servers may use one container.
//! - A command is started under one id and never run twice: an id that a new
//!   container does not know is lost, unless the old one said that it had not
//!   accepted it.
//! - A change of a file is made once: it is asked for again under its id, and only
//!   where that is known (`repeat`).
//! - When a container was replaced, the next result says so.

mod admission;
mod adopt;
mod bring_up;
mod command;
mod error;
mod files;
mod manager;
mod owner;
mod repeat;
mod replaced;

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

pub use command::{Command, Executed, Follow, Lost};
pub use error::SandboxError;
pub use manager::Manager;
pub use repeat::Uncertainty;
pub use replaced::{KEPT, LOST, Reason};

use crate::channel::{CallError, Channel};
use admission::Admission;
use repeat::{Repeat, Tries};

/// Where a sandbox is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// There is no container, as far as this server knows.
    Absent,
    /// The image is being made ready.
    Preparing,
    /// The container is being made, or found and connected to.
    Creating,
    /// PID 1 answers.
    Running,
    /// It was asked to end.
    Retiring,
}

/// What a user is told about the sandbox beside the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Note {
    /// The container is a new one.
    Restarted(Reason),
    /// The running container has other settings than this server.
    OtherSettings,
}

/// A result, and what is to be told beside it.
#[derive(Debug)]
pub struct Answer<T> {
    /// The result.
    pub value: T,
    /// Told once.
    pub note: Option<Note>,
}

/// The right to use the container as it is now.
#[derive(Debug)]
struct Lease {
    channel: Channel,
    container: Arc<str>,
    /// The container before this one, and why it is gone.
    last_end: Option<(Arc<str>, Reason)>,
}

/// What is to be told with the next result: set by the owner, taken where a result
/// is made, so that an error in between does not lose it.
type NoteSlot = Arc<Mutex<Option<Note>>>;

/// What the owner is asked.
#[derive(Debug)]
enum Request {
    Lease(oneshot::Sender<Result<Lease, SandboxError>>),
    Warm,
}

/// A handle to one user's sandbox. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Sandbox {
    requests: mpsc::Sender<Request>,
    status: watch::Receiver<Status>,
    note: NoteSlot,
    admission: Admission,
    /// Cancelled when the server ends.
    ending: CancellationToken,
}

/// How long a call waits for the container: a creation takes 0.4 s, an image
/// that is being prepared some seconds, and desktop clients give up after 60 s.
const LEASE: Duration = Duration::from_secs(45);

/// Between two tries after a channel broke.
const RETRY_PAUSE: Duration = Duration::from_millis(50);

impl Sandbox {
    /// Where the sandbox is in its life.
    pub fn status(&self) -> Status {
        *self.status.borrow()
    }

    /// Makes the container ready without a call. Returns at once.
    pub fn warm(&self) {
        // A full queue has calls in it that warm the sandbox too.
        let _ = self.requests.try_send(Request::Warm);
    }

    fn answer<T>(&self, value: T) -> Answer<T> {
        let note = self
            .note
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        Answer { value, note }
    }

    async fn lease(&self, deadline: Instant) -> Result<Lease, SandboxError> {
        let start = Instant::now();
        let deadline = deadline.min(start + LEASE);
        let asked = async {
            let (reply, answer) = oneshot::channel();
            let sent = self.requests.send(Request::Lease(reply)).await;
            sent.map_err(|_| SandboxError::Ending)?;
            answer.await.map_err(|_| SandboxError::Ending)?
        };
        tokio::select! {
            () = self.ending.cancelled() => Err(SandboxError::Ending),
            answer = timeout_at(deadline, asked) => answer.unwrap_or_else(|_| {
                Err(match self.status() {
                    Status::Preparing => SandboxError::ImagePreparing,
                    _ => SandboxError::NotReady(start.elapsed()),
                })
            }),
        }
    }

    /// A call that may be `repeat`ed on the next channel, should this one break.
    async fn call<T, F>(
        &self,
        within: Duration,
        repeat: Repeat,
        operation: impl Fn(Channel, Duration) -> F,
    ) -> Result<Answer<T>, SandboxError>
    where
        F: Future<Output = Result<T, CallError>>,
    {
        let start = Instant::now();
        let deadline = start + within;
        let _admitted = self.admission.enter(deadline).await?;
        let mut tries = Tries::new(repeat);
        loop {
            let lease = self.lease(deadline).await;
            let lease = lease.map_err(|error| tries.give_up(error, start.elapsed()))?;
            tries.may_go_to(&lease.container)?;
            let left = deadline.saturating_duration_since(Instant::now());
            let done = tokio::select! {
                done = operation(lease.channel, left) => done,
                () = self.ending.cancelled() => return Err(tries.abandon()),
            };
            let error = match done {
                Ok(value) => return Ok(self.answer(value)),
                Err(error) => error,
            };
            let again = tries.failed(lease.container, &error);
            if !again || Instant::now() + RETRY_PAUSE >= deadline {
                let after = start.elapsed();
                return Err(tries.give_up(SandboxError::from_call(error, after), after));
            }
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }
}
