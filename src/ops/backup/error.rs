use std::io;

use super::id::Id;
use crate::audit::AuditWriteError;
use crate::ops::chain;
use crate::ops::gc::hold::HoldError;
use crate::sandbox::SandboxError;
use crate::snapshot::StageError;

/// Why there is no backup, or nothing was restored. The old state stays in force.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The target cannot be used at all.
    #[error("the backup target {target} cannot be used")]
    Target {
        /// As given.
        target: String,
        /// The store's error.
        #[source]
        source: object_store::Error,
    },
    /// The target failed.
    #[error("cannot {what} in the backup target")]
    Store {
        /// The operation and its object.
        what: String,
        /// The store's error.
        #[source]
        source: object_store::Error,
    },
    /// The sandbox failed.
    #[error("the sandbox failed: {}", chain(.0))]
    Sandbox(#[from] SandboxError),
    /// The workspace was not replaced.
    #[error(transparent)]
    Stage(StageError),
    /// The user has no workspace.
    #[error("there is no workspace of {0}; casemate ps shows whose sandboxes run")]
    NoWorkspace(String),
    /// There is no complete backup.
    #[error("there is no complete backup of {user} in {target}")]
    NoBackup {
        /// The user.
        user: String,
        /// The target.
        target: String,
    },
    /// There is no backup with this id.
    #[error("there is no complete backup {id} of {user}")]
    NoSuchBackup {
        /// The user.
        user: String,
        /// As given.
        id: Id,
    },
    /// A backup has changed since it was made.
    #[error("the backup {id} is damaged: {what}")]
    Damaged {
        /// Which.
        id: Id,
        /// The problem, as a sentence.
        what: String,
    },
    /// The content of the new volume differs from the backup.
    #[error("the restored files differ from the backup: {0}; the old workspace stays in use")]
    NotAsRestored(String),
    /// The workspace was used while it was moved.
    #[error(
        "the workspace was used while it was copied, so it was not moved; migrate it again when it \
         is not in use"
    )]
    Used,
    /// The container's output is not an archive of a workspace.
    #[error("the copy of the workspace cannot be used: {0}")]
    NoArchive(String),
    /// The thread that processes every byte could not start, or failed.
    #[error("packing failed")]
    Thread(#[source] io::Error),
    /// Every removal must be recorded, but recording fails.
    #[error("the old workspace stays, because its removal could not be recorded: {0}")]
    Unrecorded(AuditWriteError),
    /// The workspace is held since.
    #[error(transparent)]
    Held(#[from] HoldError),
    /// It exceeded the time limit.
    #[error("it took longer than {}", humantime::format_duration(*.0))]
    TooLong(std::time::Duration),
    /// It was stopped.
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
    /// Whether the object does not exist.
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

    /// For `map_err` on a store's result.
    pub(super) fn store(what: String) -> impl FnOnce(object_store::Error) -> Self {
        move |source| Self::Store { what, source }
    }
}
