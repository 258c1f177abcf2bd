//! A container that did not exist before.

use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::bring_up::{LOOK_AGAIN, Maker, NAME_IN_USE, Running};
use super::room::Urgency;
use super::{SandboxError, Status};
use crate::engine::{ContainerSpec, Created, EngineError, VolumeDriver, Workspace};

/// How often a container is made again that ended before it was connected to.
const TRIES: usize = 3;

impl Maker {
    /// Makes the container and what it needs, and opens a channel to it. What a failure
    /// leaves behind is removed. One that another server asks to end before it is
    /// connected to, for room or for other settings, is made again.
    pub(super) async fn create(
        &self,
        name: &str,
        urgency: Urgency,
        status: &watch::Sender<Status>,
    ) -> Result<Running, SandboxError> {
        for _ in 0..TRIES {
            match self.create_once(name, urgency, status).await {
                Err(error) if error.may_be_an_end() => {
                    debug!(error = &error as &dyn std::error::Error, "making it again");
                    self.until_free(name).await?;
                }
                done => return done,
            }
        }
        self.create_once(name, urgency, status).await
    }

    /// The Engine frees the name of a container a moment after its end.
    async fn until_free(&self, name: &str) -> Result<(), SandboxError> {
        let end = Instant::now() + NAME_IN_USE;
        while self.engine.inspect(name).await?.is_some() && Instant::now() < end {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        Ok(())
    }

    async fn create_once(
        &self,
        name: &str,
        urgency: Urgency,
        status: &watch::Sender<Status>,
    ) -> Result<Running, SandboxError> {
        let spec = self.spec(status).await?;
        if let Workspace::Volume(volume) = &spec.workspace {
            self.check_disk(volume).await?;
            let driver = VolumeDriver::local(self.quota().await?, self.settings.quota.0);
            self.engine
                .ensure_volume(volume, &spec.labels, &driver)
                .await?;
        }
        let created = self.create_in_room(name, &spec, urgency, status).await?;
        for warning in &created.warnings {
            warn!(warning, "the engine remarks");
        }
        if !self.is_on(&spec.workspace).await {
            debug!(container = created.id, "the workspace is another by now");
            self.engine.remove(&created.id).await?;
            return Err(EngineError::Missing {
                kind: "volume",
                name: name.to_owned(),
            }
            .into());
        }
        let removed = self.watch_removal(&created.id);
        if let Err(error) = self.engine.start(&created.id).await {
            // Nobody will ever start it.
            let _ = self.engine.remove(&created.id).await;
            return Err(error.into());
        }
        let connected = match self.connect(&created.id).await {
            // What ended may be the bridge alone: once more.
            Err(error) if error.may_be_an_end() => self.connect(&created.id).await,
            connected => connected,
        };
        let channel = match connected {
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

    /// Whether this is still the user's workspace: a restore may have ended meanwhile. When
    /// the Engine does not say, the start will fail too.
    async fn is_on(&self, workspace: &Workspace) -> bool {
        let Workspace::Volume(volume) = workspace else {
            return true;
        };
        let volumes = self.volumes().await;
        volumes.map_or(true, |volumes| volumes.current == *volume)
    }

    /// Several servers may count at the same time and all find room: who then finds
    /// that there are too many, and is among the last, takes its own away again.
    async fn create_in_room(
        &self,
        name: &str,
        spec: &ContainerSpec,
        urgency: Urgency,
        status: &watch::Sender<Status>,
    ) -> Result<Created, SandboxError> {
        loop {
            let reserved = self.room(urgency, status).await?;
            let created = self.engine.create(name, spec).await?;
            match self.fits(&created.id, &reserved).await {
                Ok(true) => return Ok(created),
                Ok(false) => {
                    debug!(container = created.id, "others were faster");
                    self.engine.remove(&created.id).await?;
                }
                Err(error) => {
                    let _ = self.engine.remove(&created.id).await;
                    return Err(error);
                }
            }
        }
    }
}
