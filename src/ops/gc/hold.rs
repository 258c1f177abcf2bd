//! Holds: workspaces that are kept regardless of their age.
//!
//! A hold is a mark whose label names the sandbox. The
//! labels of a user's volume cannot be changed, and the user could delete a file in it.

use std::collections::BTreeSet;

use crate::engine::{Engine, EngineError, labels};
use crate::identity::{Instance, SandboxName, WorkspaceId};
use crate::provision::held;

/// Keeps the workspace for ever. It may be held already, and need not exist yet.
///
/// # Errors
/// [`EngineError::Foreign`] if a foreign mark has the name of the hold, which would then have no
/// effect; the Engine's.
pub async fn create(
    engine: &Engine,
    instance: &Instance,
    workspace: &WorkspaceId,
) -> Result<(), EngineError> {
    let sandbox = SandboxName::new(instance, workspace);
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
    workspace: &WorkspaceId,
) -> Result<bool, EngineError> {
    if !is_held(engine, instance, workspace).await? {
        return Ok(false);
    }
    let sandbox = SandboxName::new(instance, workspace);
    engine.remove_mark(&marker(&sandbox)).await?;
    Ok(true)
}

/// The names of the sandboxes whose workspaces are held.
///
/// # Errors
/// The Engine's.
pub async fn all(engine: &Engine, instance: &Instance) -> Result<BTreeSet<String>, EngineError> {
    let ours = [(labels::INSTANCE, instance.as_str())];
    let volumes = engine.list_volumes(&ours).await?;
    Ok(held(&volumes).into_iter().map(str::to_owned).collect())
}

async fn is_held(
    engine: &Engine,
    instance: &Instance,
    workspace: &WorkspaceId,
) -> Result<bool, EngineError> {
    let sandbox = SandboxName::new(instance, workspace);
    Ok(all(engine, instance).await?.contains(sandbox.as_str()))
}

/// Why a workspace is not removed.
#[derive(Debug, thiserror::Error)]
pub enum HoldError {
    /// It is held.
    #[error("the workspace of {0} is held; casemate hold --release releases it")]
    Held(Box<WorkspaceId>),
    /// It is unknown whether it is held.
    #[error("the engine failed")]
    Engine(#[from] EngineError),
}

/// Checks that the workspace is not held.
///
/// # Errors
/// [`HoldError`].
pub async fn check(
    engine: &Engine,
    instance: &Instance,
    workspace: &WorkspaceId,
) -> Result<(), HoldError> {
    match is_held(engine, instance, workspace).await? {
        true => Err(HoldError::Held(Box::new(workspace.clone()))),
        false => Ok(()),
    }
}

/// The names of users' volumes end with a hash, so none is like this.
fn marker(sandbox: &SandboxName) -> String {
    format!("{}.hold", sandbox.as_str())
}
