//! Sandboxes: one user, one volume, and a container under one owner: the same for all
//! calls, or in ephemeral mode a fresh one for every command.
//!
//! ```text
//!             first call, warm                    started, channel open
//!   absent ────────────────────► creating ──────────────────────────────► running
//!     ▲                             │                                       │
//!     │        failed               │         idle, killed, removed         │
//!     ├─────────────────────────────┘                                       │
//!     ├─────────────────────────────────────────────────────────────────────┤
//!     └────────────── gone ◄──────── retiring ◄──── asked to end ───────────┘
//! ```
//!
//! Rules:
//! - One task, the `owner`, changes a container's state. Others hold an `OwnerHandle`,
//!   ask it for a lease and hear what that waits for.
//! - What runs is known to PID 1 alone; several servers may use one container.
//! - A command is started under one id and never run twice: an id that a new
//!   container does not know is lost, unless the old one said that it had not
//!   accepted it.
//! - A change of a file is made once: it is asked for again under its id, and only
//!   where that is known (`retry`).
//! - When a container was replaced, the next result says so.
//! - A container that ran a command in ephemeral mode is used up: nothing runs in it
//!   again, and it ends with its last `OwnerHandle`, whatever it has left running.

mod abandoned;
mod admission;
mod adopt;
mod bind;
mod cancel;
mod capacity;
mod command;
mod create;
mod create_task;
mod error;
mod execution;
mod files;
mod generation;
mod last_container;
mod lease;
mod manager;
mod metrics;
mod owner;
mod provisioner;
mod replaced;
mod retry;
mod run;
mod snapshot;
mod spec;
mod survey;
mod transfer;
mod uids;
mod wait;
mod warm_pool;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use crate::channel::Piece;
pub use abandoned::is_abandoned;
pub use bind::BindError;
pub use cancel::CancelScope;
pub use command::{Command, ExecOutcome, LostCommand, ProgressUpdate, WaitOptions};
pub use error::SandboxError;
pub use generation::removal_order;
pub use last_container::LastContainer;
pub use manager::{Manager, node};
pub use metrics::disk_free;
pub use replaced::{EMPTIED, KEPT, LOST, Reason};
pub use retry::Uncertainty;
pub use run::{Run, RunControl};
pub use snapshot::{
    Consistency, Export, ExportPart, Import, SnapshotReport, Snapshots, StageError, StagedExport,
    StagedVolume,
};
pub use snapshot::{DOCTOR_ISSUER, owner, workspaces};
pub use spec::image_state;
pub use survey::{LiveSandbox, survey};
pub use transfer::{Download, Stat, UploadOptions, Uploaded};
pub use uids::uid_range;

use crate::channel::{CallError, Channel};
use crate::meter::Meter;
use admission::{Admission, AdmissionPermit};
use cancel::Cancellations;
use lease::{LEASE_TIMEOUT, Lease, OwnerHandle, PendingNotice, Request};
use retry::{RetryPolicy, RetryState};
use transfer::Transfers;
use wait::Wait;
use warm_pool::WarmPool;

/// Where a container is on its way to whoever waits for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    /// There is no container, as far as this server knows.
    Absent,
    /// There are as many sandboxes as may be.
    Queued {
        /// Users who wait longer.
        ahead: usize,
        /// How many there may be.
        most: u32,
    },
    /// The image is being made ready.
    Preparing,
    /// The container is being made, or found and connected to.
    Creating,
    /// PID 1 answers.
    Running,
}

/// What a user is told about the sandbox beside the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// The container is a new one.
    Restarted(Reason),
    /// As [`Self::Restarted`], and the workspace had been removed.
    Emptied(Reason),
    /// The running container has other settings than this server.
    OtherSettings,
}

/// A result, and what is to be told beside it.
#[derive(Debug)]
pub struct Answer<T> {
    /// The result.
    pub value: T,
    /// Told once.
    pub notice: Option<Notice>,
}

/// A handle to one user's sandbox. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Sandbox {
    containers: Containers,
    admission: Admission,
    transfers: Transfers,
    cancellations: Cancellations,
    meter: Meter,
    /// Where this handle's file calls tell what they wait for.
    progress: Option<watch::Sender<ProgressUpdate>>,
    last_container: LastContainer,
    /// Cancelled when the server ends.
    ending: CancellationToken,
}

/// The containers of one user.
#[derive(Debug, Clone)]
enum Containers {
    /// One, for all calls.
    Lasting(OwnerHandle),
    /// One for each command, and one that waits.
    Fresh(Arc<WarmPool>),
}

/// Between two tries after a channel broke.
const RETRY_INTERVAL: Duration = Duration::from_millis(50);

impl Sandbox {
    /// The same sandbox, noting in `last_container` which container each call comes to.
    pub fn with_last_container(&self, last_container: &LastContainer) -> Self {
        Self {
            last_container: last_container.clone(),
            ..self.clone()
        }
    }

    /// Makes a container ready without a call. Returns at once.
    pub fn warm(&self) {
        self.for_files().warm();
    }

    /// A handle whose file calls tell `progress` what they wait for.
    pub fn with_progress(mut self, progress: &watch::Sender<ProgressUpdate>) -> Self {
        self.progress = Some(progress.clone());
        self
    }

    fn waits(&self, ahead: usize) {
        if let Some(progress) = &self.progress {
            ProgressUpdate::Waiting { ahead }.tell(progress);
        }
    }

    /// Where file work is done: a container that runs no command of its own will do.
    fn for_files(&self) -> OwnerHandle {
        match &self.containers {
            Containers::Lasting(handle) => handle.clone(),
            Containers::Fresh(pool) => pool.spare(),
        }
    }

    fn answer<T>(&self, value: T) -> Answer<T> {
        let notice = match &self.containers {
            Containers::Lasting(handle) => handle.notice.take(),
            // A new one is what was asked for.
            Containers::Fresh(_) => None,
        };
        Answer { value, notice }
    }

    /// Waits for the call's turn among the user's own.
    async fn turn(
        &self,
        deadline: Instant,
        told: impl Fn(usize),
    ) -> Result<AdmissionPermit, SandboxError> {
        self.admission.enter(deadline, told).await
    }

    async fn unless_ending<T>(
        &self,
        step: impl Future<Output = Result<T, SandboxError>>,
    ) -> Result<T, SandboxError> {
        tokio::select! {
            done = step => done,
            () = self.ending.cancelled() => Err(SandboxError::Ending),
        }
    }

    /// A call that may be repeated on the next channel, should this one break.
    async fn call<T, F>(
        &self,
        within: Duration,
        policy: RetryPolicy,
        operation: impl Fn(Channel, Duration) -> F,
    ) -> Result<Answer<T>, SandboxError>
    where
        F: Future<Output = Result<T, CallError>>,
    {
        let value = self.ask(within, policy, operation).await?;
        Ok(self.answer(value))
    }

    /// As [`Self::call`], for who has nowhere to tell a note: it is left for the next.
    async fn ask<T, F>(
        &self,
        within: Duration,
        policy: RetryPolicy,
        operation: impl Fn(Channel, Duration) -> F,
    ) -> Result<T, SandboxError>
    where
        F: Future<Output = Result<T, CallError>>,
    {
        let start = Instant::now();
        let deadline = start + within;
        let told = |ahead| self.waits(ahead);
        let mut wait = Wait::new(&self.meter);
        let turn = self.unless_ending(self.turn(deadline, told)).await;
        let _admitted = turn.inspect_err(|error| wait.refused(error))?;
        let handle = self.for_files();
        let mut retry = RetryState::new(policy);
        loop {
            let lease = handle.lease(deadline, told).await;
            let lease = lease.inspect_err(|error| wait.refused(error));
            let lease = lease.map_err(|error| retry.give_up(error, start.elapsed()))?;
            wait.over();
            retry.may_go_to(&lease.container)?;
            self.last_container.set(&lease.container);
            let left = deadline.saturating_duration_since(Instant::now());
            let done = tokio::select! {
                done = operation(lease.channel, left) => done,
                () = self.ending.cancelled() => return Err(retry.abandon()),
            };
            let error = match done {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            let again = retry.failed(lease.container, &error);
            if !again || Instant::now() + RETRY_INTERVAL >= deadline {
                let after = start.elapsed();
                return Err(retry.give_up(SandboxError::from_call(error, after), after));
            }
            tokio::time::sleep(RETRY_INTERVAL).await;
        }
    }
}
