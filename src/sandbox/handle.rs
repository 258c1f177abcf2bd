//! The handle that callers hold: its calls go to the user's container as it is now.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::command::ProgressUpdate;
use super::command_log::WorkspaceCommands;
use super::last_container::LastContainer;
use super::lease::OwnerHandle;
use super::port_history::PortHistory;
use super::retry::{RETRY_INTERVAL, RetryPolicy, RetryState};
use super::wait::Wait;
use super::warm_pool::WarmPool;
use crate::channel::UnaryRequest;
use crate::config::SharedPath;
use crate::engine::Engine;
use crate::meter::Meter;
use crate::provision::{Admission, AdmissionPermit, Notice, SandboxError, Status};

/// Transfers of one user at once: of the 16 bridges that PID 1 serves, and one thread
/// of it for each.
const TRANSFER_LIMIT: u32 = 4;

/// Notifications of one user that are acted on at once: each may cost a bridge.
const NOTIFICATION_LIMIT: usize = 4;

/// A result, and a notice about the sandbox.
#[derive(Debug)]
pub struct Answer<T> {
    /// The result.
    pub value: T,
    /// Returned once.
    pub notice: Option<Notice>,
}

/// A handle to the sandbox of one workspace. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Sandbox {
    pub(super) containers: Containers,
    pub(super) admission: Admission,
    pub(super) transfers: Transfers,
    pub(super) meter: Meter,
    /// Where this handle's file calls report what they wait for.
    pub(super) progress: Option<watch::Sender<ProgressUpdate>>,
    pub(super) last_container: LastContainer,
    pub(super) ports: PortHistory,
    /// Where its commands are logged.
    pub(super) commands: WorkspaceCommands,
    /// Where its shared data is.
    pub(super) shared: Arc<[SharedPath]>,
    /// Cancelled when the server ends.
    pub(super) ending: CancellationToken,
}

/// The containers of one user.
#[derive(Debug, Clone)]
pub(super) enum Containers {
    /// One, for all calls.
    Lasting(OwnerHandle),
    /// One for each command, and one that waits.
    Fresh(Arc<WarmPool>),
}

/// The transfers of one user.
#[derive(Debug, Clone)]
pub(super) struct Transfers {
    pub admission: Admission,
    pub engine: Engine,
}

impl Transfers {
    /// `waiting`: the calls of all users that wait.
    pub fn new(engine: Engine, waiting: Arc<AtomicUsize>) -> Self {
        Self {
            admission: Admission::new(TRANSFER_LIMIT, waiting),
            engine,
        }
    }
}

/// Limits one user's cancellations.
#[derive(Debug, Clone)]
pub(super) struct Cancellations(pub Arc<Semaphore>);

impl Default for Cancellations {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(NOTIFICATION_LIMIT)))
    }
}

impl Sandbox {
    /// The same sandbox, which stores in `last_container` the container of each call.
    pub fn with_last_container(&self, last_container: &LastContainer) -> Self {
        Self {
            last_container: last_container.clone(),
            ..self.clone()
        }
    }

    /// The paths of the shared data that its user is given.
    pub fn shared(&self) -> impl Iterator<Item = &str> {
        self.shared.iter().map(SharedPath::as_str)
    }

    /// Whether there is a container for files, or one is being made, as far as this server knows: a
    /// call then starts none.
    pub fn is_awake(&self) -> bool {
        *self.for_files().status.borrow() != Status::Absent
    }

    /// Whether no container is there or being made, and there is no other handle: this one can go.
    pub(super) fn is_unused(&self) -> bool {
        match &self.containers {
            Containers::Lasting(handle) => {
                let is_absent = *handle.status.borrow() == Status::Absent;
                is_absent && handle.requests.strong_count() == 1
            }
            Containers::Fresh(pool) => Arc::strong_count(pool) == 1 && pool.is_empty(),
        }
    }

    /// Makes a container ready without a call. Returns at once.
    pub fn warm(&self) {
        self.for_files().warm();
    }

    /// A handle whose file calls report to `progress` what they wait for.
    pub fn with_progress(mut self, progress: &watch::Sender<ProgressUpdate>) -> Self {
        self.progress = Some(progress.clone());
        self
    }

    pub(super) fn waits(&self, ahead: usize) {
        if let Some(progress) = &self.progress {
            ProgressUpdate::Waiting { ahead }.tell(progress);
        }
    }

    /// The container for file calls: it need not run a command.
    pub(super) fn for_files(&self) -> OwnerHandle {
        match &self.containers {
            Containers::Lasting(handle) => handle.clone(),
            Containers::Fresh(pool) => pool.spare(),
        }
    }

    pub(super) fn answer<T>(&self, value: T) -> Answer<T> {
        let notice = match &self.containers {
            Containers::Lasting(handle) => handle.notice.take(),
            // A new one is what was asked for.
            Containers::Fresh(_) => None,
        };
        Answer { value, notice }
    }

    /// Waits for the call's turn among the user's own.
    pub(super) async fn turn(
        &self,
        deadline: Instant,
        told: impl Fn(usize),
    ) -> Result<AdmissionPermit, SandboxError> {
        self.admission.enter(deadline, told).await
    }

    pub(super) async fn unless_ending<T>(
        &self,
        step: impl Future<Output = Result<T, SandboxError>>,
    ) -> Result<T, SandboxError> {
        tokio::select! {
            done = step => done,
            () = self.ending.cancelled() => Err(SandboxError::Ending),
        }
    }

    /// A call that may be repeated on the next channel if this one breaks.
    pub(super) async fn call<R: UnaryRequest>(
        &self,
        within: Duration,
        policy: RetryPolicy,
        request: R,
    ) -> Result<Answer<R::Reply>, SandboxError> {
        let value = self.ask(within, policy, request).await?;
        Ok(self.answer(value))
    }

    /// As [`Self::call`], for a caller that cannot return a notice: the next call returns it.
    pub(super) async fn ask<R: UnaryRequest>(
        &self,
        within: Duration,
        policy: RetryPolicy,
        request: R,
    ) -> Result<R::Reply, SandboxError> {
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
                // Its content is shared, not copied.
                done = lease.channel.call(request.clone(), left) => done,
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
