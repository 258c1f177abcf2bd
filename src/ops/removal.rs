//! Permanent removals at the Engine.

use std::time::Duration;

use crate::engine::{Engine, EngineError};

/// How long the Engine may take to remove a container whose PID 1 has ended.
pub const REMOVAL_TIMEOUT: Duration = Duration::from_secs(30);

/// Ends a container with all its processes and waits until it is gone, because its volume cannot be
/// removed earlier.
///
/// # Errors
/// The Engine's.
pub async fn container(engine: &Engine, id: &str) -> Result<(), EngineError> {
    let removal = engine.ended(id);
    engine.remove(id).await?;
    match tokio::time::timeout(REMOVAL_TIMEOUT, removal).await {
        Ok(gone) => gone.map(drop),
        // If it takes longer, the Engine's next answer says why.
        Err(_) => Ok(()),
    }
}

/// Removes the volumes with all of these labels. Returns their names.
///
/// # Errors
/// [`EngineError::InUse`] while a container uses one; otherwise the Engine's.
pub async fn volumes(engine: &Engine, whose: &[(&str, &str)]) -> Result<Vec<String>, EngineError> {
    let mut removed = Vec::new();
    for volume in engine.list_volumes(whose).await? {
        engine.remove_volume(&volume.name).await?;
        removed.push(volume.name);
    }
    Ok(removed)
}
