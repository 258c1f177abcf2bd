//! How far a container is, and what its user is told about it.

use super::end_reason::Reason;

/// How far a container is on its way, for the calls that wait for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// There is no container, as far as this server knows.
    Absent,
    /// The limit of sandboxes is reached.
    Queued {
        /// Users who wait longer.
        ahead: usize,
        /// The limit.
        most: u32,
    },
    /// The image is being made ready.
    Preparing,
    /// The container is being made, or found and connected to.
    Creating,
    /// PID 1 answers.
    Running,
}

/// What a user is told about the sandbox, next to the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// The container is a new one.
    Restarted(Reason),
    /// As [`Self::Restarted`], and the workspace had been removed.
    Emptied(Reason),
    /// The running container has other settings than this server.
    OtherSettings,
}
