//! From nothing to a container whose PID 1 answers: found and adopted, or made.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tracing::{debug, info, warn};

use super::adopt::adopt;
use super::bind;
use super::capacity::Priority;
use super::context::ServerContext;
use super::create::Creator;
use super::end_reason::Reason;
use super::error::SandboxError;
use super::running::Running;
use super::shared_data;
use super::spec::Spec;
use super::status::{Notice, Status};
use super::timeouts::{
    NAME_CONFLICT_TIMEOUT, NAME_IN_USE_TIMEOUT, POLL_INTERVAL, UNRESPONSIVE_TIMEOUT,
};
use super::volumes::Volumes;
use crate::engine::{
    Container, ContainerSpec, Engine, EngineError, RunAs, SharedMount, State, Workspace,
};
use crate::identity::Identity;

/// How often a container is made again that ended before it was connected to.
const ATTEMPT_LIMIT: usize = 3;

/// Makes and finds the container of one user.
#[derive(Debug, Clone)]
pub struct Provisioner {
    pub context: Arc<ServerContext>,
    pub spec: Spec,
    pub volumes: Volumes,
    pub creator: Creator,
}

/// What a search for the container meets on the way, and what that means for the user.
#[derive(Default)]
struct Search {
    /// The name is in use, but no container of it was found.
    name_in_use: Sighting,
    /// A container that does not run.
    not_running: Sighting,
    /// A container whose PID 1 gives no answer.
    unresponsive: Sighting,
    notice: Option<Notice>,
}

/// For how long the same was seen. It counts from the first sight, not from the start of the search,
/// which may wait for the image and for capacity in between.
#[derive(Default)]
struct Sighting(Option<(String, Instant)>);

impl Sighting {
    /// Notes that `it` is seen now, and returns since when.
    fn note(&mut self, it: &str) -> Duration {
        match &self.0 {
            Some((seen, since)) if seen == it => since.elapsed(),
            _ => {
                self.0 = Some((it.to_owned(), Instant::now()));
                Duration::ZERO
            }
        }
    }

    fn forget(&mut self) {
        self.0 = None;
    }
}

impl Provisioner {
    /// Of this user. Does not reach for the Engine.
    pub fn new(context: &Arc<ServerContext>, identity: &Identity) -> Self {
        let spec = Spec::new(context, identity);
        let volumes = Volumes::new(context, &spec);
        Self {
            creator: Creator::new(context, &spec, &volumes),
            context: context.clone(),
            spec,
            volumes,
        }
    }

    pub fn engine(&self) -> &Engine {
        &self.context.engine
    }

    /// Finds the user's container of this name or makes it, and opens a channel to it. One that
    /// is used once is always made.
    pub async fn bring_up(
        &self,
        name: &str,
        priority: Priority,
        status: &watch::Sender<Status>,
    ) -> Result<(Running, Option<Notice>), SandboxError> {
        if !self.spec.is_long_lived() {
            status.send_replace(Status::Creating);
            return Ok((self.create(name, priority, status).await?, None));
        }
        let mut search = Search::default();
        loop {
            status.send_replace(Status::Creating);
            match self.engine().inspect(name).await? {
                Some(found) => {
                    search.name_in_use.forget();
                    if let Some((running, notice)) = self.take(&found, status, &mut search).await? {
                        return Ok((running, search.notice.or(notice)));
                    }
                }
                None => match self.create(name, priority, status).await {
                    Ok(running) => return Ok((running, search.notice)),
                    // Another server was faster, or the name is not free yet. Podman reserves a
                    // name before it shows the container, and frees it after that is gone.
                    Err(SandboxError::Engine(error))
                        if is_conflict(&error)
                            && search.name_in_use.note(name) < NAME_IN_USE_TIMEOUT => {}
                    Err(error) => return Err(error),
                },
            }
            sleep(POLL_INTERVAL).await;
        }
    }

    /// Makes the container and what it needs, and opens a channel to it. What a failure leaves
    /// is removed. A container that another server asks to end before it is connected to, for
    /// capacity or for other settings, is made again.
    async fn create(
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

    async fn create_once(
        &self,
        name: &str,
        priority: Priority,
        status: &watch::Sender<Status>,
    ) -> Result<Running, SandboxError> {
        let mut spec = self.container_spec(status).await?;
        if let Workspace::Volume(volume) = &spec.workspace {
            self.volumes.check_disk(volume).await?;
        }
        let mut is_given = false;
        loop {
            let request = self.creator.capacity_request(priority);
            let reservation = self.context.capacity.wait(&request, status).await?;
            // After the wait: during it the volume may be removed.
            self.volumes.ensure(&mut spec).await?;
            // During it a newer version of shared data may be put.
            spec.shared = self.shared_mounts().await?;
            match self.creator.create(name, &spec, reservation).await {
                Ok(Some(running)) => return Ok(running),
                Ok(None) => debug!("other servers were faster"),
                // The server that made the volume was killed before it set the owner. On a
                // volume with content this changes nothing, so once is enough.
                Err(SandboxError::NotOwner) if !is_given => {
                    self.volumes.give_to_user(&spec).await?;
                    is_given = true;
                    self.until_free(name).await?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The Engine frees the name of a container a moment after its end.
    async fn until_free(&self, name: &str) -> Result<(), SandboxError> {
        let end = Instant::now() + NAME_CONFLICT_TIMEOUT;
        while self.engine().inspect(name).await?.is_some() && Instant::now() < end {
            sleep(POLL_INTERVAL).await;
        }
        Ok(())
    }

    /// Adopts what was found. `None`: it is gone, or may be in a moment.
    async fn take(
        &self,
        found: &Container,
        status: &watch::Sender<Status>,
        search: &mut Search,
    ) -> Result<Option<(Running, Option<Notice>)>, SandboxError> {
        self.verify_owner(found)?;
        match found.state {
            State::Running => return self.take_running(found, status, search).await,
            State::Paused => {
                let message = "the user's container is paused".to_owned();
                return Err(EngineError::Exec { message }.into());
            }
            _ if search.not_running.note(&found.id) < NAME_CONFLICT_TIMEOUT => return Ok(None),
            State::Created => debug!(
                container = found.id,
                "removing a container that was never started"
            ),
            state => warn!(container = found.id, ?state, "removing a dead container"),
        }
        self.engine().remove(&found.id).await?;
        search.not_running.forget();
        Ok(None)
    }

    async fn take_running(
        &self,
        found: &Container,
        status: &watch::Sender<Status>,
        search: &mut Search,
    ) -> Result<Option<(Running, Option<Notice>)>, SandboxError> {
        let spec = self.container_spec(status).await;
        let silent = search.unresponsive.note(&found.id);
        let adopted = match spec {
            Ok(spec) => adopt(self.engine(), found, &spec).await,
            Err(error) => Err(error),
        };
        match adopted {
            Ok(None) => search.notice = Some(Notice::Restarted(Reason::Retired)),
            // It may have ended between the look and the exec.
            Err(error) if error.may_be_an_end() => {
                debug!(error = &error as &dyn std::error::Error, "looking again");
                if silent > UNRESPONSIVE_TIMEOUT {
                    warn!(container = found.id, "PID 1 does not answer: removing");
                    self.rename_stuck(&found.id).await?;
                    search.notice = Some(Notice::Restarted(Reason::Unresponsive));
                    search.unresponsive.forget();
                }
            }
            Ok(Some(adopted)) => {
                info!(container = found.id, user = %self.spec.identity.workspace_id(), "container adopted");
                return Ok(Some(adopted));
            }
            Err(error) => return Err(error),
        }
        Ok(None)
    }

    /// Frees the name of a container that does not end, and has it removed as soon as the kernel
    /// lets go of it.
    pub async fn rename_stuck(&self, id: &str) -> Result<(), SandboxError> {
        let short: String = id.chars().take(12).collect();
        let aside = format!("{}-aside-{short}", self.spec.name.as_str());
        Ok(self.engine().free_name(id, &aside).await?)
    }

    fn verify_owner(&self, found: &Container) -> Result<(), SandboxError> {
        if self.spec.labels().is_same_owner(&found.labels) {
            return Ok(());
        }
        let name = self.spec.name.as_str().to_owned();
        Err(EngineError::Foreign {
            kind: "container",
            name,
        }
        .into())
    }

    /// The specification of the next container, on the workspace as it is now, with the newest
    /// versions of shared data.
    pub async fn container_spec(
        &self,
        status: &watch::Sender<Status>,
    ) -> Result<ContainerSpec, SandboxError> {
        let (workspace, run_as) = self.workspace().await?;
        let mut spec = self.spec.container(workspace, run_as, status).await?;
        spec.shared = self.shared_mounts().await?;
        Ok(spec)
    }

    async fn shared_mounts(&self) -> Result<Vec<SharedMount>, SandboxError> {
        shared_data::mounts(&self.context, &self.spec.settings.shared).await
    }

    /// The workspace as it is now, and the user of its files: a restore may change both.
    pub async fn workspace(&self) -> Result<(Workspace, RunAs), SandboxError> {
        let Some(target) = self.spec.bind_target() else {
            let volumes = self.volumes.list().await?;
            let run_as = volumes.run_as();
            return Ok((Workspace::Volume(volumes.current), run_as));
        };
        let bound = bind::on_engine(self.engine(), target).await?;
        Ok((Workspace::Bind(bound.path), bound.run_as))
    }
}

fn is_conflict(error: &EngineError) -> bool {
    matches!(error, EngineError::Conflict { .. })
}
