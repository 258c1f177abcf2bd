//! A container that did not exist before.

use tokio::sync::watch;
use tokio::time::Instant;
use tracing::debug;

use super::capacity::Priority;
use super::error::SandboxError;
use super::provisioner::{Provisioner, Running};
use super::status::Status;
use super::timeouts::{NAME_CONFLICT_TIMEOUT, POLL_INTERVAL};
use crate::engine::{ContainerSpec, Workspace};

/// How often a container is made again that ended before it was connected to.
const ATTEMPT_LIMIT: usize = 3;

impl Provisioner {
    /// Makes the container and what it needs, and opens a channel to it. What a failure
    /// leaves behind is removed. One that another server asks to end before it is
    /// connected to, for room or for other settings, is made again.
    pub async fn create(
        &self,
        name: &str,
        priority: Priority,
        status: &watch::Sender<Status>,
    ) -> Result<Running, SandboxError> {
        for _ in 0..ATTEMPT_LIMIT {
            match self.create_once(name, priority, status).await {
                Err(error) if error.may_be_an_end() => {
                    debug!(error = &error as &dyn std::error::Error, "making it again");
                    self.until_free(name).await?;
                }
                done => return done,
            }
        }
        self.create_once(name, priority, status).await
    }

    /// The Engine frees the name of a container a moment after its end.
    async fn until_free(&self, name: &str) -> Result<(), SandboxError> {
        let end = Instant::now() + NAME_CONFLICT_TIMEOUT;
        while self.engine.inspect(name).await?.is_some() && Instant::now() < end {
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        Ok(())
    }

    async fn create_once(
        &self,
        name: &str,
        priority: Priority,
        status: &watch::Sender<Status>,
    ) -> Result<Running, SandboxError> {
        let mut spec = self.spec(status).await?;
        if let Workspace::Volume(volume) = &spec.workspace {
            self.check_disk(volume).await?;
        }
        let mut is_given = false;
        loop {
            let reservation = self.wait_for_capacity(priority, status).await?;
            // Behind the wait, in which somebody may take it away.
            self.ensure_workspace(&mut spec).await?;
            match self.make(name, spec.clone(), reservation).await {
                // Its server was killed between the making of the volume and this. On a volume
                // that holds something this changes nothing, so once is enough.
                Err(SandboxError::NotOwner) if !is_given => {
                    self.give_to_user(&spec).await?;
                    is_given = true;
                    self.until_free(name).await?;
                    continue;
                }
                made => {
                    if let Some(running) = made? {
                        return Ok(running);
                    }
                }
            }
            debug!("other servers were faster");
        }
    }

    /// Finds the volume or makes it; then `spec` says whom its user's code runs as.
    async fn ensure_workspace(&self, spec: &mut ContainerSpec) -> Result<(), SandboxError> {
        let Workspace::Volume(volume) = &spec.workspace else {
            return Ok(());
        };
        match self.engine.find_volume(volume, &spec.labels).await? {
            Some(found) if found.is_remade() => self.engine.remove_volume(volume).await?,
            Some(found) => {
                spec.run_as = found.run_as();
                return Ok(());
            }
            None => {}
        }
        self.make_volume(spec, &[], None).await
    }
}
