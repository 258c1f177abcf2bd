//! A version of shared data: a new volume, which counts when it is whole.
//!
//! ```text
//! begin ─► fill ─► read it back ─► commit: a head names it ─► close
//!   └────────┴──────────┴─► abandon: the volume is removed
//! ```
//!
//! The helper container runs as root, so that the files are root's; it has no capability, and nothing
//! except the new volume. It keeps the volume in use until the version counts, so that it is
//! not removed as a leftover. Killed at any point, the share has the versions that it had before.

mod head;

use std::collections::BTreeMap;

use tokio::sync::watch;
use tracing::{info, warn};

use super::helper::{HelperContainer, IDLE_TIMEOUT};
use super::import::{Import, StagedExport};
use super::{STALL_TIMEOUT, Snapshots};
use crate::config::SharedName;
use crate::engine::{ContainerSpec, Engine, EngineError, RunAs, Workspace, labels, version_volume};
use crate::identity::{Instance, User};
use crate::provision::{SHARED_ISSUER, SandboxError, Status, broken_off, sort_shared};

pub use head::make_head;

/// Why there is no new version.
#[derive(Debug, thiserror::Error)]
pub enum SharedStageError {
    /// Another `put` fills the volume of this version, or sandboxes have it without a head.
    #[error(
        "{volume} is in use: another `casemate shared put` of the same content runs; if none does, \
         its head was lost and sandboxes have it, which must end first"
    )]
    Busy {
        /// The volume.
        volume: String,
    },
    /// A volume of this name is not ours.
    #[error("the volume {volume} exists and is not of this share")]
    Foreign {
        /// The volume.
        volume: String,
    },
    /// The errors of every call.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
}

impl From<EngineError> for SharedStageError {
    fn from(error: EngineError) -> Self {
        Self::Sandbox(error.into())
    }
}

/// A version that does not count yet.
#[derive(Debug)]
pub struct SharedStage {
    engine: Engine,
    instance: Instance,
    name: SharedName,
    volume: OwnVolume,
    helper: HelperContainer,
}

/// A volume that this `put` has made: another may have one of the same name later.
#[derive(Debug)]
struct OwnVolume {
    name: String,
    token: String,
}

/// The user that the helper container of a share is of. No credential can name it.
pub fn shared_user(name: &SharedName) -> User {
    User {
        issuer: SHARED_ISSUER.parse().expect("an issuer"),
        subject: name.as_str().parse().expect("a subject"),
    }
}

impl Snapshots {
    /// Makes the volume of a version with this hash, and what is needed to fill it. Of the user
    /// [`shared_user`].
    ///
    /// # Errors
    /// [`SharedStageError::Busy`], [`SandboxError::DiskFull`], and those of every call.
    pub async fn stage_shared(
        &self,
        name: &SharedName,
        hash: &str,
    ) -> Result<SharedStage, SharedStageError> {
        let provisioner = &self.provisioner;
        let instance = provisioner.context.config.instance.clone();
        let volume = version_volume(instance.as_str(), name.as_str(), hash);
        // Slow steps come before the volume.
        let spec = self.shared_spec(&volume).await?;
        provisioner.volumes.check_disk(&volume).await?;
        remove_incomplete(self.engine(), &instance, name, &volume).await?;
        let token = spec.made_for.clone();
        let labels = [
            (labels::INSTANCE, instance.as_str()),
            (labels::SHARED, name.as_str()),
            (labels::SHARED_VERSION, hash),
            (labels::MADE_FOR, token.as_str()),
            (labels::VERSION, env!("CARGO_PKG_VERSION")),
        ];
        let made = self
            .engine()
            .make_shared_volume(&volume, map(&labels))
            .await?;
        if made.labels.get(labels::MADE_FOR) != Some(&token) {
            return Err(SharedStageError::Busy { volume });
        }
        let own = OwnVolume {
            name: volume,
            token,
        };
        match self.start_shared_helper(&spec, &own.name).await {
            Ok(helper) => Ok(SharedStage {
                engine: self.engine().clone(),
                instance,
                name: name.clone(),
                volume: own,
                helper,
            }),
            Err(error) => {
                provisioner.volumes.remove_remade(&spec).await;
                own.remove(self.engine()).await;
                Err(error)
            }
        }
    }

    async fn shared_spec(&self, volume: &str) -> Result<ContainerSpec, SandboxError> {
        let (status, _) = watch::channel(Status::Absent);
        let workspace = Workspace::Volume(volume.to_owned());
        let spec = &self.provisioner.spec;
        let mut args = spec.helper_args(IDLE_TIMEOUT);
        args.push("--bare=yes".to_owned());
        let mut spec = spec
            .container(workspace, RunAs::SHARED_DATA, &status)
            .await?;
        labels::HELPER_MODE.clone_into(&mut spec.labels.mode);
        spec.init_args = args;
        spec.limits.file_size = u64::MAX;
        // No size limit of a user's.
        spec.volume_size = None;
        Ok(spec)
    }

    async fn start_shared_helper(
        &self,
        spec: &ContainerSpec,
        volume: &str,
    ) -> Result<HelperContainer, SharedStageError> {
        let engine = self.engine();
        let random = uuid::Uuid::new_v4().simple().to_string();
        let name = format!(
            "{}-put-{}",
            self.provisioner.spec.name.as_str(),
            &random[..12]
        );
        let created = engine.create(&name, spec).await?;
        let begun = async {
            // It may have been removed before the create call, which then has made another.
            let found = engine.inspect_volume(volume).await?;
            let found = found.and_then(|row| row.labels.get(labels::MADE_FOR).cloned());
            if found.as_ref() != Some(&spec.made_for) {
                let volume = volume.to_owned();
                return Err(SharedStageError::Busy { volume });
            }
            Ok(self.provisioner.creator.begin(&created.id).await?.0)
        };
        match begun.await {
            Ok(channel) => Ok(HelperContainer {
                engine: engine.clone(),
                id: created.id,
                channel,
            }),
            Err(error) => {
                let _ = engine.remove(&created.id).await;
                Err(error)
            }
        }
    }
}

impl SharedStage {
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
        let backup = self.helper.channel.backup(true, STALL_TIMEOUT).await;
        backup.map(StagedExport).map_err(broken_off)
    }

    /// Makes it the version that new containers have: it has these bytes and entries.
    ///
    /// # Errors
    /// The Engine's. It may have happened even so; the volume stays then.
    pub async fn commit(self, version: &str, bytes: u64, entries: u64) -> Result<(), EngineError> {
        let (engine, instance) = (&self.engine, &self.instance);
        let made = make_head(engine, instance, &self.name, version, bytes, entries).await;
        self.helper.close().await;
        made?;
        let volume = &self.volume.name;
        info!(share = %self.name, volume, "it has a new version");
        Ok(())
    }

    /// Removes it again.
    pub async fn abandon(self) {
        self.helper.close().await;
        self.volume.remove(&self.engine).await;
    }
}

/// Removes what a `put` of the same content has left that was killed.
async fn remove_incomplete(
    engine: &Engine,
    instance: &Instance,
    name: &SharedName,
    volume: &str,
) -> Result<(), SharedStageError> {
    let Some(found) = engine.inspect_volume(volume).await? else {
        return Ok(());
    };
    let rows = engine.shared_volumes(instance.as_str()).await?;
    let shares = sort_shared(instance.as_str(), rows);
    let share = shares.get(name);
    let is_incomplete =
        share.is_some_and(|share| share.incomplete.iter().any(|row| row.name == found.name));
    let volume = volume.to_owned();
    if !is_incomplete {
        return Err(match share.and_then(|share| share.version(&volume)) {
            // Another `put` of it has ended just now.
            Some(_) => SharedStageError::Busy { volume },
            None => SharedStageError::Foreign { volume },
        });
    }
    match engine.remove_volume(&volume).await {
        Err(EngineError::InUse { .. }) => Err(SharedStageError::Busy { volume }),
        removed => Ok(removed?),
    }
}

impl OwnVolume {
    async fn remove(&self, engine: &Engine) {
        let removed = async {
            let found = engine.inspect_volume(&self.name).await?;
            let is_own =
                found.is_some_and(|row| row.labels.get(labels::MADE_FOR) == Some(&self.token));
            match is_own {
                true => engine.remove_volume(&self.name).await,
                false => Ok(()),
            }
        };
        if let Err(error) = removed.await {
            let error = &error as &dyn std::error::Error;
            let volume = &self.name;
            warn!(volume, error, "the clean-up removes it later");
        }
    }
}

fn map(labels: &[(&str, &str)]) -> BTreeMap<String, String> {
    let labels = labels.iter();
    labels
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}
