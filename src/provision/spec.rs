//! What a user's container is to be: its name, its workspace, its specification.

use std::time::Duration;

use tokio::sync::watch;
use tracing::info;

use super::bind::{self, ProtectedPaths};
use super::disk::disk_free;
use super::error::SandboxError;
use super::provisioner::Provisioner;
use super::status::Status;
use crate::config::{Bind, Mode};
use crate::engine::{
    Capabilities, ContainerSpec, Engine, EngineError, ImageState, Labels, Limits, PreparedImage,
    Quota, RunAs, UidRange, VolumeDriver, Workspace,
};

/// Largest file in a workspace without a quota, 2 GiB.
const FILE_SIZE: u64 = 2 << 30;

/// How long a container that no other server may use outlives its channel.
const ORPHAN_TTL: Duration = Duration::from_secs(30);

/// One CPU, in the Engine's unit.
const NANO_CPUS: u64 = 1_000_000_000;

/// casemate-init, as it is put into every image.
pub const INIT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/casemate-init"));

/// How far `image` is on its way to this server's sandboxes. Takes no step of it.
///
/// # Errors
/// The Engine's.
pub async fn image_state(
    engine: &Engine,
    image: &str,
    uids: UidRange,
) -> Result<ImageState, EngineError> {
    engine.image_state(image, INIT, uids).await
}

impl Provisioner {
    /// Whether the container is for more than one command, and for other servers too.
    pub fn is_long_lived(&self) -> bool {
        self.settings.mode != Mode::Ephemeral
    }

    /// Of the container for all calls. Another directory is another sandbox: a server
    /// that is started in it must not find the container of the first.
    pub fn lasting_name(&self) -> String {
        match self.bound() {
            None => self.name.as_str().to_owned(),
            Some(place) => format!("{}-bind-{}", self.name.as_str(), place.short_hash()),
        }
    }

    /// Of the next container: one that is used once has a name that nobody else knows.
    pub fn next_name(&self) -> String {
        if self.is_long_lived() {
            return self.lasting_name();
        }
        let random = uuid::Uuid::new_v4().simple().to_string();
        format!("{}-{}", self.name.as_str(), &random[..12])
    }

    pub async fn spec(
        &self,
        status: &watch::Sender<Status>,
    ) -> Result<ContainerSpec, SandboxError> {
        let capabilities = self.engine.capabilities().await?;
        let (workspace, run_as) = self.workspace(&capabilities).await?;
        self.spec_on(workspace, run_as, status).await
    }

    /// As [`Self::spec`], with this workspace.
    pub async fn spec_on(
        &self,
        workspace: Workspace,
        run_as: RunAs,
        status: &watch::Sender<Status>,
    ) -> Result<ContainerSpec, SandboxError> {
        let settings = &self.settings;
        let capabilities = self.engine.capabilities().await?;
        let quota = self.quota().await?;
        Ok(ContainerSpec {
            image: self.image(status).await?,
            run_as,
            labels: self.labels(),
            init_args: self.init_args(),
            workspace,
            volume_driver: VolumeDriver::local(quota, settings.quota.0),
            made_for: uuid::Uuid::new_v4().simple().to_string(),
            limits: Limits {
                memory: settings.memory.0,
                // The Engine refuses more than its host has.
                nano_cpus: settings
                    .cpus
                    .0
                    .min(u64::from(capabilities.cpus) * NANO_CPUS),
                pids: settings.pids,
                file_size: match quota {
                    Quota::Project => settings.quota.0,
                    Quota::None => FILE_SIZE,
                },
            },
            runtime: capabilities.default_runtime.clone(),
            apparmor: capabilities.apparmor,
            swap_limit: capabilities.swap_limit,
        })
    }

    /// As it is now: a restore may give the user another.
    pub async fn workspace(
        &self,
        engine: &Capabilities,
    ) -> Result<(Workspace, RunAs), SandboxError> {
        let Some(place) = self.bound() else {
            let volumes = self.volumes().await?;
            let run_as = volumes.run_as();
            return Ok((Workspace::Volume(volumes.current), run_as));
        };
        bind::check_engine(self.engine.address(), engine)?;
        let bound = bind::directory(place, &ProtectedPaths::on_this_machine(&engine.root_dir))?;
        Ok((Workspace::Bind(bound.path), bound.run_as))
    }

    /// What keeps the workspace from filling the Engine's disk. A directory of the host
    /// is its owner's own business.
    pub async fn quota(&self) -> Result<Quota, SandboxError> {
        if self.settings.mode == Mode::Bind {
            return Ok(Quota::None);
        }
        Ok(self.engine.quota().await?)
    }

    /// Room for a user who has no workspace yet, where this machine can see the
    /// Engine's disk.
    pub async fn check_disk(&self, volume: &str) -> Result<(), SandboxError> {
        let floor = self.context.config.min_free_disk.0;
        if floor == 0 {
            return Ok(());
        }
        let Some(free) = disk_free(&self.engine).await? else {
            return Ok(());
        };
        if free >= floor || self.engine.has_volume(volume).await? {
            return Ok(());
        }
        Err(SandboxError::DiskFull { free, floor })
    }

    /// Whether the workspace is a directory of the host.
    pub fn is_bound(&self) -> bool {
        self.bound().is_some()
    }

    /// The directory that is the workspace; `None`: a volume is.
    fn bound(&self) -> Option<bind::BindTarget<'_>> {
        let bind = self.context.config.bind.as_ref();
        let bind = bind.filter(|_| self.settings.mode == Mode::Bind)?;
        Some(match bind {
            Bind::Root(root) => bind::BindTarget::Beneath(root.as_path(), self.name.user_part()),
            Bind::Dir(dir) => bind::BindTarget::Exactly(dir.as_path()),
        })
    }

    fn init_args(&self) -> Vec<String> {
        let settings = &self.settings;
        let background_ttl = settings.background_ttl.as_millis();
        let mut args = vec![
            format!("--idle-timeout-ms={}", settings.idle_timeout.as_millis()),
            format!("--background-ttl-ms={background_ttl}"),
        ];
        args.push(format!(
            "--disk-floor-bytes={}",
            self.context.config.min_free_disk.0
        ));
        if !self.is_long_lived() {
            args.push(format!("--orphan-ttl-ms={}", ORPHAN_TTL.as_millis()));
        }
        args
    }

    /// Of PID 1 in a container that no other server uses, and that waits for its server at
    /// most so long.
    pub fn errand_args(&self, idle: Duration) -> Vec<String> {
        vec![
            format!("--idle-timeout-ms={}", idle.as_millis()),
            "--background-ttl-ms=0".to_owned(),
            format!("--disk-floor-bytes={}", self.context.config.min_free_disk.0),
            format!("--orphan-ttl-ms={}", ORPHAN_TTL.as_millis()),
        ]
    }

    async fn image(&self, status: &watch::Sender<Status>) -> Result<PreparedImage, SandboxError> {
        let before = status.send_replace(Status::Preparing);
        let _one_at_a_time = self.context.preparing.lock().await;
        let image = self.settings.image.as_str();
        let progress = |step: &str| info!(image, step, "preparing the image");
        let uids = self.context.uids().await?;
        let prepared = self.engine.prepared_image(image, INIT, uids, progress);
        let prepared = prepared.await?;
        status.send_replace(before);
        Ok(prepared)
    }

    pub fn labels(&self) -> Labels {
        Labels {
            instance: self.context.config.instance.as_str().to_owned(),
            user: self.user.subject.as_str().to_owned(),
            issuer: self.user.issuer.as_str().to_owned(),
            mode: self.settings.mode.as_str().to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            node: self.context.node.clone(),
            epoch: 0,
            since: self.context.since.clone(),
        }
    }
}
