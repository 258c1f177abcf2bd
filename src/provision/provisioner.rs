//! From nothing to a container whose PID 1 answers: found and adopted, or made.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::adopt::{Adoption, Builder, decide};
use super::capacity::Priority;
use super::connect::connect_to;
use super::context::ServerContext;
use super::end_reason::Reason;
use super::error::SandboxError;
use super::status::{Notice, Status};
use super::timeouts::{NAME_CONFLICT_TIMEOUT, POLL_INTERVAL, UNRESPONSIVE_TIMEOUT};
use crate::channel::{Channel, ChannelError};
use crate::config::SandboxSettings;
use crate::engine::{Container, Engine, EngineError, State};
use crate::identity::{SandboxName, User};

/// From a wait for a removal that broke to the next: an Engine that starts again
/// takes a second.
const WAIT_RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// A container that runs, as the owner knows it.
#[derive(Debug)]
pub struct Running {
    /// Its id.
    pub container: Arc<str>,
    /// To its PID 1.
    pub channel: Channel,
    /// Becomes known when it is gone; `None` inside: nobody saw how.
    pub removed: watch::Receiver<Option<Option<i64>>>,
    /// Its workspace was made with it, and is empty.
    pub workspace_is_new: bool,
}

/// Makes and finds the container of one user.
#[derive(Debug, Clone)]
pub struct Provisioner {
    pub context: Arc<ServerContext>,
    pub engine: Engine,
    pub user: User,
    /// The user's own.
    pub settings: Arc<SandboxSettings>,
    pub name: SandboxName,
}

impl Provisioner {
    /// Of `user`. Does not reach for the Engine.
    pub fn new(context: &Arc<ServerContext>, user: &User) -> Self {
        Self {
            context: context.clone(),
            engine: context.engine.clone(),
            user: user.clone(),
            settings: context.config.for_user(user),
            name: SandboxName::new(&context.config.instance, user),
        }
    }

    /// Finds the user's container of this name or makes it, and opens a channel to it.
    pub async fn bring_up(
        &self,
        name: &str,
        priority: Priority,
        status: &watch::Sender<Status>,
    ) -> Result<(Running, Option<Notice>), SandboxError> {
        if !self.is_long_lived() {
            status.send_replace(Status::Creating);
            let running = self.create(name, priority, status).await?;
            return Ok((running, None));
        }
        let mut notice = None;
        let mut patience = Instant::now() + NAME_CONFLICT_TIMEOUT;
        let mut unresponsive = Instant::now() + UNRESPONSIVE_TIMEOUT;
        loop {
            status.send_replace(Status::Creating);
            let Some(found) = self.engine.inspect(name).await? else {
                match self.create(name, priority, status).await {
                    Ok(running) => return Ok((running, notice)),
                    // Another server was faster, or the name is not free yet.
                    Err(SandboxError::Engine(error))
                        if is_conflict(&error) && Instant::now() < patience =>
                    {
                        tokio::time::sleep(POLL_INTERVAL).await;
                        continue;
                    }
                    Err(error) => return Err(error),
                }
            };
            self.ours(&found)?;
            match found.state {
                State::Running => match self.adopt(&found, status).await {
                    Ok(Some((running, adopted))) => return Ok((running, notice.or(adopted))),
                    Ok(None) => {
                        notice = Some(Notice::Restarted(Reason::Retired));
                        patience = Instant::now() + NAME_CONFLICT_TIMEOUT;
                    }
                    // It may have ended between the look and the exec.
                    Err(error) if error.may_be_an_end() => {
                        debug!(error = &error as &dyn std::error::Error, "looking again");
                        if Instant::now() > unresponsive {
                            warn!(container = found.id, "PID 1 does not answer: removing");
                            self.rename_stuck(&found.id).await?;
                            notice = Some(Notice::Restarted(Reason::Unresponsive));
                            unresponsive = Instant::now() + UNRESPONSIVE_TIMEOUT;
                        }
                        patience = Instant::now() + NAME_CONFLICT_TIMEOUT;
                    }
                    Err(error) => return Err(error),
                },
                State::Created if Instant::now() > patience => {
                    debug!(
                        container = found.id,
                        "removing a container that was never started"
                    );
                    self.engine.remove(&found.id).await?;
                    patience = Instant::now() + NAME_CONFLICT_TIMEOUT;
                }
                State::Paused => {
                    let message = "the user's container is paused".to_owned();
                    return Err(EngineError::Exec { message }.into());
                }
                _ if Instant::now() > patience => {
                    warn!(container = found.id, state = ?found.state, "removing a dead container");
                    self.engine.remove(&found.id).await?;
                    patience = Instant::now() + NAME_CONFLICT_TIMEOUT;
                }
                _ => {}
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Opens a channel to a container that runs.
    pub async fn connect(&self, container: &str) -> Result<Channel, SandboxError> {
        connect_to(&self.engine, container).await
    }

    /// Frees the name of a container that does not end, and has it removed whenever
    /// the kernel lets go of it.
    pub async fn rename_stuck(&self, id: &str) -> Result<(), SandboxError> {
        let short: String = id.chars().take(12).collect();
        let aside = format!("{}-aside-{short}", self.name.as_str());
        self.engine.rename(id, &aside).await?;
        let (engine, id) = (self.engine.clone(), id.to_owned());
        tokio::spawn(async move {
            if let Err(error) = engine.remove(&id).await {
                let error = &error as &dyn std::error::Error;
                warn!(container = id, error, "it is removed when it ends");
            }
        });
        Ok(())
    }

    fn ours(&self, found: &Container) -> Result<(), SandboxError> {
        if self.labels().is_same_owner(&found.labels) {
            return Ok(());
        }
        let name = self.name.as_str().to_owned();
        Err(EngineError::Foreign {
            kind: "container",
            name,
        }
        .into())
    }

    /// Uses a container that runs already, or asks it to make room (`None`).
    async fn adopt(
        &self,
        found: &Container,
        status: &watch::Sender<Status>,
    ) -> Result<Option<(Running, Option<Notice>)>, SandboxError> {
        let spec = self.spec(status).await?;
        let differences = self.engine.differences(&spec, found);
        let mine = Builder::of(&spec.labels());
        let decision = decide(&differences, mine, Builder::of(&found.labels));
        let removed = self.watch_removal(&found.id);
        let channel = match self.connect(&found.id).await {
            Err(error) if error.has_retired() => {
                let error = &error as &dyn std::error::Error;
                warn!(
                    container = found.id,
                    error, "asked to make room for a confined one"
                );
                return Ok(None);
            }
            connected => connected?,
        };
        if decision != Adoption::Use {
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
        let notice = match decision {
            Adoption::Never => {
                let fields: Vec<_> = differences.iter().map(|d| d.field.as_str()).collect();
                return Err(SandboxError::Weaker {
                    fields: fields.join(", "),
                });
            }
            Adoption::Replace => Some(Notice::OtherSettings),
            Adoption::Use => None,
        };
        info!(container = found.id, user = %self.user, "container adopted");
        self.engine.meter().started("adopted");
        let container = found.id.as_str().into();
        Ok(Some((
            Running {
                container,
                channel,
                removed,
                workspace_is_new: false,
            },
            notice,
        )))
    }

    /// The one wait that knows how the container ends. It breaks when the Engine goes,
    /// and is then asked again: the container may have outlived the Engine. It is asked beside what
    /// comes next, also beside the start; a container that starts, ends and is removed before the
    /// Engine has the question ends as if nobody had seen how.
    pub fn watch_removal(&self, id: &str) -> watch::Receiver<Option<Option<i64>>> {
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
                tokio::time::sleep(WAIT_RETRY_INTERVAL).await;
            }
        });
        receiver
    }
}

fn is_conflict(error: &EngineError) -> bool {
    matches!(error, EngineError::Conflict { .. })
}
