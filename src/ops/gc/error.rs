use crate::engine::EngineError;
use crate::sandbox::SandboxError;

/// Why the clean-up could not be planned.
#[derive(Debug, thiserror::Error)]
pub enum GcError {
    /// The Engine failed or refused.
    #[error("the engine failed")]
    Engine(#[from] EngineError),
    /// A sandbox could not be checked.
    #[error("a sandbox could not be checked")]
    Sandbox(#[from] SandboxError),
}
