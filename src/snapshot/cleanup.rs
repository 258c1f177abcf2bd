//! Removes what a restore has left: older workspaces, and incomplete volumes.

use std::time::SystemTime;

use tracing::{debug, info, warn};

use super::Snapshots;
use crate::engine::EngineError;
use crate::provision::{SandboxError, is_abandoned, mark_of};

impl Snapshots {
    /// Removes what an interrupted restore has left, except what is in use.
    ///
    /// # Errors
    /// The Engine's.
    pub async fn tidy(&self) -> Result<(), SandboxError> {
        match self.remove_leftovers().await {
            // The next time, then.
            Err(SandboxError::Engine(error)) if matches!(*error, EngineError::InUse { .. }) => {
                Ok(())
            }
            done => done,
        }
    }

    /// As [`Self::tidy`], with [`EngineError::InUse`] where an old workspace is in use.
    pub(super) async fn remove_leftovers(&self) -> Result<(), SandboxError> {
        self.remove_abandoned_helpers().await?;
        let volumes = self.provisioner.volumes.list().await?;
        for mark in &volumes.marks {
            if mark.is_young(SystemTime::now()) {
                continue;
            }
            if mark.is_for_one {
                match self.provisioner.engine().remove_volume(&mark.volume).await {
                    // A restore that runs.
                    Err(EngineError::InUse { .. }) => continue,
                    removed => removed?,
                }
                info!(volume = mark.volume, "removed an incomplete volume");
            }
            // After its volume: without the mark, that would be the workspace.
            self.provisioner.engine().remove_mark(&mark.name).await?;
        }
        // An older workspace goes only when the current one exists.
        if volumes.old.is_empty()
            || !self
                .provisioner
                .engine()
                .has_volume(&volumes.current)
                .await?
        {
            return Ok(());
        }
        for old in &volumes.old {
            self.provisioner.engine().remove_volume(old).await?;
            info!(
                volume = old,
                current = volumes.current,
                "removed an old workspace"
            );
        }
        Ok(())
    }

    /// A helper container whose server was killed before it was started never ends, and keeps its
    /// volume in use; so does a container that was to give a volume its owner.
    async fn remove_abandoned_helpers(&self) -> Result<(), SandboxError> {
        for row in self.not_over().await? {
            let is_ours = row.is_helper() || row.gives_an_owner();
            if is_ours && is_abandoned(&row, SystemTime::now()) {
                self.provisioner.engine().remove(&row.id).await?;
                info!(
                    container = row.name,
                    "removed a container that was never started"
                );
            }
        }
        Ok(())
    }

    /// Removes a volume that never became the workspace, and then its mark.
    pub(super) async fn remove_volume(&self, volume: &str) {
        for name in [volume, &mark_of(volume)] {
            if let Err(error) = self.provisioner.engine().remove_volume(name).await {
                let error = &error as &dyn std::error::Error;
                warn!(volume, error, "the next backup or restore removes it");
                return;
            }
        }
        debug!(volume, "removed");
    }
}
