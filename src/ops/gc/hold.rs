//! Holds: workspaces that are kept regardless of their age.
//!
//! A hold is a separate, empty volume whose label names the sandbox. The
//! labels of a user's volume cannot be changed, and the user could delete a file in it.

use std::collections::BTreeSet;

use crate::engine::{Engine, EngineError, VolumeSummary, labels};
use crate::identity::{Instance, SandboxName, User};

/// Keeps the workspace of `user` for ever. It may be held already, and need not exist yet.
///
/// # Errors
/// [`EngineError::Foreign`] if a foreign volume has the name of the hold, which would then have no
/// effect; the Engine's.
pub async fn create(engine: &Engine, instance: &Instance, user: &User) -> Result<(), EngineError> {
    let sandbox = SandboxName::new(instance, user);
    let labels = [
        (labels::INSTANCE, instance.as_str()),
        (labels::HOLD, sandbox.as_str()),
    ];
    engine.mark(&marker(&sandbox), &labels).await
}

/// Releases the hold. Returns whether there was one.
///
/// # Errors
/// The Engine's.
pub async fn release(
    engine: &Engine,
    instance: &Instance,
    user: &User,
) -> Result<bool, EngineError> {
    if !is_held(engine, instance, user).await? {
        return Ok(false);
    }
    let sandbox = SandboxName::new(instance, user);
    engine.remove_volume(&marker(&sandbox)).await?;
    Ok(true)
}

async fn is_held(engine: &Engine, instance: &Instance, user: &User) -> Result<bool, EngineError> {
    let ours = [(labels::INSTANCE, instance.as_str())];
    let volumes = engine.list_volumes(&ours).await?;
    let sandbox = SandboxName::new(instance, user);
    Ok(held(&volumes).contains(sandbox.as_str()))
}

/// Why a workspace is not removed.
#[derive(Debug, thiserror::Error)]
pub enum HoldError {
    /// It is held.
    #[error("the workspace of {0:?} is held; casemate hold --release releases it")]
    Held(String),
    /// It is unknown whether it is held.
    #[error("the engine failed")]
    Engine(#[from] EngineError),
}

/// Checks that the workspace of `user` is not held.
///
/// # Errors
/// [`HoldError`].
pub async fn check(engine: &Engine, instance: &Instance, user: &User) -> Result<(), HoldError> {
    match is_held(engine, instance, user).await? {
        true => Err(HoldError::Held(user.subject.as_str().to_owned())),
        false => Ok(()),
    }
}

/// The sandboxes that these volumes hold.
pub(super) fn held(volumes: &[VolumeSummary]) -> BTreeSet<&str> {
    let name = |volume: &'_ VolumeSummary| volume.labels.contains_key(labels::HOLD);
    let holds = volumes.iter().filter(|volume| name(volume));
    let sandboxes = holds.filter_map(|volume| volume.labels.get(labels::HOLD));
    sandboxes.map(String::as_str).collect()
}

/// The names of users' volumes end with a hash, so none is like this.
fn marker(sandbox: &SandboxName) -> String {
    format!("{}.hold", sandbox.as_str())
}
