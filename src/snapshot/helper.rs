//! A container of ours on one volume, for a backup, a restore or a look.

use std::time::Duration;

use casemate_protocol::UploadBegin;
use tokio::sync::watch;
use tokio::time::timeout;
use tracing::warn;

use super::{STALL_TIMEOUT, Snapshots};
use crate::channel::{Backup, Channel, Outgoing};
use crate::engine::{ContainerSpec, Engine, RunAs, Workspace, labels};
use crate::provision::{REMOVAL_TIMEOUT, SandboxError, Status, broken_off};

/// Between two steps a helper container waits only for the object store.
pub(super) const IDLE_TIMEOUT: Duration = Duration::from_secs(600);

/// What one is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HelperPurpose {
    /// To read the workspace.
    Backup,
    /// To fill a volume that is to be the workspace.
    Restore,
    /// To ask when the workspace was used last.
    Look,
}

impl HelperPurpose {
    /// In the name of its container.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Backup => "backup",
            Self::Restore => "restore",
            Self::Look => "look",
        }
    }
}

/// A helper container that runs, and whose PID 1 answers.
#[derive(Debug)]
pub(super) struct HelperContainer {
    pub(super) engine: Engine,
    pub(super) id: String,
    pub(super) channel: Channel,
}

impl Snapshots {
    /// Makes a helper container on this workspace.
    ///
    /// # Errors
    /// [`EngineError::Missing`] where the volume is not what it was: somebody has removed it,
    /// or it is the workspace, or is not any more.
    pub(super) async fn start_helper(
        &self,
        purpose: HelperPurpose,
        workspace: Workspace,
        run_as: RunAs,
    ) -> Result<HelperContainer, SandboxError> {
        let (status, _) = watch::channel(Status::Absent);
        let mut spec = self
            .provisioner
            .spec
            .container(workspace, run_as, &status)
            .await?;
        spec.labels.mode = labels::HELPER_MODE.to_owned();
        spec.init_args = self.provisioner.spec.helper_args(IDLE_TIMEOUT);
        // A file that was backed up must be restored, even if the size limit is lower now.
        spec.limits.file_size = u64::MAX;
        let random = uuid::Uuid::new_v4().simple().to_string();
        let (user, kind) = (self.provisioner.spec.name.as_str(), purpose.word());
        let name = format!("{user}-{kind}-{}", &random[..12]);
        match self.begin_helper(purpose, &spec, &name).await {
            // Its server was killed between the making of the volume and this.
            Err(SandboxError::NotOwner) => {
                self.provisioner.volumes.give_to_user(&spec).await?;
                self.begin_helper(purpose, &spec, &format!("{name}-2"))
                    .await
            }
            begun => begun,
        }
    }

    async fn begin_helper(
        &self,
        purpose: HelperPurpose,
        spec: &ContainerSpec,
        name: &str,
    ) -> Result<HelperContainer, SandboxError> {
        let created = self.provisioner.engine().create(name, spec).await?;
        let begun = async {
            self.must_be_for(purpose, spec).await?;
            Ok((self.provisioner.creator.begin(&created.id).await?).0)
        };
        match begun.await {
            Ok(channel) => Ok(HelperContainer {
                engine: self.provisioner.engine().clone(),
                id: created.id,
                channel,
            }),
            Err(error) => {
                let _ = self.provisioner.engine().remove(&created.id).await;
                self.provisioner.volumes.remove_remade(spec).await;
                Err(error)
            }
        }
    }

    /// Before it is made, minutes may go by until the image is ready.
    async fn must_be_for(
        &self,
        purpose: HelperPurpose,
        spec: &ContainerSpec,
    ) -> Result<(), SandboxError> {
        match purpose {
            HelperPurpose::Backup | HelperPurpose::Look => {
                self.provisioner.volumes.verify_current(spec).await?
            }
            HelperPurpose::Restore => self.provisioner.volumes.verify_pending(spec).await?,
        };
        Ok(())
    }
}

impl HelperContainer {
    /// Begins to read all of it.
    pub(super) async fn backup(&self, shared: bool) -> Result<Backup, SandboxError> {
        let backup = self.channel.backup(shared, STALL_TIMEOUT).await;
        backup.map_err(broken_off)
    }

    /// Begins to make it as the archive of a backup says.
    pub(super) async fn fill(&self) -> Result<Outgoing, SandboxError> {
        let begin = UploadBegin {
            unpack: true,
            exact: true,
            limit: u64::MAX,
            ..UploadBegin::default()
        };
        let upload = self.channel.upload(begin, STALL_TIMEOUT).await;
        upload.map_err(broken_off)
    }

    /// Ends it; afterwards its volume is free.
    pub(super) async fn close(self) {
        let gone = self.engine.ended(&self.id);
        if self.channel.retire_at_once().await.is_err()
            && let Err(error) = self.engine.remove(&self.id).await
        {
            let error = &error as &dyn std::error::Error;
            warn!(
                container = self.id,
                error, "it ends itself without its server"
            );
            return;
        }
        let _ = timeout(REMOVAL_TIMEOUT, gone).await;
    }
}
