//! The program behind Docker's API.

use std::sync::Arc;

use super::error::EngineError;
use super::{Engine, EngineConnection, QUERY_TIMEOUT};

/// Which program answers. Podman speaks Docker's API, stores containers in its own way, and has
/// its own versions: `docs/engines.md` lists the differences.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineKind {
    /// Docker Engine, and all that is built from it.
    Docker,
    /// Podman's service (`podman system service`).
    Podman,
}

/// The component that only Podman has.
pub(super) const PODMAN_COMPONENT: &str = "Podman Engine";

impl EngineKind {
    /// As people name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Docker => "Docker Engine",
            Self::Podman => "Podman",
        }
    }
}

impl Engine {
    /// Requested once per connection.
    ///
    /// # Errors
    /// Those of every call.
    pub async fn kind(&self) -> Result<EngineKind, EngineError> {
        let connection = self.connect().await?;
        self.kind_at(&connection).await
    }

    pub(super) async fn kind_at(
        &self,
        connection: &Arc<EngineConnection>,
    ) -> Result<EngineKind, EngineError> {
        if let Some(known) = connection.kind.get() {
            return Ok(*known);
        }
        let version = connection.docker.version();
        let version = self.bounded("version", QUERY_TIMEOUT, version).await?;
        let mut components = version.components.iter().flatten();
        let kind = match components.any(|component| component.name == PODMAN_COMPONENT) {
            true => EngineKind::Podman,
            false => EngineKind::Docker,
        };
        Ok(*connection.kind.get_or_init(|| kind))
    }

    /// Whether Podman answers.
    pub(super) async fn is_podman(&self) -> Result<bool, EngineError> {
        Ok(self.kind().await? == EngineKind::Podman)
    }
}
