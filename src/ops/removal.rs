//! Containers and volumes of one owner, taken away for good.

use std::time::Duration;

use crate::engine::{Engine, EngineError};

/// How long the Engine may take to remove a container whose PID 1 has ended.
pub const REMOVAL: Duration = Duration::from_secs(30);

/// Ends a container with all that runs in it and waits until it is gone: before that its volume
/// cannot be removed.
///
/// # Errors
/// The Engine's.
pub async fn container(engine: &Engine, id: &str) -> Result<(), EngineError> {
    let removal = engine.wait_removed(id);
    engine.remove(id).await?;
    match tokio::time::timeout(REMOVAL, removal).await {
        Ok(gone) => gone.map(drop),
        // The Engine says itself what it waits for, at the next call.
        Err(_) => Ok(()),
    }
}

/// Removes the volumes with all of these labels. Returns their names.
///
/// # Errors
/// [`EngineError::InUse`] while a container has one, else the Engine's.
pub async fn volumes(engine: &Engine, whose: &[(&str, &str)]) -> Result<Vec<String>, EngineError> {
    let mut removed = Vec::new();
    for volume in engine.list_volumes(whose).await? {
        engine.remove_volume(&volume.name).await?;
        removed.push(volume.name);
    }
    Ok(removed)
}
