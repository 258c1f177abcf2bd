//! Holds: workspaces that are kept whatever their age.
//!
//! A hold is a volume of its own, without content, whose label names the sandbox. The
//! labels of a user's volume cannot be changed, and a file in it is the user's to delete.

use std::collections::BTreeSet;

use crate::engine::{Engine, EngineError, VolumeSummary, labels};
use crate::identity::{Instance, SandboxName, User};

/// Keeps the workspace of `user` for ever. One that is held is fine, and so is one that is
/// not there yet.
///
/// # Errors
/// [`EngineError::Foreign`] where somebody's volume has the name of the hold, which then
/// would hold nothing; the Engine's.
pub async fn create(engine: &Engine, instance: &Instance, user: &User) -> Result<(), EngineError> {
    let sandbox = SandboxName::new(instance, user);
    let labels = [
        (labels::INSTANCE, instance.as_str()),
        (labels::HOLD, sandbox.as_str()),
    ];
    engine.mark(&marker(&sandbox), &labels).await
}

/// Whether there was one.
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

/// Why a workspace is not taken away.
#[derive(Debug, thiserror::Error)]
pub enum HoldError {
    /// Somebody keeps it.
    #[error("the workspace of {0:?} is held; casemate hold --release lets it go")]
    Held(String),
    /// Whether that is so is not known.
    #[error("the engine failed")]
    Engine(#[from] EngineError),
}

/// That the workspace of `user` may be taken away.
///
/// # Errors
/// [`HoldError`].
pub async fn check(engine: &Engine, instance: &Instance, user: &User) -> Result<(), HoldError> {
    match is_held(engine, instance, user).await? {
        true => Err(HoldError::Held(user.subject.as_str().to_owned())),
        false => Ok(()),
    }
}

/// The sandboxes that these volumes keep.
pub(super) fn held(volumes: &[VolumeSummary]) -> BTreeSet<&str> {
    let name = |volume: &'_ VolumeSummary| volume.labels.contains_key(labels::HOLD);
    let holds = volumes.iter().filter(|volume| name(volume));
    let sandboxes = holds.filter_map(|volume| volume.labels.get(labels::HOLD));
    sandboxes.map(String::as_str).collect()
}

/// No user's volume has such a name: the names of those end with a hash.
fn marker(sandbox: &SandboxName) -> String {
    format!("{}.hold", sandbox.as_str())
}
