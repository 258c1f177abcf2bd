//! Which containers have which version.

use serde::Serialize;

use crate::engine::{ContainerSummary, Engine, EngineError, labels};
use crate::identity::Instance;

/// A container with a version of shared data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedHolder {
    /// The Engine's row.
    pub row: ContainerSummary,
}

/// Names a holder, for people and programs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct HolderSummary {
    /// Its user.
    pub user: String,
    /// The user's issuer.
    pub issuer: String,
    /// Its container.
    pub container: String,
}

/// All containers of the instance, in any state.
///
/// # Errors
/// The Engine's.
pub async fn holders(
    engine: &Engine,
    instance: &Instance,
) -> Result<Vec<SharedHolder>, EngineError> {
    let ours = [(labels::INSTANCE, instance.as_str())];
    let rows = engine.list_containers(&ours).await?;
    Ok(rows.into_iter().map(|row| SharedHolder { row }).collect())
}

impl SharedHolder {
    /// Whether it has this volume.
    pub fn has(&self, volume: &str) -> bool {
        self.row.volumes.iter().any(|held| held == volume)
    }

    /// Its name.
    pub fn summary(&self) -> HolderSummary {
        let label = |name: &str| self.row.labels.get(name).cloned().unwrap_or_default();
        HolderSummary {
            user: label(labels::USER),
            issuer: label(labels::ISSUER),
            container: self.row.name.clone(),
        }
    }
}
