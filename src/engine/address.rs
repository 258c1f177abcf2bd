//! Where an Engine is.

/// Where an Engine is: found by [`super::locate`], or given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineAddress {
    /// `unix:///path`, `tcp://host:port` or `http://host:port`.
    pub uri: String,
    /// What named it, in words: `DOCKER_HOST`, `docker context colima`.
    pub found_by: String,
}
