//! Capacity for one more sandbox: a limit on how many are alive in an instance, over all its
//! servers, and one on how many of a user's workspaces have a sandbox alive.
//!
//! ```text
//! the user's line ─► count rows ──fewer of both──► reserve ──► create ──► count again ──► start
//!                        │ the user's are full         │ too many: the server of one of the
//!                        │                             │ last removes it and waits; the others
//!                        │                             │ count again until it is gone
//!                        │  ask the user's longest idle sandbox to end   (`eviction`)
//!                        │
//!                        └ the instance is full
//!                           for a spare container: refuse at once
//!                           wait in line; the first in line removes containers that were never
//!                           started, then asks an idle one of the user with the most to end;
//!                           when none agrees, it counts again
//! ```
//!
//! Why no more than the limits ever run: a container is started only after a count that
//! included it and was within them. Of the containers that run, the last count included
//! all the others, because each exists before its own count.
//!
//! Calls that wait for another sandbox of their user to end have a separate line for each user, so no
//! other user waits for them. In the line of the instance each user has one place.

mod counts;
mod eviction;
mod user_budget;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::error::SandboxError;
use super::queue::{Admission, AdmissionPermit};
use super::status::{SandboxLimit, Status};
use super::timeouts::{LEASE_TIMEOUT, NAME_CONFLICT_TIMEOUT, POLL_INTERVAL};
use crate::channel::Channel;
use crate::config::Config;
use crate::engine::{ContainerSummary, Engine, EngineError, labels};
use crate::identity::{Instance, WorkspaceId};
use counts::{as_count, has_place, is_alive, is_among_first, workspaces_of};
use user_budget::{UserBudgets, WorkspaceReservation};

/// Between two counts.
const COUNT_INTERVAL: Duration = Duration::from_millis(250);

/// What a container is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Priority {
    /// A call waits for it.
    Call,
    /// It saves a later call some time.
    Spare,
}

/// A container that is to be made.
#[derive(Debug, Clone)]
pub struct CapacityRequest {
    pub workspace: WorkspaceId,
    /// How many of the user's workspaces may have a sandbox alive.
    pub per_user: u32,
    pub priority: Priority,
}

/// The sandboxes that this server makes and uses.
#[derive(Debug)]
pub struct Capacity {
    engine: Engine,
    instance: Instance,
    /// Sandboxes that may be alive in the instance.
    limit: u32,
    /// Users whose calls wait for capacity when the limit is reached.
    line: Admission,
    /// Being made, and not yet in the Engine's list.
    reserved: Arc<AtomicUsize>,
    /// The same, by user.
    users: UserBudgets,
    /// Those that run, by container.
    running: Mutex<HashMap<Arc<str>, Channel>>,
}

/// Capacity for one sandbox, until the Engine lists it.
#[derive(Debug)]
pub struct CapacityReservation {
    _in_all: CountGuard,
    _of_user: WorkspaceReservation,
}

#[derive(Debug)]
struct CountGuard(Arc<AtomicUsize>);

impl Drop for CountGuard {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Capacity {
    /// Nothing runs yet. `waiting` counts all calls that wait in this server.
    pub fn new(config: &Config, engine: &Engine, waiting: Arc<AtomicUsize>) -> Self {
        Self {
            engine: engine.clone(),
            instance: config.instance.clone(),
            limit: config.max_sandboxes,
            line: Admission::new(1, waiting.clone()),
            reserved: Arc::default(),
            users: UserBudgets::new(waiting),
            running: Mutex::default(),
        }
    }

    /// A container runs, and this reaches its PID 1.
    pub fn occupied(&self, container: &Arc<str>, channel: &Channel) {
        self.running
            .lock()
            .insert(container.clone(), channel.clone());
    }

    /// A container is gone, or this server no longer uses it.
    pub fn left(&self, container: &str) {
        self.running.lock().remove(container);
    }

    /// The channel that this server has to a container, while it is open.
    pub fn channel(&self, container: &str) -> Option<Channel> {
        let channel = self.running.lock().get(container).cloned();
        channel.filter(Channel::is_open)
    }

    /// Waits for the capacity for one more sandbox.
    ///
    /// # Errors
    /// [`SandboxError::Full`] when none of the others ended in time; for a spare at once.
    pub async fn wait(
        &self,
        request: &CapacityRequest,
        status: &watch::Sender<Status>,
    ) -> Result<CapacityReservation, SandboxError> {
        let start = Instant::now();
        let deadline = match request.priority {
            Priority::Call => start + LEASE_TIMEOUT,
            Priority::Spare => start,
        };
        let own = SandboxLimit::User(request.per_user);
        let _turn = self
            .turn(
                &self.users.line(&request.workspace.user),
                own,
                deadline,
                status,
            )
            .await?;
        let mut in_line: Option<AdmissionPermit> = None;
        loop {
            let limit = match self.reserve(request).await? {
                Ok(reservation) => {
                    status.send_replace(Status::Creating);
                    return Ok(reservation);
                }
                Err(limit) => limit,
            };
            if Instant::now() >= deadline {
                return Err(SandboxError::Full { limit });
            }
            status.send_replace(Status::Queued { ahead: 0, limit });
            let has_ended = match limit {
                SandboxLimit::User(_) => {
                    in_line = None;
                    self.evict_one_of_user(request).await?
                }
                SandboxLimit::Instance(_) if in_line.is_none() => {
                    in_line = Some(self.turn(&self.line, limit, deadline, status).await?);
                    true
                }
                SandboxLimit::Instance(_) => self.evict_one().await?,
            };
            if !has_ended {
                sleep(COUNT_INTERVAL).await;
            }
        }
    }

    async fn turn(
        &self,
        line: &Admission,
        limit: SandboxLimit,
        deadline: Instant,
        status: &watch::Sender<Status>,
    ) -> Result<AdmissionPermit, SandboxError> {
        let told = |ahead| {
            if ahead > 0 {
                status.send_replace(Status::Queued { ahead, limit });
            }
        };
        let turn = line.enter(deadline, told).await;
        turn.map_err(|_| SandboxError::Full { limit })
    }

    /// Inside the error: the limit that is reached.
    async fn reserve(
        &self,
        request: &CapacityRequest,
    ) -> Result<Result<CapacityReservation, SandboxLimit>, EngineError> {
        // Before the count: otherwise a sandbox that is neither reserved nor listed yet would not
        // be counted.
        let others = self.reserved.fetch_add(1, Ordering::Relaxed);
        let in_all = CountGuard(self.reserved.clone());
        let of_user = self.users.reserve(&request.workspace);
        let alive = self.alive().await?;
        let mut theirs = of_user.others();
        theirs.extend(workspaces_of(&alive, &request.workspace.user).into_keys());
        theirs.remove(&request.workspace);
        if theirs.len() >= as_count(request.per_user) {
            return Ok(Err(SandboxLimit::User(request.per_user)));
        }
        if alive.len() + others >= as_count(self.limit) {
            return Ok(Err(SandboxLimit::Instance(self.limit)));
        }
        Ok(Ok(CapacityReservation {
            _in_all: in_all,
            _of_user: of_user,
        }))
    }

    /// Whether a container that was made may be started: it may when the counts are within the
    /// limits. When several servers exceed one at once, the order of the Engine's rows decides
    /// which of them remove theirs, and the others wait for that.
    pub async fn fits(&self, id: &str, request: &CapacityRequest) -> Result<bool, SandboxError> {
        let end = Instant::now() + NAME_CONFLICT_TIMEOUT;
        let (most, own) = (as_count(self.limit), as_count(request.per_user));
        loop {
            let alive = self.alive().await?;
            let theirs = workspaces_of(&alive, &request.workspace.user);
            if alive.len() <= most && theirs.len() <= own {
                return Ok(true);
            }
            // The server of one that neither starts nor goes was killed.
            let stays =
                is_among_first(alive, most, id) && has_place(theirs, own, &request.workspace);
            if !stays || Instant::now() > end {
                return Ok(false);
            }
            sleep(POLL_INTERVAL).await;
        }
    }

    async fn alive(&self) -> Result<Vec<ContainerSummary>, EngineError> {
        let instance = self.instance.as_str();
        let mut rows = self
            .engine
            .list_containers(&[(labels::INSTANCE, instance)])
            .await?;
        rows.retain(is_alive);
        Ok(rows)
    }
}
