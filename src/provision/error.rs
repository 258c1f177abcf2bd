//! Why a sandbox could not do a call.

use std::sync::Arc;
use std::time::Duration;

use casemate_protocol::{Failure, FailureExt as _, exit};

use super::bind_error::BindError;
use super::status::SandboxLimit;
use crate::channel::{CallError, ChannelError};
use crate::engine::EngineError;
use crate::identity::WorkspaceName;

/// Why it is unknown whether a change was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Uncertainty {
    /// Its container is gone.
    Replaced,
    /// Its container did not answer in this time.
    Silent(Duration),
    /// The channel broke, and no other could be opened.
    Unreachable,
    /// The server is ending and does not wait for the answer.
    Ending,
}

/// A call that a sandbox could not do.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SandboxError {
    /// The Engine failed or refused.
    #[error("the engine failed")]
    Engine(#[source] Arc<EngineError>),
    /// The container runs, but its PID 1 does not respond.
    #[error("the channel could not be opened")]
    Channel(#[source] Arc<ChannelError>),
    /// The container ended at its start, and would again.
    #[error(
        "the sandbox's PID 1 ended at its start with exit code {} ({}): {}",
        .0.code,
        .0.name,
        .0.sentence
    )]
    EndedAtStart(&'static exit::Meaning),
    /// PID 1 reports what is wrong.
    #[error("PID 1 says {}: {}", .0.code().as_str_name(), .0.text())]
    Failed(Failure),
    /// The limit of waiting calls of this user is reached.
    #[error("{waiting} calls of this user wait already")]
    Busy {
        /// How many wait.
        waiting: usize,
    },
    /// The limit of waiting calls of all users is reached.
    #[error("{waiting} calls of all users wait already")]
    Crowded {
        /// How many wait.
        waiting: usize,
    },
    /// The call's time is over and its turn had not come: others of its user ran.
    #[error("its turn did not come in {0:?}")]
    NoTurn(Duration),
    /// A limit of sandboxes is reached, and none ended in time.
    #[error("sandboxes are in use up to the limit: {limit:?}")]
    Full {
        /// Which limit.
        limit: SandboxLimit,
    },
    /// The user has as many workspaces as may be, and none that is empty and unused.
    #[error("the user may have {most} workspaces with a name, and has them")]
    TooManyWorkspaces {
        /// How many there may be.
        most: u32,
        /// The one that was made first.
        oldest: Option<WorkspaceName>,
    },
    /// The Engine's disk has less free space than must stay free.
    #[error("{free} bytes are free on the Engine's disk, and {floor} must stay free")]
    DiskFull {
        /// Bytes that are free.
        free: u64,
        /// Bytes that must stay free.
        floor: u64,
    },
    /// Every uid for users is some volume's.
    #[error("all {count} uids for users are taken")]
    NoUid {
        /// How many there are.
        count: u32,
    },
    /// The workspace's top directory is not its user's, and it is not empty.
    #[error("the workspace belongs to another uid than its user's")]
    NotOwner,
    /// The image is still being made ready.
    #[error("the image is still being prepared")]
    ImagePreparing,
    /// The call's time is over and the sandbox was not ready.
    #[error("the sandbox was not ready after {0:?}")]
    NotReady(Duration),
    /// The call's time is over and PID 1 had not answered.
    #[error("no answer from the sandbox in {0:?}")]
    Deadline(Duration),
    /// The container ended, or the connection to it broke, in the middle of a transfer.
    #[error("the transfer broke off")]
    BrokenOff,
    /// It is unknown whether a change was made.
    #[error("it is unknown whether the change was made: {why:?}")]
    Uncertain {
        /// Why.
        why: Uncertainty,
        /// To make it again leaves what making it once does.
        repeatable: bool,
    },
    /// A container of ours runs with less hardening than this server asks for.
    #[error("the running container is weaker than this server allows: {fields}")]
    Weaker {
        /// What differs.
        fields: String,
    },
    /// A container of the user runs for a credential of another group, and is busy.
    #[error("the running container is of another group and busy")]
    GroupChanged,
    /// The directory of bind mode cannot be a workspace.
    #[error("the directory cannot be bound")]
    Bind(#[source] Arc<BindError>),
    /// The caller went away.
    #[error("the call was cancelled")]
    Cancelled,
    /// The server is ending.
    #[error("the server is ending")]
    Ending,
}

impl From<EngineError> for SandboxError {
    fn from(error: EngineError) -> Self {
        Self::Engine(Arc::new(error))
    }
}

impl From<BindError> for SandboxError {
    fn from(error: BindError) -> Self {
        Self::Bind(Arc::new(error))
    }
}

impl From<ChannelError> for SandboxError {
    fn from(error: ChannelError) -> Self {
        Self::Channel(Arc::new(error))
    }
}

impl SandboxError {
    /// Whether a container that ends just now fails like this.
    pub fn may_be_an_end(&self) -> bool {
        match self {
            Self::Engine(error) => matches!(
                **error,
                EngineError::Missing { .. }
                    | EngineError::NotRunning { .. }
                    | EngineError::Exec { .. }
            ),
            Self::Channel(error) => !matches!(
                **error,
                ChannelError::Incompatible { .. }
                    | ChannelError::Unconfined { .. }
                    | ChannelError::Unshielded { .. }
            ),
            _ => false,
        }
    }

    /// Whether a container that may not be used ends for this.
    pub fn has_retired(&self) -> bool {
        let Self::Channel(error) = self else {
            return false;
        };
        matches!(
            **error,
            ChannelError::Unconfined { retired: true, .. }
                | ChannelError::Unshielded { retired: true, .. }
        )
    }

    /// The error of a call to PID 1 that is not repeated.
    pub fn from_call(error: CallError, after: Duration) -> Self {
        match error {
            CallError::Failed(failure) => Self::Failed(failure),
            CallError::Lost(_) | CallError::Deadline(_) => Self::Deadline(after),
        }
    }
}

/// The error that ended a transfer in the middle.
pub fn broken_off(error: CallError) -> SandboxError {
    match error {
        CallError::Failed(failure) => SandboxError::Failed(failure),
        CallError::Lost(_) => SandboxError::BrokenOff,
        CallError::Deadline(after) => SandboxError::Deadline(after),
    }
}
