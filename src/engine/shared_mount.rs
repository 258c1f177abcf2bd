//! Shared data in a container, as plain data.

/// Shared data in a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedMount {
    /// The name of the share.
    pub name: String,
    /// Where it is.
    pub path: String,
    /// The volume of its newest version; `None`: it has no version, and nothing is mounted.
    pub volume: Option<String>,
}
