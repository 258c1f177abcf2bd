//! The end of containers: of all that a user has, before another volume is the workspace,
//! and of what was made in the moment before.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use tracing::warn;

use super::stage::StageError;
use crate::engine::{Engine, EngineError};
use crate::sandbox::bring_up::{Maker, connect_to};
use crate::sandbox::transfer::broken_off;
use crate::sandbox::{Occupant, SandboxError};

/// How long the Engine may take to remove what ends.
const REMOVAL: Duration = Duration::from_secs(30);

/// Between two looks at what still uses an old volume.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

impl Maker {
    /// Ends all containers of the user but this one.
    pub(super) async fn end_containers(&self, but: &str, force: bool) -> Result<(), StageError> {
        for row in self.running().await? {
            if row.id == but {
                continue;
            }
            let channel = connect_to(&self.engine, &row.id).await.ok();
            let occupant = Occupant {
                row,
                channel,
                stats: None,
            };
            if !occupant.end(&self.engine, force).await? {
                return Err(StageError::Works);
            }
        }
        Ok(())
    }

    /// A container that was made in the moment before the commit has an old volume, and
    /// is not to be used: with it goes whatever was begun in it.
    pub(super) async fn end_what_uses_old_volumes(&self) {
        let end = Instant::now() + REMOVAL;
        while let Err(error) = self.tidy().await {
            if Instant::now() > end {
                let error = &error as &dyn std::error::Error;
                warn!(
                    error,
                    "an old volume stays until the next backup or restore"
                );
                return;
            }
            if let Ok(rows) = self.running().await {
                for row in rows {
                    let on_current = self.is_on_current(&row.id).await;
                    if on_current.is_ok_and(|on_current| !on_current) {
                        let _ = self.engine.remove(&row.id).await;
                    }
                }
            }
            sleep(LOOK_AGAIN).await;
        }
    }

    async fn is_on_current(&self, id: &str) -> Result<bool, SandboxError> {
        let current = self.volumes().await?.current;
        let found = self.engine.inspect(id).await?;
        Ok(found.is_none_or(|found| {
            found
                .workspace_volume()
                .is_none_or(|volume| volume == current)
        }))
    }
}

impl Occupant {
    /// Ends it: by its own PID 1 where that answers, so that a command that begins now is
    /// not lost. `false`: it works, and goes on.
    ///
    /// # Errors
    /// The Engine's, and those of every call.
    pub async fn end(&self, engine: &Engine, force: bool) -> Result<bool, SandboxError> {
        let id = &self.row.id;
        let removal = engine.wait_removed(id);
        if let (Some(channel), false) = (&self.channel, force) {
            let retired = channel.retire(Duration::ZERO).await;
            let retired = retired.map_err(broken_off)?;
            if !retired {
                return Ok(false);
            }
            let gone = timeout(REMOVAL, removal).await;
            if matches!(gone, Ok(Ok(_))) {
                return Ok(true);
            }
            engine.remove(id).await?;
            return Ok(true);
        }
        engine.remove(id).await?;
        match timeout(REMOVAL, removal).await {
            Ok(gone) => gone.map(|_| true).map_err(EngineError::into),
            // The Engine says itself what it waits for, at the next call.
            Err(_) => Ok(true),
        }
    }
}
