use std::io;

use crate::audit::AuditWriteError;
use crate::config::SharedName;
use crate::engine::EngineError;
use crate::provision::SandboxError;
use crate::snapshot::SharedStageError;

/// Why shared data is as it was.
#[derive(Debug, thiserror::Error)]
pub enum SharedError {
    /// No `[[shared]]` table has the name.
    #[error("{0}")]
    Unknown(String),
    /// It has no version on the Engine.
    #[error("{0} has no version on the Engine")]
    NoVersion(SharedName),
    /// It has something that shared data cannot have, or it cannot be read.
    #[error("cannot read the source")]
    Source(#[source] io::Error),
    /// It has no entries.
    #[error("the source is empty; to take a share away use `casemate shared rm`")]
    Empty,
    /// It was another the second time.
    #[error("the source changed while it was read; nothing was changed")]
    Changed,
    /// The content of the new volume differs from the source.
    #[error("the new volume does not have the content that was sent; nothing was changed")]
    NotAsSent,
    /// A version with another content has the volume that the new one would have.
    #[error(
        "another content, whose hash begins with the same digits, has the volume {volume}; \
         nothing was changed. Remove it first: `casemate shared rm {name}` removes all versions"
    )]
    OtherContent {
        /// The share.
        name: SharedName,
        /// The volume.
        volume: String,
    },
    /// Containers hold it.
    #[error("{name} is held by {}; they keep it until they end, and `casemate rm USER` ends one that is \
             idle", .holders.join(", "))]
    Held {
        /// The share.
        name: SharedName,
        /// Their users.
        holders: Vec<String>,
    },
    /// The operator stopped it.
    #[error("interrupted; nothing was changed")]
    Stopped,
    /// A thread broke off or could not be started.
    #[error("the thread for the archive failed")]
    Thread(#[source] io::Error),
    /// A removal that cannot be recorded is not made.
    #[error("not removed, because it could not be recorded")]
    NotRecorded(#[from] AuditWriteError),
    /// The new volume.
    #[error(transparent)]
    Stage(#[from] SharedStageError),
    /// A container.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// The Engine's.
    #[error(transparent)]
    Engine(#[from] EngineError),
}
