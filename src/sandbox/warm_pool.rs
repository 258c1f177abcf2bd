//! Containers of one user that each run one command.
//!
//! ```text
//!            slot                        the outcome, or the caller's end
//!   spare ─────────► slot of a command ────────────────────────────────► retired
//!     ▲                     │ answered `running`                            ▲
//!     │                     └────────► kept ── its outcome is known ────────┘
//!     └── made after every command, and when a file call finds none
//! ```
//!
//! File work is done in the spare: it has run no code of the user's.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use casemate_protocol::{Failure, FailureExt as _, Finished, Outcome, failure::Code};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::command::{Command, ExecOutcome, ExecReport, ProgressUpdate, WaitOptions};
use super::execution::Execution;
use super::lease::OwnerHandle;
use super::spawner::OwnerSpawner;
use crate::provision::{Admission, AdmissionPermit, SandboxError, Status};

/// Outcomes kept for callers that were answered `running`, as many as PID 1 keeps
/// in a container that lasts.
const OUTCOME_LIMIT: usize = 64;

/// How long.
const OUTCOME_TTL: Duration = Duration::from_secs(600);

/// Above every command's own timeout, 3,600 s.
const COMMAND_TIME_LIMIT: Duration = Duration::from_secs(3700);

/// The spare, the slots, and what became of commands that outlived their call.
#[derive(Debug)]
pub(super) struct WarmPool {
    spawner: OwnerSpawner,
    spare: Mutex<Option<OwnerHandle>>,
    /// Containers of the user that may run a command at once.
    live: Admission,
    kept: Mutex<HashMap<String, DetachedCommand>>,
}

/// A container for one command.
#[derive(Debug)]
pub(super) struct Slot {
    pub handle: OwnerHandle,
    _live: Option<AdmissionPermit>,
}

impl Slot {
    /// In a container that others use too.
    pub fn shared(handle: OwnerHandle) -> Arc<Self> {
        Arc::new(Self {
            handle,
            _live: None,
        })
    }
}

/// A command that was answered `running`.
#[derive(Debug)]
enum DetachedCommand {
    Running(Arc<Slot>),
    Ended { executed: ExecReport, at: Instant },
}

/// Where a command is, or what became of it.
#[derive(Debug)]
pub(super) enum CommandLocation {
    In(Arc<Slot>),
    Over(ExecReport),
}

impl WarmPool {
    /// `live`: the commands of the user that run at once, in all workspaces.
    pub fn new(spawner: OwnerSpawner, live: Admission) -> Arc<Self> {
        Arc::new(Self {
            spare: Mutex::default(),
            live,
            kept: Mutex::default(),
            spawner,
        })
    }

    /// The one that waits, or the beginning of one.
    pub fn spare(&self) -> OwnerHandle {
        self.spare
            .lock()
            .get_or_insert_with(|| self.spawner.spawn_owner())
            .clone()
    }

    /// How a command ended that was answered `running`, if it did.
    pub fn outcome(&self, id: &str) -> Option<ExecOutcome> {
        match self.kept.lock().get(id)? {
            DetachedCommand::Running(_) => None,
            DetachedCommand::Ended { executed, .. } => Some(executed.outcome.clone()),
        }
    }

    /// Whether no container waits, and no command is remembered.
    pub fn is_empty(&self) -> bool {
        let spare = self.spare.lock();
        let waits = |spare: &OwnerHandle| *spare.status.borrow() != Status::Absent;
        !spare.as_ref().is_some_and(waits) && self.kept.lock().is_empty()
    }

    /// The container for this command; until `deadline` as many wait as run.
    ///
    /// # Errors
    /// Those of [`Admission::enter`] when no container was given back in time,
    /// `UNKNOWN_COMMAND`.
    pub async fn slot(
        &self,
        command: &Command,
        deadline: Instant,
        follow: &WaitOptions<'_>,
    ) -> Result<CommandLocation, SandboxError> {
        if let Command::Resume { id, .. } = command {
            return self.find(id);
        }
        let slot = self.fresh(deadline, |ahead| follow.waits(ahead)).await?;
        Ok(CommandLocation::In(slot))
    }

    /// A container that ran nothing; until `deadline` as many wait as run.
    ///
    /// # Errors
    /// Those of [`Admission::enter`] when no container was given back in time.
    pub async fn fresh(
        &self,
        deadline: Instant,
        told: impl Fn(usize),
    ) -> Result<Arc<Slot>, SandboxError> {
        let live = self.live.enter(deadline, told).await?;
        let handle = self.spare.lock().take();
        let meter = self.spawner.provisioner.engine().meter();
        meter.spare(handle.is_some());
        Ok(Arc::new(Slot {
            handle: handle.unwrap_or_else(|| self.spawner.spawn_owner()),
            _live: Some(live),
        }))
    }

    fn find(&self, id: &str) -> Result<CommandLocation, SandboxError> {
        let mut kept = self.kept.lock();
        forget_old(&mut kept);
        match kept.get(id) {
            Some(DetachedCommand::Running(slot)) => Ok(CommandLocation::In(slot.clone())),
            Some(DetachedCommand::Ended { executed, .. }) => {
                Ok(CommandLocation::Over(executed.clone()))
            }
            None => {
                let detail = "no such command is known";
                let unknown = Failure::new(Code::UnknownCommand, detail);
                Err(SandboxError::Failed(unknown))
            }
        }
    }

    /// After a call: a command that runs on keeps its container, any other's ends.
    pub fn settle(self: &Arc<Self>, slot: Arc<Slot>, executed: &mut ExecReport) {
        match &mut executed.outcome {
            ExecOutcome::Running(id, _) | ExecOutcome::Silent { id, .. } => self.keep(id, slot),
            ExecOutcome::Finished(finished) => tell_of_leftovers(finished),
            ExecOutcome::Lost(_) => {}
        }
    }

    /// Follows a command to its end, so that its outcome is known when its
    /// container is gone.
    fn keep(self: &Arc<Self>, id: &str, slot: Arc<Slot>) {
        match self.kept.lock().entry(id.to_owned()) {
            // It is followed already.
            Entry::Occupied(_) => return,
            Entry::Vacant(entry) => drop(entry.insert(DetachedCommand::Running(slot.clone()))),
        }
        let (this, id) = (self.clone(), id.to_owned());
        self.spawner.spawn(async move {
            let progress = watch::Sender::new(ProgressUpdate::Nothing);
            let follow = WaitOptions {
                wait: COMMAND_TIME_LIMIT,
                cancel: &CancellationToken::new(),
                progress: &progress,
            };
            let resume = Command::Resume {
                id: id.clone(),
                stop: false,
            };
            let mut execution = Execution::new(&slot.handle, resume, &follow);
            let executed = match execution.run().await {
                Ok(outcome) => Ok(ExecReport {
                    network: execution.network(outcome.is_over()).await,
                    outcome,
                }),
                Err(error) => Err(error),
            };
            this.ended(id, executed);
        });
    }

    fn ended(&self, id: String, executed: Result<ExecReport, SandboxError>) {
        let mut kept = self.kept.lock();
        match executed {
            Ok(mut executed) => {
                if let ExecOutcome::Finished(finished) = &mut executed.outcome {
                    tell_of_leftovers(finished);
                }
                let at = Instant::now();
                kept.insert(id, DetachedCommand::Ended { executed, at });
            }
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "a command's outcome was lost");
                kept.remove(&id);
            }
        }
        forget_old(&mut kept);
    }
}

/// Processes that a command left running end with its container.
fn tell_of_leftovers(finished: &mut Finished) {
    let left = std::mem::take(&mut finished.survivors);
    let ended_itself = matches!(finished.outcome(), Outcome::Exited | Outcome::Signaled);
    if left == 0 || !ended_itself {
        finished.survivors = left;
        return;
    }
    let processes = if left == 1 { "process" } else { "processes" };
    finished.notices.push(format!(
        "{left} {processes} that the command left running ended with its container: in \
         ephemeral mode only /workspace outlives a command"
    ));
}

fn forget_old(kept: &mut HashMap<String, DetachedCommand>) {
    let age = |kept: &DetachedCommand| match kept {
        DetachedCommand::Running(_) => None,
        DetachedCommand::Ended { at, .. } => Some(at.elapsed()),
    };
    kept.retain(|_, kept| age(kept).is_none_or(|age| age < OUTCOME_TTL));
    let ended = kept.iter().filter_map(|(id, kept)| Some((age(kept)?, id)));
    let mut ended: Vec<_> = ended.map(|(age, id)| (age, id.clone())).collect();
    ended.sort_unstable();
    for (_, id) in ended.into_iter().skip(OUTCOME_LIMIT) {
        kept.remove(&id);
    }
}
