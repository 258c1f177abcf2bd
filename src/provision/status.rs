//! How far a container is, and what its user is told about it.

use super::end_reason::Reason;

/// How far a container is on its way, for the calls that wait for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// There is no container, as far as this server knows.
    Absent,
    /// A limit of sandboxes is reached.
    Queued {
        /// Users, or calls of the user, that wait longer.
        ahead: usize,
        /// The limit.
        limit: SandboxLimit,
    },
    /// The image is being made ready.
    Preparing,
    /// The container is being made, or found and connected to.
    Creating,
    /// PID 1 answers.
    Running,
}

/// A limit of sandboxes that are alive at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SandboxLimit {
    /// Of the instance.
    Instance(u32),
    /// Of the user's workspaces that have one.
    User(u32),
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
