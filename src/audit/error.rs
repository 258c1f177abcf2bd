use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Why no file could be begun.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The directory cannot be made or read.
    #[error("the directory {path:?} of the audit cannot be used")]
    Directory {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file cannot be made.
    #[error("no file of the audit can be made in {path:?}")]
    File {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// There is no thread to write it.
    #[error("no thread for the audit")]
    Thread(#[source] io::Error),
}

/// Why a line is not written.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AuditWriteError {
    /// The system refused.
    #[error("the line could not be written: {0}")]
    Refused(String),
    /// The disk takes too long. The line may still be written.
    #[error("the line was not written in {0:?}")]
    Late(Duration),
    /// The writer has ended.
    #[error("the audit has ended")]
    Gone,
}

impl AuditWriteError {
    /// For each of those whose line was in what could not be written.
    pub(super) fn from_io(error: &io::Error) -> Self {
        Self::Refused(error.to_string())
    }
}
