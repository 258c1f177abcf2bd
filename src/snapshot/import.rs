//! In: a new volume, which becomes the workspace when it is whole.

use bytes::Bytes;
use casemate_protocol::UploadDone;
use tokio::sync::watch;
use tracing::info;

use super::error::StageError;
use super::helper::{HelperContainer, HelperPurpose};
use super::{STALL_TIMEOUT, Snapshots};
use crate::channel::{Backup, Outgoing, Piece};
use crate::engine::{RunAs, Workspace, labels};
use crate::provision::{SandboxError, Status, broken_off, mark_of, missing};

/// A volume that is not the workspace yet.
#[derive(Debug)]
pub struct StagedVolume {
    snapshots: Snapshots,
    volume: String,
    generation: u64,
    run_as: RunAs,
    helper: HelperContainer,
}

/// An archive on its way into it.
#[derive(Debug)]
pub struct Import(pub(super) Outgoing);

/// Its content, read back.
#[derive(Debug)]
pub struct StagedExport(pub(super) Backup);

impl Snapshots {
    /// Makes a volume beside the workspace, and what is needed to fill it. Without `force` it fails
    /// while the user's sandbox is busy.
    ///
    /// # Errors
    /// [`SandboxError::DiskFull`], [`StageError::Bound`] for a user in bind mode,
    /// [`StageError::Works`], and those of every call.
    pub async fn stage(&self, force: bool) -> Result<StagedVolume, StageError> {
        let provisioner = &self.provisioner;
        if provisioner.spec.is_bound() {
            return Err(StageError::Bound);
        }
        if !force {
            // Checked again at the end, which may be hours later.
            self.must_not_work().await?;
        }
        self.tidy().await?;
        // Slow steps come before the mark and its volume.
        let (status, _) = watch::channel(Status::Absent);
        provisioner.container_spec(&status).await?;
        let generation = provisioner.volumes.list().await?.generation + 1;
        let random = uuid::Uuid::new_v4().simple().to_string();
        let volume = format!(
            "{}-g{generation}-{}",
            provisioner.spec.name.as_str(),
            &random[..8]
        );
        provisioner.volumes.check_disk(&volume).await?;
        let staged = self.make(&volume, generation).await;
        let (helper, run_as) = match staged {
            Ok(staged) => staged,
            Err(error) => {
                self.remove_volume(&volume).await;
                return Err(error.into());
            }
        };
        Ok(StagedVolume {
            snapshots: self.clone(),
            volume,
            generation,
            run_as,
            helper,
        })
    }

    async fn make(
        &self,
        volume: &str,
        generation: u64,
    ) -> Result<(HelperContainer, RunAs), SandboxError> {
        let provisioner = &self.provisioner;
        let labels = provisioner.spec.labels();
        let name = mark_of(volume);
        let owner = labels.to_map();
        let owner = owner
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        let mark: Vec<_> = owner.chain([(labels::PENDING, volume)]).collect();
        // First: without it, what follows would be the workspace.
        provisioner.engine().mark(&name, &mark).await?;
        let workspace = Workspace::Volume(volume.to_owned());
        let (status, _) = watch::channel(Status::Absent);
        let spec = provisioner
            .spec
            .container(workspace.clone(), RunAs::DEFAULT, &status);
        let mut spec = spec.await?;
        let number = [(labels::GENERATION, generation.to_string())];
        let own = provisioner.volumes.uid_to_keep().await?;
        provisioner.volumes.make(&mut spec, &number, own).await?;
        // If the mark was removed just now, the volume is the workspace.
        if !provisioner.volumes.list().await?.is_pending(volume) {
            return Err(missing(&name));
        }
        let helper = self.start_helper(HelperPurpose::Restore, workspace, spec.run_as);
        Ok((helper.await?, spec.run_as))
    }
}

impl StagedVolume {
    /// Begins to fill it.
    ///
    /// # Errors
    /// Those of every call.
    pub async fn fill(&self) -> Result<Import, SandboxError> {
        self.helper.fill().await.map(Import)
    }

    /// Begins to read all that is in it.
    ///
    /// # Errors
    /// Those of every call.
    pub async fn read_back(&self) -> Result<StagedExport, SandboxError> {
        self.helper.backup(true).await.map(StagedExport)
    }

    /// The uid that its user's code is to run as.
    pub fn uid(&self) -> u32 {
        self.run_as.uid()
    }

    /// Ends the user's containers. One that works ends only with `force`.
    ///
    /// # Errors
    /// [`StageError::Works`], and those of every call.
    pub async fn end_containers(&self, force: bool) -> Result<(), StageError> {
        self.snapshots.end_containers(&self.helper.id, force).await
    }

    /// Whether the user has a container.
    ///
    /// # Errors
    /// The Engine's.
    pub async fn is_used(&self) -> Result<bool, SandboxError> {
        let running = self.snapshots.running().await?;
        Ok(running.iter().any(|row| row.id != self.helper.id))
    }

    /// As [`Self::commit`], where the user has no container by now: nothing was written to the
    /// workspace since it was read last. One that starts in the milliseconds between this look and
    /// the exchange is ended after it, and what it wrote until then is lost.
    ///
    /// # Errors
    /// As there.
    pub async fn commit_unused(self) -> Result<(), StageError> {
        match self.is_used().await {
            Ok(false) => self.commit(false).await,
            Ok(true) => {
                self.abandon().await;
                Err(StageError::Works)
            }
            Err(error) => {
                self.abandon().await;
                Err(error.into())
            }
        }
    }

    /// Makes it the workspace. The user's containers end first; with `force` even busy ones. What
    /// they write until they have ended is lost, like all that was written since the backup.
    ///
    /// # Errors
    /// [`StageError::Works`] without `force`, [`StageError::Overtaken`] when another
    /// restore of this user was faster; then nothing has changed. [`StageError::Unknown`].
    pub async fn commit(self, force: bool) -> Result<(), StageError> {
        let ready = self.ready(force).await;
        if let Err(error) = ready {
            self.abandon().await;
            return Err(error);
        }
        let Self {
            snapshots,
            volume,
            helper,
            ..
        } = self;
        let provisioner = &snapshots.provisioner;
        if let Err(error) = provisioner.engine().remove_mark(&mark_of(&volume)).await {
            let current = provisioner
                .volumes
                .list()
                .await
                .map(|volumes| volumes.current);
            if !current.is_ok_and(|current| current == volume) {
                // It may have happened, or happen in a moment: then the user's files are here, and
                // only a later look can tell. A volume that never becomes the workspace is
                // removed later.
                helper.close().await;
                return Err(StageError::Unknown(error));
            }
        }
        info!(volume, user = %provisioner.spec.identity.user, "the workspace was exchanged");
        // It was exchanged even if the Engine does not answer this.
        let now = provisioner.volumes.list().await;
        let overtaken = now.is_ok_and(|now| now.current != volume);
        if !overtaken {
            snapshots.end_what_uses_old_volumes().await;
        }
        helper.close().await;
        if overtaken {
            return Err(StageError::Overtaken);
        }
        Ok(())
    }

    /// The last check before the exchange.
    async fn ready(&self, force: bool) -> Result<(), StageError> {
        self.snapshots
            .end_containers(&self.helper.id, force)
            .await?;
        if self.snapshots.provisioner.volumes.list().await?.generation >= self.generation {
            return Err(StageError::Overtaken);
        }
        Ok(())
    }

    /// Removes it again.
    pub async fn abandon(self) {
        self.helper.close().await;
        self.snapshots.remove_volume(&self.volume).await;
    }
}

impl Import {
    /// Hands on some of the archive, 256 KiB at most.
    ///
    /// # Errors
    /// [`SandboxError::Failed`] with the entry that could not be made.
    pub async fn send(&mut self, data: Bytes) -> Result<(), SandboxError> {
        self.0.send(data, STALL_TIMEOUT).await.map_err(broken_off)
    }

    /// Ends the archive; returns when it is on the disk.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub async fn end(self) -> Result<UploadDone, SandboxError> {
        self.0.end(STALL_TIMEOUT).await.map_err(broken_off)
    }
}

impl StagedExport {
    /// The next bytes; `None` at the end.
    ///
    /// # Errors
    /// As [`super::Export::next`].
    pub async fn next(&mut self) -> Result<Option<Bytes>, SandboxError> {
        match self.0.next(STALL_TIMEOUT).await.map_err(broken_off)? {
            Piece::Data(data) => Ok(Some(data)),
            Piece::End(_) => Ok(None),
        }
    }
}
