//! The end of a container, by its own PID 1 where that answers.

use std::time::Duration;

use tokio::time::timeout;

use super::error::{SandboxError, broken_off};
use super::survey::{LiveSandbox, PROBE_TIMEOUT};
use crate::channel::{CallError, Channel, REPLY_TIMEOUT};
use crate::engine::{Engine, EngineError, State};

/// How long the Engine may take to remove what ends.
const REMOVAL_TIMEOUT: Duration = Duration::from_secs(30);

impl LiveSandbox {
    /// Whether a command may run in a container that does not answer: it has not ended. PID 1
    /// cannot be asked when the limit of processes is reached.
    pub async fn may_work(&self, engine: &Engine) -> Result<bool, EngineError> {
        // It may have ended since the row was read.
        let found = engine.inspect(&self.row.id).await?;
        Ok(found.is_some_and(|found| {
            use State::{Paused, Restarting, Running, Unknown};
            matches!(found.state, Running | Paused | Restarting | Unknown)
        }))
    }

    /// Ends a command in it for an operator, or what that has left in the background. `false`: its
    /// casemate-init is older, and the outcome says only that it was cancelled.
    ///
    /// # Errors
    /// `UNKNOWN_COMMAND` when it does not run; those of every call.
    pub async fn stop(&self, command: &str) -> Result<bool, SandboxError> {
        self.channel()?.stop(command).await.map_err(unanswered)
    }

    /// Whether a command runs in it, or what that has left in the background.
    ///
    /// # Errors
    /// Those of every call.
    pub async fn runs(&self, command: &str) -> Result<bool, SandboxError> {
        let stats = self.channel()?.stats().await.map_err(unanswered)?;
        Ok(stats.commands.iter().any(|running| running.id == command))
    }

    fn channel(&self) -> Result<&Channel, SandboxError> {
        self.channel
            .as_ref()
            .ok_or(SandboxError::Deadline(PROBE_TIMEOUT))
    }

    /// Ends it, by its own PID 1 where that answers, so that a command that begins now is not
    /// lost. `false`, without `force`: it is busy, or may be, and continues.
    ///
    /// # Errors
    /// The Engine's, and those of every call.
    pub async fn end(&self, engine: &Engine, force: bool) -> Result<bool, SandboxError> {
        let id = &self.row.id;
        let removal = engine.ended(id);
        if let (Some(channel), false) = (&self.channel, force) {
            let retired = channel.retire(Duration::ZERO).await;
            let retired = retired.map_err(broken_off)?;
            if !retired {
                return Ok(false);
            }
            let gone = timeout(REMOVAL_TIMEOUT, removal).await;
            if matches!(gone, Ok(Ok(_))) {
                return Ok(true);
            }
            engine.remove(id).await?;
            return Ok(true);
        }
        if !force && self.may_work(engine).await? {
            return Ok(false);
        }
        engine.remove(id).await?;
        match timeout(REMOVAL_TIMEOUT, removal).await {
            Ok(gone) => gone.map(|_| true).map_err(EngineError::into),
            // The next call reports what the Engine waits for.
            Err(_) => Ok(true),
        }
    }
}

fn unanswered(error: CallError) -> SandboxError {
    SandboxError::from_call(error, REPLY_TIMEOUT)
}
