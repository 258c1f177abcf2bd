//! How full the Engine's disk is.

use crate::engine::{Engine, EngineError};

/// Free bytes on the Engine's disk; `None` where this machine cannot see it. A directory of the
/// same name is no proof: one may be left of an Engine that ran here before Docker Desktop.
///
/// # Errors
/// The Engine's.
pub async fn disk_free(engine: &Engine) -> Result<Option<u64>, EngineError> {
    let capabilities = engine.capabilities().await?;
    let local = engine.address().uri.starts_with("unix://");
    let local = local && capabilities.is_on_this_machine();
    if !local || capabilities.root_dir.is_empty() {
        return Ok(None);
    }
    let disk = rustix::fs::statvfs(&capabilities.root_dir).ok();
    Ok(disk.map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize)))
}
