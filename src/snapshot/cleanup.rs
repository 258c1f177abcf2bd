//! What a restore has left: workspaces of the past, and what was never whole.

use std::time::SystemTime;

use tracing::{debug, info, warn};

use super::Snapshots;
use crate::engine::{ContainerSummary, EngineError, labels};
use crate::provision::{HELPER_MODE, SandboxError, is_abandoned, mark_of};

impl Snapshots {
    /// Takes away what an end in the middle of a restore has left. What is in use stays.
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
        let volumes = self.provisioner.volumes().await?;
        for mark in &volumes.marks {
            if mark.is_young(SystemTime::now()) {
                continue;
            }
            if mark.is_for_one {
                match self.provisioner.engine.remove_volume(&mark.volume).await {
                    // A restore that runs.
                    Err(EngineError::InUse { .. }) => continue,
                    removed => removed?,
                }
                info!(volume = mark.volume, "removed what was never whole");
            }
            // Behind its volume: without it that would be the workspace.
            self.provisioner.engine.remove_volume(&mark.name).await?;
        }
        // What is whole goes only when what came after it is there.
        if volumes.old.is_empty() || !self.provisioner.engine.has_volume(&volumes.current).await? {
            return Ok(());
        }
        for old in &volumes.old {
            self.provisioner.engine.remove_volume(old).await?;
            info!(
                volume = old,
                current = volumes.current,
                "removed an old workspace"
            );
        }
        Ok(())
    }

    /// One whose server was killed before it was started ends never, and keeps its volume; so
    /// does what was to give a volume its owner.
    async fn remove_abandoned_helpers(&self) -> Result<(), SandboxError> {
        let is_helper = |row: &ContainerSummary| {
            row.labels
                .get(labels::MODE)
                .is_some_and(|m| m == HELPER_MODE)
        };
        for row in self.not_over().await? {
            let is_ours = is_helper(&row) || row.gives_an_owner();
            if is_ours && is_abandoned(&row, SystemTime::now()) {
                self.provisioner.engine.remove(&row.id).await?;
                info!(container = row.name, "removed what was never started");
            }
        }
        Ok(())
    }

    /// Takes away a volume that never became the workspace, and then its mark.
    pub(super) async fn take_away_volume(&self, volume: &str) {
        for name in [volume, &mark_of(volume)] {
            if let Err(error) = self.provisioner.engine.remove_volume(name).await {
                let error = &error as &dyn std::error::Error;
                warn!(volume, error, "the next backup or restore removes it");
                return;
            }
        }
        debug!(volume, "taken away");
    }
}
