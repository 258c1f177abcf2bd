use std::io;

use super::id::Id;
use crate::audit::AuditWriteError;
use crate::ops::chain;
use crate::ops::gc::hold::HoldError;
use crate::sandbox::SandboxError;
use crate::snapshot::StageError;

/// Why there is no backup, or nothing was restored. The old state is in force then.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The target cannot be used at all.
    #[error("the backup target {target} cannot be used")]
    Target {
        /// As given.
        target: String,
        /// What the store said.
        #[source]
        source: object_store::Error,
    },
    /// The target failed.
    #[error("cannot {what} in the backup target")]
    Store {
        /// What was tried, and with which object.
        what: String,
        /// What the store said.
        #[source]
        source: object_store::Error,
    },
    /// The sandbox failed.
    #[error("the sandbox failed: {}", chain(.0))]
    Sandbox(#[from] SandboxError),
    /// The workspace was not exchanged.
    #[error(transparent)]
    Stage(StageError),
    /// The user has no workspace.
    #[error("there is no workspace of {0}; casemate ps shows whose sandboxes run")]
    NoWorkspace(String),
    /// There is none that is complete.
    #[error("there is no complete backup of {user} in {target}")]
    NoBackup {
        /// Whose.
        user: String,
        /// Where it was looked for.
        target: String,
    },
    /// None of this id.
    #[error("there is no complete backup {id} of {user}")]
    NoSuchBackup {
        /// Whose.
        user: String,
        /// As given.
        id: Id,
    },
    /// A backup is not what it was when it was made.
    #[error("the backup {id} is damaged: {what}")]
    Damaged {
        /// Which.
        id: Id,
        /// What is wrong, and with what.
        what: String,
    },
    /// What came back out of the new volume is not what went in.
    #[error("the new volume does not hold what it should: {0}; the old workspace is in force")]
    NotAsRestored(String),
    /// It was to be moved as it was, and somebody used it.
    #[error(
        "the workspace was used while it was copied, and stays as it is; migrate it again when \
         nobody works in it"
    )]
    Used,
    /// What came out of the container is no archive of a workspace.
    #[error("the copy of the workspace cannot be used: {0}")]
    NoArchive(String),
    /// The thread that looks at every byte could not be had, or broke off.
    #[error("packing failed")]
    Thread(#[source] io::Error),
    /// Every removal must be recorded, and that is not possible.
    #[error("what it replaces cannot be recorded, and stays: {0}")]
    Unrecorded(AuditWriteError),
    /// Somebody keeps the workspace, by now.
    #[error(transparent)]
    Held(#[from] HoldError),
    /// It took longer than one user's may.
    #[error("it took longer than {}", humantime::format_duration(*.0))]
    TooLong(std::time::Duration),
    /// It was asked to stop.
    #[error("stopped")]
    Stopped,
}

impl From<StageError> for BackupError {
    fn from(error: StageError) -> Self {
        match error {
            StageError::Sandbox(error) => Self::Sandbox(error),
            error => Self::Stage(error),
        }
    }
}

impl BackupError {
    /// Whether the store says that there is no such object.
    pub(super) fn is_missing(&self) -> bool {
        use object_store::Error::NotFound;
        matches!(
            self,
            Self::Store {
                source: NotFound { .. },
                ..
            }
        )
    }

    /// As a `map_err` of what a store says.
    pub(super) fn store(what: String) -> impl FnOnce(object_store::Error) -> Self {
        move |source| Self::Store { what, source }
    }
}
