//! The making of one container, from the Engine's create to PID 1's first answer.
//!
//! The Engine goes on with a request whose caller is gone, and who drops one in its
//! middle does not learn what to remove. So the making is a task of its own, which the
//! end of the server waits for: when nobody waits for the container any more, it stops
//! after the request that is under way and takes away what there is.
//!
//! ```text
//! create ──► does it fit? ──► start ──► connect ──► handed over
//!        │                │         │           │
//!        └────────────────┴─────────┴───────────┴─ nobody waits: removed. One that lasts
//!                                                  stays once it is started: others may
//!                                                  use it, and it ends when it is idle
//! ```

use std::time::Duration;

use casemate_protocol::exit;
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;
use tracing::{Instrument as _, info, warn};

use super::capacity::CapacityReservation;
use super::error::SandboxError;
use super::provisioner::{Provisioner, Running};
use crate::channel::Channel;
use crate::engine::ContainerSpec;

/// `None`: other servers took the room meanwhile, and it was taken away again.
type CreateResult = Result<Option<Running>, SandboxError>;

impl Provisioner {
    /// Makes a container in the room that is `reservation` for it, and opens a channel to
    /// it. `None` when several servers counted at the same time and this one is among
    /// the last. May be dropped: then nothing is left behind.
    pub async fn make(
        &self,
        name: &str,
        spec: ContainerSpec,
        reservation: CapacityReservation,
    ) -> CreateResult {
        let (caller, made) = oneshot::channel();
        let task = CreateTask {
            provisioner: self.clone(),
            caller,
        };
        let run = task.run(name.to_owned(), spec, reservation);
        self.context.tasks.spawn(run.in_current_span());
        let provisioner = self.clone();
        let mut guard = CreateGuard { provisioner, made };
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
    ) -> Result<(Channel, watch::Receiver<Option<Option<i64>>>), SandboxError> {
        let removed = self.watch_removal(id);
        self.engine.start(id).await?;
        let channel = match self.connect(id).await {
            // What ended may be the bridge alone: once more.
            Err(error) if error.may_be_an_end() => self.connect(id).await,
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
        info!(container = id, user = %self.user, "container started");
        self.engine.meter().started("created");
        Ok(Running {
            container: id.into(),
            channel,
            removed,
            workspace_is_new: false,
        })
    }

    /// Nobody took it.
    async fn abandon(self, running: Running) {
        if self.is_long_lived() {
            return;
        }
        let id = running.container.clone();
        // The Engine is slow to end what is still connected.
        drop(running);
        self.take_away(&id).await;
    }

    async fn take_away(&self, id: &str) {
        if let Err(error) = self.engine.remove(id).await {
            let error = &error as &dyn std::error::Error;
            warn!(container = id, error, "it is swept later, or ends itself");
        }
    }
}

/// How PID 1 ended that cannot be talked to, where that is known soon, and where another in
/// its place would end so too.
async fn ended_at_start(
    mut removed: watch::Receiver<Option<Option<i64>>>,
) -> Option<&'static exit::Meaning> {
    let known = timeout(EXIT_TIMEOUT, removed.wait_for(Option::is_some)).await;
    let code = known.ok()?.ok().and_then(|code| code.flatten())?;
    let meaning = exit::meaning_of(code)?;
    meaning.at_start.then_some(meaning)
}

/// How long the Engine may take to tell how a container ended.
const EXIT_TIMEOUT: Duration = Duration::from_secs(2);

struct CreateTask {
    provisioner: Provisioner,
    /// Closed when nobody waits any more.
    caller: oneshot::Sender<CreateResult>,
}

impl CreateTask {
    async fn run(mut self, name: String, spec: ContainerSpec, reservation: CapacityReservation) {
        let made = self.make(&name, &spec, reservation).await;
        if let Err(Ok(Some(running))) = self.caller.send(made) {
            self.provisioner.abandon(running).await;
        }
    }

    async fn make(
        &mut self,
        name: &str,
        spec: &ContainerSpec,
        reservation: CapacityReservation,
    ) -> CreateResult {
        let created = self.provisioner.engine.create(name, spec).await?;
        for warning in &created.warnings {
            warn!(warning, "the engine remarks");
        }
        let made = self.bring_to_life(&created.id, spec, reservation).await;
        if !matches!(made, Ok(Some(_))) {
            // Nobody will ever start it, or use it.
            self.provisioner.take_away(&created.id).await;
            if made.is_err() {
                self.provisioner.remove_remade(spec).await;
            }
        }
        made
    }

    async fn bring_to_life(
        &mut self,
        id: &str,
        spec: &ContainerSpec,
        reservation: CapacityReservation,
    ) -> CreateResult {
        tokio::select! {
            biased;
            () = self.caller.closed() => return Err(SandboxError::Ending),
            fits = self.provisioner.fits(id) => if !fits? {
                return Ok(None);
            }
        }
        drop(reservation);
        let workspace_is_new = self.provisioner.verify_current_volume(spec).await?;
        tokio::select! {
            running = self.provisioner.start(id) => running.map(|running| {
                Some(Running { workspace_is_new, ..running })
            }),
            // The removal waits at the Engine for a start that is under way.
            () = self.caller.closed(), if !self.provisioner.is_long_lived() => Err(SandboxError::Ending),
        }
    }
}

/// Whoever waits for a container. It may be made at the moment when this is dropped.
struct CreateGuard {
    provisioner: Provisioner,
    made: oneshot::Receiver<CreateResult>,
}

impl Drop for CreateGuard {
    fn drop(&mut self) {
        self.made.close();
        let (Ok(Ok(Some(running))), Ok(runtime)) = (self.made.try_recv(), Handle::try_current())
        else {
            return;
        };
        let abandon = self.provisioner.clone().abandon(running);
        self.provisioner.context.tasks.spawn_on(abandon, &runtime);
    }
}
