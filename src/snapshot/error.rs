use crate::engine::EngineError;
use crate::provision::SandboxError;

/// Why a workspace was not exchanged.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// It is a directory of the host.
    #[error("the user's workspace is a directory of the host (mode bind)")]
    Bound,
    /// Commands run, or files are on their way.
    #[error("the user's sandbox is busy; wait until it is idle, or use --force to end what runs")]
    Works,
    /// Another restore of the same user came first.
    #[error("another restore of this user was faster, and its state holds")]
    Overtaken,
    /// The step that counts got no answer.
    #[error(
        "it is unknown which volume is the workspace now: casemate exec shows it, and running this \
         again makes sure"
    )]
    Unknown(#[source] EngineError),
    /// The errors of every call.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
}

impl From<EngineError> for StageError {
    fn from(error: EngineError) -> Self {
        Self::Sandbox(error.into())
    }
}
