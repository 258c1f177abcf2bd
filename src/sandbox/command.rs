//! Commands: what may be asked, what is told meanwhile, and what became of them.

use std::time::Duration;

use casemate_protocol::{Captured, DetachReply, Finished, Outcome, Progress, StartRequest};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::execution::Execution;
use super::warm_pool::{CommandLocation, Slot};
use super::{Answer, Containers, LEASE_TIMEOUT, OwnerHandle, Reason, Sandbox, SandboxError, Wait};
use crate::meter::Meter;

/// What is to be done.
#[derive(Debug, Clone)]
pub enum Command {
    /// Run this. The id is new for every command.
    Start(StartRequest),
    /// Go on with one that was answered [`ExecOutcome::Running`].
    Resume {
        /// Its id.
        id: String,
        /// End it first, with all it started.
        stop: bool,
    },
}

/// How a caller follows a command.
#[derive(Debug)]
pub struct WaitOptions<'a> {
    /// After this long a command that still runs is [`ExecOutcome::Running`].
    pub wait: Duration,
    /// A command that was not yet answered `Running` is ended when this fires.
    pub cancel: &'a CancellationToken,
    /// What happens meanwhile.
    pub progress: &'a watch::Sender<ProgressUpdate>,
}

impl WaitOptions<'_> {
    /// Of those who are before this one in some line.
    pub(super) fn waits(&self, ahead: usize) {
        ProgressUpdate::Waiting { ahead }.tell(self.progress);
    }
}

/// What a caller may be told before the answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum ProgressUpdate {
    /// Nothing yet.
    #[default]
    Nothing,
    /// It is not its turn yet.
    Waiting {
        /// Calls before it.
        ahead: usize,
    },
    /// The newest output.
    Output(Progress),
}

impl ProgressUpdate {
    /// Whether or not anybody listens.
    pub(super) fn tell(self, progress: &watch::Sender<Self>) {
        progress.send_replace(self);
    }

    /// Bytes of output that are known.
    pub(super) fn offset(&self) -> u64 {
        match self {
            Self::Output(progress) => progress.offset,
            Self::Nothing | Self::Waiting { .. } => 0,
        }
    }
}

/// What became of a command.
#[derive(Debug, Clone)]
pub enum ExecOutcome {
    /// PID 1 says how it ended.
    Finished(Box<Finished>),
    /// It still runs, and lives on; this is what there is of it.
    Running(String, Box<DetachReply>),
    /// The caller's patience is over and the sandbox is silent: whether the command
    /// still runs will be known when the sandbox answers again.
    Silent {
        /// Its id.
        id: String,
        /// Since it was sent.
        after: Duration,
    },
    /// The sandbox is gone, and the command with it. It was not run again.
    Lost(LostCommand),
}

/// A command without an outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LostCommand {
    /// Why the sandbox is gone; `None` when the Engine or the channel did not
    /// come back in time.
    pub reason: Option<Reason>,
    /// PID 1 had said that it runs the command.
    pub accepted: bool,
    /// Since it was sent.
    pub after: Duration,
}

impl Sandbox {
    /// Runs a command, or goes on with one.
    ///
    /// # Errors
    /// When it was certainly not run: no sandbox, no shell, a wrong `cwd`; and
    /// `UNKNOWN_COMMAND` for an id that this user's sandbox does not know.
    pub async fn exec(
        &self,
        command: Command,
        follow: WaitOptions<'_>,
    ) -> Result<Answer<ExecOutcome>, SandboxError> {
        let deadline = Instant::now() + LEASE_TIMEOUT;
        let mut wait = Wait::new(&self.meter);
        let turn = async {
            let admitted = self.turn(deadline, |ahead| follow.waits(ahead)).await?;
            let location = match &self.containers {
                Containers::Lasting(handle) => CommandLocation::In(Slot::shared(handle.clone())),
                Containers::Fresh(pool) => pool.slot(&command, deadline, &follow).await?,
            };
            Ok::<_, SandboxError>((admitted, location))
        };
        let (_admitted, location) = tokio::select! {
            turn = turn => turn.inspect_err(|error| wait.refused(error))?,
            () = follow.cancel.cancelled() => return Err(SandboxError::Cancelled),
            () = self.ending.cancelled() => return Err(SandboxError::Ending),
        };
        let slot = match location {
            CommandLocation::In(slot) => slot,
            CommandLocation::Over(executed) => return Ok(self.answer(executed)),
        };
        let executed = self.exec_in(&slot.handle, command, follow, wait).await;
        if let Ok(ExecOutcome::Finished(finished)) = &executed {
            count(&self.meter, finished);
        }
        let Containers::Fresh(pool) = &self.containers else {
            return Ok(self.answer(executed?));
        };
        let executed = executed.map(|mut executed| {
            pool.settle(slot, &mut executed);
            self.answer(executed)
        });
        // The next command finds one ready.
        pool.spare().warm();
        executed
    }

    async fn exec_in(
        &self,
        handle: &OwnerHandle,
        command: Command,
        follow: WaitOptions<'_>,
        wait: Wait,
    ) -> Result<ExecOutcome, SandboxError> {
        let mut execution = Execution::new(handle, command, &follow).waiting(wait);
        let executed = tokio::select! {
            executed = execution.run() => executed,
            () = follow.cancel.cancelled() => execution.cancel(SandboxError::Cancelled).await,
            () = self.ending.cancelled() => execution.cancel(SandboxError::Ending).await,
        };
        if let Some(container) = execution.container() {
            self.last_container.set(container);
        }
        executed
    }
}

/// As often as the outcome is told: who asks again for a command that is over is told it
/// once more.
pub(super) fn count(meter: &Meter, finished: &Finished) {
    match finished.outcome() {
        Outcome::TimedOut => meter.killed("timeout"),
        Outcome::Cancelled => meter.killed("cancelled"),
        _ => {}
    }
    meter.oom_killed(finished.oom_kills);
    let total = |stream: &Option<Captured>| stream.as_ref().map_or(0, |stream| stream.total);
    meter.output(total(&finished.stdout), total(&finished.stderr));
}
