//! What the container of a workspace is to be: its name, its workspace, its specification.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tracing::info;

use super::bind;
use super::context::ServerContext;
use super::error::SandboxError;
use super::status::Status;
use crate::config::{Bind, Mode, Profile, SandboxSettings};
use crate::engine::{
    Capabilities, ContainerSpec, EngineError, Labels, Limits, PreparedImage, Quota, RunAs,
    Workspace,
};
use crate::identity::{Identity, SandboxName};

/// Largest file in a workspace without a quota, 2 GiB.
const FILE_SIZE: u64 = 2 << 30;

/// How long a container that no other server may use outlives its channel.
const ORPHAN_TTL: Duration = Duration::from_secs(30);

/// One CPU, in the Engine's unit.
const NANO_CPUS: u64 = 1_000_000_000;

/// What the containers of one workspace are to be.
#[derive(Debug, Clone)]
pub struct Spec {
    context: Arc<ServerContext>,
    pub identity: Identity,
    pub settings: Arc<SandboxSettings>,
    pub name: SandboxName,
}

impl Spec {
    pub fn new(context: &Arc<ServerContext>, identity: &Identity) -> Self {
        Self {
            context: context.clone(),
            identity: identity.clone(),
            settings: context.config.for_identity(identity),
            name: SandboxName::new(&context.config.instance, &identity.workspace_id()),
        }
    }

    /// Whether the container is for more than one command, and for other servers too.
    pub fn is_long_lived(&self) -> bool {
        self.settings.mode != Mode::Ephemeral
    }

    /// The name of the container for all calls. In bind mode each directory has its own sandbox: a
    /// server for one directory must not find the container of another.
    pub fn lasting_name(&self) -> String {
        match self.bind_target() {
            None => self.name.as_str().to_owned(),
            Some(target) => format!("{}-bind-{}", self.name.as_str(), target.short_hash()),
        }
    }

    /// The name of the next container. One that is used once has a random name.
    pub fn next_name(&self) -> String {
        if self.is_long_lived() {
            return self.lasting_name();
        }
        let random = uuid::Uuid::new_v4().simple().to_string();
        format!("{}-{}", self.name.as_str(), &random[..12])
    }

    /// The specification of a container on this workspace, with an image that is ready and without
    /// shared data.
    ///
    /// # Errors
    /// [`EngineError::Unlimited`]: no container runs with less than its limits.
    /// [`EngineError::NoRuntime`]: or on another runtime than its profile's.
    pub async fn container(
        &self,
        workspace: Workspace,
        run_as: RunAs,
        status: &watch::Sender<Status>,
    ) -> Result<ContainerSpec, SandboxError> {
        let settings = &self.settings;
        let capabilities = self.context.engine.capabilities().await?;
        must_limit(&capabilities)?;
        let quota = self.quota().await?;
        // No code of a user's runs as root, in a helper container for shared data.
        let profile = match run_as {
            RunAs::SHARED_DATA => Profile::Standard,
            _ => settings.profile,
        };
        let runtime = match profile {
            Profile::Standard => &capabilities.default_runtime,
            Profile::High => &self.context.config.runtime,
        };
        if profile == Profile::High {
            capabilities.must_have(runtime)?;
        }
        Ok(ContainerSpec {
            image: self.image(profile, status).await?,
            run_as,
            labels: self.labels(),
            init_args: self.init_args(),
            workspace,
            volume_size: (quota == Quota::Volume).then_some(settings.quota.0),
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
                    Quota::Volume => settings.quota.0,
                    Quota::None => FILE_SIZE,
                },
            },
            engine: capabilities.kind,
            runtime: runtime.clone(),
            separate_init: profile == Profile::High,
            shared: Vec::new(),
            apparmor: capabilities.apparmor,
            swap_limit: capabilities.swap_limit,
        })
    }

    /// What keeps the workspace from filling the Engine's disk. A directory of the host has no
    /// limit.
    async fn quota(&self) -> Result<Quota, SandboxError> {
        if self.settings.mode == Mode::Bind {
            return Ok(Quota::None);
        }
        Ok(self.context.engine.quota().await?)
    }

    /// Whether the workspace is a directory of the host.
    pub fn is_bound(&self) -> bool {
        self.bind_target().is_some()
    }

    /// The directory that is the workspace; `None`: a volume is.
    pub fn bind_target(&self) -> Option<bind::BindTarget<'_>> {
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

    /// The arguments of PID 1 in a helper container, which waits `idle` for its server at most.
    pub fn helper_args(&self, idle: Duration) -> Vec<String> {
        vec![
            format!("--idle-timeout-ms={}", idle.as_millis()),
            "--background-ttl-ms=0".to_owned(),
            format!("--disk-floor-bytes={}", self.context.config.min_free_disk.0),
            format!("--orphan-ttl-ms={}", ORPHAN_TTL.as_millis()),
        ]
    }

    async fn image(
        &self,
        profile: Profile,
        status: &watch::Sender<Status>,
    ) -> Result<PreparedImage, SandboxError> {
        let before = status.send_replace(Status::Preparing);
        let _one_at_a_time = self.context.preparing.lock().await;
        let image = self.settings.image.as_str();
        let progress = |step: &str| info!(image, step, "preparing the image");
        let uids = self.context.uids().await?;
        let files = self.context.files(profile);
        let prepared = self
            .context
            .engine
            .prepared_image(image, files, uids, progress)
            .await?;
        status.send_replace(before);
        Ok(prepared)
    }

    pub fn labels(&self) -> Labels {
        Labels {
            instance: self.context.config.instance.as_str().to_owned(),
            user: self.identity.user.subject.as_str().to_owned(),
            issuer: self.identity.user.issuer.as_str().to_owned(),
            workspace: self.identity.workspace.as_ref().map(ToString::to_string),
            group: self.identity.group_str().map(str::to_owned),
            mode: self.settings.mode.as_str().to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            node: self.context.node.clone(),
            epoch: 0,
            since: self.context.since.clone(),
        }
    }
}

fn must_limit(host: &Capabilities) -> Result<(), EngineError> {
    let missing = host.missing_limits();
    if missing.is_empty() {
        return Ok(());
    }
    Err(EngineError::Unlimited {
        limits: missing.join(", "),
        fix: host.how_to_limit(),
    })
}
