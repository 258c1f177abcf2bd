use crate::engine::EngineError;
use crate::sandbox::SandboxError;

/// Why it is not known what is to be removed.
#[derive(Debug, thiserror::Error)]
pub enum GcError {
    /// The Engine failed or refused.
    #[error("the engine failed")]
    Engine(#[from] EngineError),
    /// A sandbox could not be looked into.
    #[error("a sandbox could not be looked into")]
    Sandbox(#[from] SandboxError),
}
