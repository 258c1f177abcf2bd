//! Ends containers: all of a user before another volume is the workspace, and those that were made
//! at the last moment on the old one.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tracing::warn;

use super::Snapshots;
use super::error::StageError;
use super::helper::HelperPurpose;
use crate::engine::ContainerSummary;
use crate::provision::{LiveSandbox, SandboxError, connect, connect_to};

/// How long the Engine may take to remove what ends.
const REMOVAL_TIMEOUT: Duration = Duration::from_secs(30);

/// Between two looks at what still uses an old volume.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

impl Snapshots {
    /// Ends all containers of the user except this one.
    pub(super) async fn end_containers(&self, except: &str, force: bool) -> Result<(), StageError> {
        for row in self.running().await? {
            if row.id == except || self.is_for_another_restore(&row).await? {
                continue;
            }
            let channel = connect_to(self.provisioner.engine(), &row.id).await.ok();
            let sandbox = LiveSandbox {
                row,
                channel,
                stats: None,
            };
            if !sandbox.end(self.provisioner.engine(), force).await? {
                return Err(StageError::Works);
            }
        }
        Ok(())
    }

    /// Fails if one of the user's containers is busy.
    pub(super) async fn must_not_work(&self) -> Result<(), StageError> {
        let mut rows = self.running().await?;
        rows.retain(|row| !self.is_restore(row));
        for sandbox in connect(self.provisioner.engine(), rows).await {
            let works = match &sandbox.stats {
                Some(stats) => stats.idle_ms == 0 || !stats.commands.is_empty(),
                None => sandbox.may_work(self.provisioner.engine()).await?,
            };
            if works {
                return Err(StageError::Works);
            }
        }
        Ok(())
    }

    /// Whether it is a helper container that fills a volume.
    pub(super) fn is_restore(&self, row: &ContainerSummary) -> bool {
        let start = format!(
            "{}-{}-",
            self.provisioner.spec.name.as_str(),
            HelperPurpose::Restore.word()
        );
        row.name.starts_with(&start) && row.is_helper()
    }

    /// Whether its volume is not the workspace yet: that restore reports that it was overtaken.
    async fn is_for_another_restore(&self, row: &ContainerSummary) -> Result<bool, SandboxError> {
        if !self.is_restore(row) {
            return Ok(false);
        }
        let found = self.provisioner.engine().inspect(&row.id).await?;
        let pending = self.provisioner.volumes.list().await?;
        let volume = found
            .as_ref()
            .and_then(|found| found.workspace_volume.as_deref());
        Ok(volume.is_some_and(|volume| pending.is_pending(volume)))
    }

    /// A container that was made in the moment before the commit has an old volume, and
    /// must not be used: it is removed with all that was begun in it.
    pub(super) async fn end_what_uses_old_volumes(&self) {
        let end = Instant::now() + REMOVAL_TIMEOUT;
        while let Err(error) = self.remove_leftovers().await {
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
                        let _ = self.provisioner.engine().remove(&row.id).await;
                    }
                }
            }
            sleep(POLL_INTERVAL).await;
        }
    }

    async fn is_on_current(&self, id: &str) -> Result<bool, SandboxError> {
        let volumes = self.provisioner.volumes.list().await?;
        let found = self.provisioner.engine().inspect(id).await?;
        let volume = found
            .as_ref()
            .and_then(|found| found.workspace_volume.as_deref());
        // A volume that a newer restore fills does not count.
        Ok(volume.is_none_or(|volume| volume == volumes.current || volumes.is_pending(volume)))
    }
}
