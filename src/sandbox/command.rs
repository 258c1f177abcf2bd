//! Commands: requests, progress and outcomes.

use std::time::Duration;

use casemate_protocol::{DetachReply, Finished, Progress, StartRequest};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::egress::NetworkReport;
use crate::provision::Reason;

/// A request.
#[derive(Debug, Clone)]
pub enum Command {
    /// Run this. The id is new for every command.
    Start(StartRequest),
    /// Resume one that was answered [`ExecOutcome::Running`].
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
    /// Where progress is reported.
    pub progress: &'a watch::Sender<ProgressUpdate>,
}

impl WaitOptions<'_> {
    /// Reports how many calls are ahead of this one in a queue.
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
    /// Reports it, even if no caller listens.
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

/// How a call for a command ends.
#[derive(Debug, Clone)]
pub enum ExecOutcome {
    /// PID 1 reports how it ended.
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

impl ExecOutcome {
    /// Whether the command does not run any more, as far as is known.
    pub fn is_over(&self) -> bool {
        matches!(self, Self::Finished(_) | Self::Lost(_))
    }
}

/// How a call for a command ended, and what the network refused until then.
#[derive(Debug, Clone)]
pub struct ExecReport {
    /// How it ended.
    pub outcome: ExecOutcome,
    /// `None`: nothing was refused.
    pub network: Option<Box<NetworkReport>>,
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
