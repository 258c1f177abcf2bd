//! The making of one container, from the Engine's create to PID 1's first answer.
//!
//! The Engine completes a request even if its caller is gone, and a caller that drops a request
//! halfway does not learn what to remove. So a separate task creates the container, and the
//! shutdown of the server waits for it. When no caller waits any more, the task stops after the
//! request that is under way and removes what it has made.
//!
//! ```text
//! create ──► does it fit? ──► start ──► connect ──► handed over
//!        │                │         │           │
//!        └────────────────┴─────────┴───────────┴─ no caller: removed. A long-lived one
//!                                                  stays once it is started: others may
//!                                                  use it, and it ends when it is idle
//! ```

use std::sync::Arc;
use std::time::Duration;

use casemate_protocol::exit;
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;
use tracing::{Instrument as _, info, warn};

use super::capacity::{CapacityRequest, CapacityReservation, Priority};
use super::connect::connect_to;
use super::context::ServerContext;
use super::error::SandboxError;
use super::running::{Removal, Running, watch_removal};
use super::shared_data;
use super::spec::Spec;
use super::volumes::Volumes;
use crate::channel::Channel;
use crate::engine::{ContainerSpec, Engine};
use crate::identity::WorkspaceId;

/// `None`: other servers took the capacity first, and it was removed again.
type CreateResult = Result<Option<Running>, SandboxError>;

/// Makes and starts the containers of one user.
#[derive(Debug, Clone)]
pub struct Creator {
    context: Arc<ServerContext>,
    engine: Engine,
    volumes: Volumes,
    workspace: WorkspaceId,
    per_user: u32,
    is_long_lived: bool,
}

impl Creator {
    pub fn new(context: &Arc<ServerContext>, spec: &Spec, volumes: &Volumes) -> Self {
        Self {
            context: context.clone(),
            engine: context.engine.clone(),
            volumes: volumes.clone(),
            workspace: spec.identity.workspace_id(),
            per_user: spec.settings.sandboxes_per_user,
            is_long_lived: spec.is_long_lived(),
        }
    }

    /// What the next container needs.
    pub fn capacity_request(&self, priority: Priority) -> CapacityRequest {
        CapacityRequest {
            workspace: self.workspace.clone(),
            per_user: self.per_user,
            priority,
        }
    }

    /// Makes a container with the capacity of `reservation`, and opens a channel to it. `None`
    /// when several servers counted at the same time and this one is among the last. If the
    /// future is dropped, the container is removed.
    pub async fn create(
        &self,
        name: &str,
        spec: &ContainerSpec,
        reservation: CapacityReservation,
    ) -> CreateResult {
        let (caller, made) = oneshot::channel();
        let task = CreateTask {
            creator: self.clone(),
            caller,
        };
        let run = task.run(name.to_owned(), spec.clone(), reservation);
        self.context.tasks.spawn(run.in_current_span());
        let creator = self.clone();
        let mut guard = CreateGuard { creator, made };
        let made = (&mut guard.made).await;
        // Dropped with the runtime.
        made.unwrap_or(Err(SandboxError::Ending))
    }

    /// Starts a container and opens a channel to its PID 1.
    ///
    /// # Errors
    /// [`SandboxError::NotOwner`] where PID 1 does not begin on a workspace of another owner.
    pub async fn begin(
        &self,
        id: &str,
    ) -> Result<(Channel, watch::Receiver<Removal>), SandboxError> {
        let removed = watch_removal(&self.engine, id);
        self.engine.start(id).await?;
        let channel = match connect_to(&self.engine, id).await {
            // What ended may be the bridge alone: once more.
            Err(error) if error.may_be_an_end() => connect_to(&self.engine, id).await,
            connected => connected,
        };
        match channel {
            Err(error) if error.may_be_an_end() => Err(match ended_at_start(removed).await {
                Some(exit) if exit.code == exit::NOT_OWNER => SandboxError::NotOwner,
                Some(exit) => SandboxError::EndedAtStart(exit),
                None => error,
            }),
            channel => Ok((channel?, removed)),
        }
    }

    async fn start(&self, id: &str) -> Result<Running, SandboxError> {
        let (channel, removed) = self.begin(id).await?;
        info!(container = id, user = %self.workspace, "container started");
        self.engine.meter().started("created");
        Ok(Running {
            container: id.into(),
            channel,
            removal: removed,
            workspace_is_new: false,
        })
    }

    /// No caller took it.
    async fn abandon(self, running: Running) {
        if self.is_long_lived {
            return;
        }
        let id = running.container.clone();
        // The Engine is slow to end what is still connected.
        drop(running);
        self.remove(&id).await;
    }

    async fn remove(&self, id: &str) {
        if let Err(error) = self.engine.remove(id).await {
            let error = &error as &dyn std::error::Error;
            warn!(container = id, error, "it is swept later, or ends itself");
        }
    }
}

/// How PID 1 ended, if that is known soon and if another in its place would end in the same way.
async fn ended_at_start(mut removed: watch::Receiver<Removal>) -> Option<&'static exit::Meaning> {
    let known = timeout(EXIT_TIMEOUT, removed.wait_for(Removal::is_known)).await;
    let code = known.ok()?.ok()?.end().exit_code?;
    let meaning = exit::meaning_of(code)?;
    meaning.at_start.then_some(meaning)
}

/// How long the Engine may take to tell how a container ended.
const EXIT_TIMEOUT: Duration = Duration::from_secs(2);

struct CreateTask {
    creator: Creator,
    /// Closed when the caller no longer waits.
    caller: oneshot::Sender<CreateResult>,
}

impl CreateTask {
    async fn run(mut self, name: String, spec: ContainerSpec, reservation: CapacityReservation) {
        let made = self.make(&name, &spec, reservation).await;
        if let Err(Ok(Some(running))) = self.caller.send(made) {
            self.creator.abandon(running).await;
        }
    }

    async fn make(
        &mut self,
        name: &str,
        spec: &ContainerSpec,
        reservation: CapacityReservation,
    ) -> CreateResult {
        let created = self.creator.engine.create(name, spec).await?;
        for warning in &created.warnings {
            warn!(warning, "the engine remarks");
        }
        let made = self.start_if_fits(&created.id, spec, reservation).await;
        if !matches!(made, Ok(Some(_))) {
            // It will never be used.
            self.creator.remove(&created.id).await;
            if made.is_err() {
                self.creator.volumes.remove_remade(spec).await;
                shared_data::remove_remade(&self.creator.engine, spec).await;
            }
        }
        made
    }

    async fn start_if_fits(
        &mut self,
        id: &str,
        spec: &ContainerSpec,
        reservation: CapacityReservation,
    ) -> CreateResult {
        let request = self.creator.capacity_request(Priority::Call);
        tokio::select! {
            biased;
            () = self.caller.closed() => return Err(SandboxError::Ending),
            fits = self.creator.context.capacity.fits(id, &request) => if !fits? {
                return Ok(None);
            }
        }
        drop(reservation);
        let workspace_is_new = self.creator.volumes.verify_current(spec).await?;
        shared_data::verify(&self.creator.engine, spec).await?;
        tokio::select! {
            running = self.creator.start(id) => running.map(|running| {
                Some(Running { workspace_is_new, ..running })
            }),
            // The removal waits at the Engine for a start that is under way.
            () = self.caller.closed(), if !self.creator.is_long_lived => Err(SandboxError::Ending),
        }
    }
}

/// Removes a container that was made at the moment when its caller stopped waiting.
struct CreateGuard {
    creator: Creator,
    made: oneshot::Receiver<CreateResult>,
}

impl Drop for CreateGuard {
    fn drop(&mut self) {
        self.made.close();
        let (Ok(Ok(Some(running))), Ok(runtime)) = (self.made.try_recv(), Handle::try_current())
        else {
            return;
        };
        let abandon = self.creator.clone().abandon(running);
        self.creator.context.tasks.spawn_on(abandon, &runtime);
    }
}
