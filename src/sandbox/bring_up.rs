//! From nothing to a container whose PID 1 answers: found and adopted, or made.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::adopt::{Adoption, Builder, decide};
use super::replaced::Reason;
use super::{Note, SandboxError, Status};
use crate::channel::{Channel, ChannelError};
use crate::config::Config;
use crate::engine::{
    Container, ContainerSpec, Engine, EngineError, Labels, Limits, PreparedImage, RunAs, State,
    VolumeDriver, Workspace,
};
use crate::identity::{SandboxName, User};

/// The user id that the bridge runs as.
const BRIDGE_USER: &str = "65534";

/// How long a name may be in use by a container that is on its way out, or by
/// one that another server has made and not started.
const NAME_IN_USE: Duration = Duration::from_secs(5);

/// Between two looks at such a container.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// From a wait for a removal that broke to the next: an Engine that starts again
/// takes a second.
const WAIT_AGAIN: Duration = Duration::from_secs(1);

/// Largest file in a workspace without a quota, 2 GiB.
const FILE_SIZE: u64 = 2 << 30;

/// casemate-init, as it is put into every image.
const INIT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/casemate-init"));

/// How long no channel can be opened to a container that runs, until it counts as
/// broken and is removed. Other servers may have commands in it.
pub(super) const UNRESPONSIVE: Duration = Duration::from_secs(10);

/// What all sandboxes of a server are made with.
#[derive(Debug)]
pub(super) struct Common {
    pub config: Config,
    pub engine: Engine,
    /// When this server started, RFC 3339.
    pub since: String,
    /// The name of this server's host.
    pub node: String,
    /// One preparation at a time: the others find it done.
    pub preparing: tokio::sync::Mutex<()>,
}

/// A container that runs, as the owner knows it.
#[derive(Debug)]
pub(super) struct Running {
    /// Its id.
    pub container: Arc<str>,
    /// To its PID 1.
    pub channel: Channel,
    /// Becomes known when it is gone; `None` inside: nobody saw how.
    pub removed: watch::Receiver<Option<Option<i64>>>,
}

/// Makes and finds the container of one user.
#[derive(Debug, Clone)]
pub(super) struct Maker {
    pub common: Arc<Common>,
    pub engine: Engine,
    pub user: User,
    pub name: SandboxName,
}

impl Maker {
    /// Finds the user's container or makes it, and opens a channel to it.
    pub async fn bring_up(
        &self,
        status: &watch::Sender<Status>,
    ) -> Result<(Running, Option<Note>), SandboxError> {
        let mut note = None;
        let mut patience = Instant::now() + NAME_IN_USE;
        let mut unresponsive = Instant::now() + UNRESPONSIVE;
        loop {
            status.send_replace(Status::Creating);
            let Some(found) = self.engine.inspect(self.name.as_str()).await? else {
                match self.create(status).await {
                    Ok(running) => return Ok((running, note)),
                    // Another server was faster, or the name is not free yet.
                    Err(SandboxError::Engine(error))
                        if is_conflict(&error) && Instant::now() < patience =>
                    {
                        tokio::time::sleep(LOOK_AGAIN).await;
                        continue;
                    }
                    Err(error) => return Err(error),
                }
            };
            self.ours(&found)?;
            match found.state {
                State::Running => match self.adopt(&found, status).await {
                    Ok(Some((running, adopted))) => return Ok((running, note.or(adopted))),
                    Ok(None) => {
                        note = Some(Note::Restarted(Reason::Retired));
                        patience = Instant::now() + NAME_IN_USE;
                    }
                    // It may have ended between the look and the exec.
                    Err(error) if error.may_be_an_end() => {
                        debug!(error = &error as &dyn std::error::Error, "looking again");
                        if Instant::now() > unresponsive {
                            warn!(container = found.id, "PID 1 does not answer: removing");
                            self.engine.remove(&found.id).await?;
                            note = Some(Note::Restarted(Reason::Unresponsive));
                            unresponsive = Instant::now() + UNRESPONSIVE;
                        }
                        patience = Instant::now() + NAME_IN_USE;
                    }
                    Err(error) => return Err(error),
                },
                State::Created if Instant::now() > patience => {
                    debug!(
                        container = found.id,
                        "removing a container that was never started"
                    );
                    self.engine.remove(&found.id).await?;
                    patience = Instant::now() + NAME_IN_USE;
                }
                State::Paused => {
                    let message = "the user's container is paused".to_owned();
                    return Err(EngineError::Exec { message }.into());
                }
                _ if Instant::now() > patience => {
                    warn!(container = found.id, state = ?found.state, "removing a dead container");
                    self.engine.remove(&found.id).await?;
                    patience = Instant::now() + NAME_IN_USE;
                }
                _ => {}
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// Opens a channel to a container that runs.
    pub async fn connect(&self, container: &str) -> Result<Channel, SandboxError> {
        let command = [casemate_protocol::INIT_PATH, "bridge"];
        let stream = self.engine.exec(container, BRIDGE_USER, &command).await?;
        Ok(Channel::open(stream).await?)
    }

    fn ours(&self, found: &Container) -> Result<(), SandboxError> {
        if self.labels().own(&found.labels) {
            return Ok(());
        }
        let name = self.name.as_str().to_owned();
        Err(EngineError::Foreign {
            kind: "container",
            name,
        }
        .into())
    }

    async fn create(&self, status: &watch::Sender<Status>) -> Result<Running, SandboxError> {
        let spec = self.spec(status).await?;
        let (name, driver) = (self.name.as_str(), VolumeDriver::default());
        self.engine
            .ensure_volume(name, &spec.labels, &driver)
            .await?;
        let created = self.engine.create(name, &spec).await?;
        for warning in &created.warnings {
            warn!(warning, "the engine remarks");
        }
        let removed = self.watch_removal(&created.id);
        if let Err(error) = self.start(&created.id).await {
            // Nobody will ever start it.
            let _ = self.engine.remove(&created.id).await;
            return Err(error);
        }
        let channel = match self.connect(&created.id).await {
            Ok(channel) => channel,
            Err(error) => {
                let _ = self.engine.remove(&created.id).await;
                return Err(error);
            }
        };
        info!(container = created.id, user = %self.user, "container started");
        Ok(Running {
            container: created.id.into(),
            channel,
            removed,
        })
    }

    async fn start(&self, id: &str) -> Result<(), SandboxError> {
        Ok(self.engine.start(id).await?)
    }

    /// Uses a container that runs already, or asks it to make room (`None`).
    async fn adopt(
        &self,
        found: &Container,
        status: &watch::Sender<Status>,
    ) -> Result<Option<(Running, Option<Note>)>, SandboxError> {
        let spec = self.spec(status).await?;
        let differences = self.engine.differences(&spec, found);
        let mine = Builder::of(&spec.labels());
        let decision = decide(&differences, mine, Builder::of(&found.labels));
        let removed = self.watch_removal(&found.id);
        let channel = self.connect(&found.id).await?;
        if decision != Adoption::Use {
            status.send_replace(Status::Retiring);
            let retired = channel.retire(Duration::ZERO).await;
            let retired = retired.map_err(|error| ChannelError::Retire(Box::new(error)))?;
            if retired {
                info!(
                    container = found.id,
                    "container asked to make room for newer settings"
                );
                return Ok(None);
            }
        }
        let note = match decision {
            Adoption::Never => {
                let fields: Vec<_> = differences.iter().map(|d| d.field.as_str()).collect();
                return Err(SandboxError::Weaker {
                    fields: fields.join(", "),
                });
            }
            Adoption::Replace => Some(Note::OtherSettings),
            Adoption::Use => None,
        };
        info!(container = found.id, user = %self.user, "container adopted");
        let container = found.id.as_str().into();
        Ok(Some((
            Running {
                container,
                channel,
                removed,
            },
            note,
        )))
    }

    /// The one wait that knows how the container ends. It breaks when the Engine goes,
    /// and is then asked again: the container may have outlived the Engine.
    fn watch_removal(&self, id: &str) -> watch::Receiver<Option<Option<i64>>> {
        let (sender, receiver) = watch::channel(None);
        let (engine, id) = (self.engine.clone(), id.to_owned());
        tokio::spawn(async move {
            loop {
                let removed = tokio::select! {
                    removed = engine.wait_removed(&id) => removed,
                    () = sender.closed() => return,
                };
                if let Ok(removed) = removed {
                    sender.send_replace(Some(removed.exit_code));
                    return;
                }
                tokio::time::sleep(WAIT_AGAIN).await;
            }
        });
        receiver
    }

    async fn spec(&self, status: &watch::Sender<Status>) -> Result<ContainerSpec, SandboxError> {
        let config = &self.common.config;
        let capabilities = self.engine.capabilities().await?;
        Ok(ContainerSpec {
            image: self.image(status).await?,
            run_as: RunAs::DEFAULT,
            labels: self.labels(),
            init_args: vec![
                format!("--idle-timeout-ms={}", config.idle_timeout.as_millis()),
                format!("--background-ttl-ms={}", config.background_ttl.as_millis()),
            ],
            workspace: Workspace::Volume(self.name.as_str().to_owned()),
            limits: Limits {
                memory: config.memory.0,
                nano_cpus: config.cpus.0,
                pids: config.pids,
                file_size: FILE_SIZE,
            },
            runtime: capabilities.default_runtime.clone(),
            apparmor: capabilities.apparmor,
            swap_limit: capabilities.swap_limit,
        })
    }

    async fn image(&self, status: &watch::Sender<Status>) -> Result<PreparedImage, SandboxError> {
        let before = status.send_replace(Status::Preparing);
        let _one_at_a_time = self.common.preparing.lock().await;
        let image = self.common.config.image.as_str();
        let progress = |step: &str| info!(image, step, "preparing the image");
        let prepared = self.engine.prepared_image(image, INIT, progress).await?;
        status.send_replace(before);
        Ok(prepared)
    }

    fn labels(&self) -> Labels {
        Labels {
            instance: self.common.config.instance.as_str().to_owned(),
            user: self.user.subject.as_str().to_owned(),
            issuer: self.user.issuer.as_str().to_owned(),
            mode: self.common.config.mode.as_str().to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            node: self.common.node.clone(),
            epoch: 0,
            since: self.common.since.clone(),
        }
    }
}

fn is_conflict(error: &EngineError) -> bool {
    matches!(error, EngineError::Conflict { .. })
}
