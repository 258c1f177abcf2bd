//! Room for one more sandbox: at most so many are alive in an instance, over all its
//! servers.
//!
//! ```text
//! count rows ──fewer──► reserve ──► create ──► count again ──no more──► start
//!     │ full                                      │ too many: who is among the last takes
//!     │                                           │ its own away and waits; the others
//!     │                                           │ count again until it is gone
//!     ├─ a spare for commands to come: not now
//!     └─ wait in line; first of it: what was never started is removed, spares of others
//!        retire, then the longest idle sandbox (30 s at least); when none agrees, count
//!        again
//! ```
//!
//! Why no more than that ever run: a container is started after a count that had it in it
//! and was within the limit. Of those that run, the one that was counted last was counted
//! together with all the others, for they were there before their own counts.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tracing::{debug, info};

use super::error::SandboxError;
use super::orphan::is_abandoned;
use super::provisioner::Provisioner;
use super::queue::Admission;
use super::status::Status;
use super::survey::{self, LiveSandbox};
use super::timeouts::{LEASE_TIMEOUT, NAME_CONFLICT_TIMEOUT, POLL_INTERVAL, REMOVAL_TIMEOUT};
use crate::channel::Channel;
use crate::config::Mode;
use crate::engine::{ContainerSummary, EngineError, State, labels};

/// A sandbox that was used within this time is about to be used again.
const RECENT_USE_LIMIT: Duration = Duration::from_secs(30);

/// A container that waits for a command is not asked to end within this time: it may
/// have been made for a call that is on its way to it.
const NEW_CONTAINER_GRACE: Duration = Duration::from_secs(1);

/// Between two counts.
const COUNT_INTERVAL: Duration = Duration::from_millis(250);

/// Sandboxes of other servers that are asked at once: each costs a bridge.
const PROBE_LIMIT: usize = 8;

/// The mode in the labels of a helper container of a backup or a restore.
pub const HELPER_MODE: &str = "errand";

/// What a container is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Priority {
    /// A call waits for it.
    Call,
    /// It saves a later call some time.
    Spare,
}

/// The sandboxes that this server makes and uses.
#[derive(Debug)]
pub struct Capacity {
    /// For one more, when there are as many as may be.
    line: Admission,
    /// Being made, and not yet to be seen at the Engine.
    reserved: Arc<AtomicUsize>,
    /// Those that run, by container.
    running: Mutex<HashMap<Arc<str>, Channel>>,
}

/// Room for one sandbox, until it is made.
#[derive(Debug)]
pub struct CapacityReservation(Arc<AtomicUsize>);

impl Drop for CapacityReservation {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Capacity {
    /// Nothing runs yet. `waiting` counts all calls that wait in this server.
    pub fn new(waiting: Arc<AtomicUsize>) -> Self {
        Self {
            line: Admission::new(1, waiting),
            reserved: Arc::default(),
            running: Mutex::default(),
        }
    }

    fn running(&self) -> MutexGuard<'_, HashMap<Arc<str>, Channel>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A container runs, and this reaches its PID 1.
    pub fn occupied(&self, container: &Arc<str>, channel: &Channel) {
        self.running().insert(container.clone(), channel.clone());
    }

    /// A container is gone, or nobody here uses it any more.
    pub fn left(&self, container: &str) {
        self.running().remove(container);
    }

    /// The channel that this server has to a container, while it is open.
    pub fn channel(&self, container: &str) -> Option<Channel> {
        let channel = self.running().get(container).cloned();
        channel.filter(Channel::is_open)
    }
}

impl Provisioner {
    /// Waits for room for one more sandbox.
    ///
    /// # Errors
    /// [`SandboxError::Full`] when none of the others ended in time; for a spare at once.
    pub async fn wait_for_capacity(
        &self,
        priority: Priority,
        status: &watch::Sender<Status>,
    ) -> Result<CapacityReservation, SandboxError> {
        if let Some(reservation) = self.reserve().await? {
            return Ok(reservation);
        }
        let most = self.context.config.max_sandboxes;
        if priority == Priority::Spare {
            return Err(SandboxError::Full { most });
        }
        let deadline = Instant::now() + LEASE_TIMEOUT;
        let told = |ahead| {
            status.send_replace(Status::Queued { ahead, most });
        };
        told(0);
        let first = self.context.capacity.line.enter(deadline, told).await;
        let _first = first.map_err(|_| SandboxError::Full { most })?;
        loop {
            if let Some(reservation) = self.reserve().await? {
                status.send_replace(Status::Creating);
                return Ok(reservation);
            }
            if Instant::now() > deadline {
                return Err(SandboxError::Full { most });
            }
            if !self.evict_one().await? {
                sleep(COUNT_INTERVAL).await;
            }
        }
    }

    async fn reserve(&self) -> Result<Option<CapacityReservation>, EngineError> {
        // Before the count: who is neither reserved nor to be seen would not be counted.
        let reservation = &self.context.capacity.reserved;
        let others = reservation.fetch_add(1, Ordering::Relaxed);
        let reservation = CapacityReservation(reservation.clone());
        let taken = self.alive().await?.len() + others;
        Ok((taken < self.most()).then_some(reservation))
    }

    fn most(&self) -> usize {
        usize::try_from(self.context.config.max_sandboxes).unwrap_or(usize::MAX)
    }

    /// Whether a container that was made may be started: when no more are there than may
    /// be. Those who are too many at the same time agree by the order of their rows who
    /// has to go, and the others wait for that.
    pub async fn fits(&self, id: &str) -> Result<bool, SandboxError> {
        let end = Instant::now() + NAME_CONFLICT_TIMEOUT;
        loop {
            let alive = self.alive().await?;
            if alive.len() <= self.most() {
                return Ok(true);
            }
            // The server of one that neither starts nor goes was killed.
            if !is_among_first(alive, self.most(), id) || Instant::now() > end {
                return Ok(false);
            }
            sleep(POLL_INTERVAL).await;
        }
    }

    async fn alive(&self) -> Result<Vec<ContainerSummary>, EngineError> {
        let instance = self.context.config.instance.as_str();
        let mut rows = self
            .engine
            .list_containers(&[(labels::INSTANCE, instance)])
            .await?;
        rows.retain(is_alive);
        Ok(rows)
    }

    /// Asks another sandbox to end. `true`: one did, or there is room.
    async fn evict_one(&self) -> Result<bool, SandboxError> {
        let rows = self.alive().await?;
        if let Some(row) = rows.iter().find(|row| is_abandoned(row, SystemTime::now())) {
            // Not by force: its server may have been slow, and have started it since.
            return Ok(self.engine.remove_stopped(&row.id).await?);
        }
        let (ours, others): (Vec<_>, Vec<_>) = rows
            .into_iter()
            .map(|row| (self.context.capacity.channel(&row.id), row))
            .partition(|(channel, _)| channel.is_some());
        let ours = ours
            .into_iter()
            .filter_map(|(channel, row)| Some((row, channel?)));
        let mut asked = survey::probe(ours.collect()).await;
        if self.retire_one(&mut asked).await {
            return Ok(true);
        }
        // Those of other servers, the oldest first.
        let mut others: Vec<_> = others.into_iter().map(|(_, row)| row).collect();
        others.sort_by_key(|row| row.created);
        for some in others.chunks(PROBE_LIMIT) {
            let mut asked = survey::connect(&self.engine, some.to_vec()).await;
            if self.retire_one(&mut asked).await {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The first that agrees: spares before others, helper containers last, and then the longest
    /// idle.
    async fn retire_one(&self, asked: &mut [LiveSandbox]) -> bool {
        asked.sort_by_key(|sandbox| std::cmp::Reverse(precedence(sandbox)));
        for sandbox in asked.iter().filter(|sandbox| precedence(sandbox).is_some()) {
            let Some(channel) = &sandbox.channel else {
                continue;
            };
            let idle_for = match kind(sandbox) {
                EvictionRank::Spare => NEW_CONTAINER_GRACE,
                EvictionRank::Lasting | EvictionRank::Helper => RECENT_USE_LIMIT,
            };
            match channel.retire(idle_for).await {
                Ok(true) => {
                    info!(container = sandbox.row.id, "asked to make room for another");
                    self.until_gone(&sandbox.row.id).await;
                    return true;
                }
                Ok(false) => {}
                Err(error) => debug!(error = &error as &dyn std::error::Error, "not retired"),
            }
        }
        false
    }

    async fn until_gone(&self, id: &str) {
        let removed = self.engine.wait_removed(id);
        let _ = tokio::time::timeout(REMOVAL_TIMEOUT, removed).await;
    }
}

/// Whether it counts: it is there for a user, and not on its way out.
fn is_alive(row: &ContainerSummary) -> bool {
    row.is_sandbox() && !matches!(row.state, State::Exited | State::Dead | State::Removing)
}

/// Those that run, for they stay, then the older, then by id: the order that all servers
/// see.
fn is_among_first(mut alive: Vec<ContainerSummary>, most: usize, id: &str) -> bool {
    alive.sort_by(|a, b| {
        let place = |row: &ContainerSummary| (row.state == State::Created, row.created);
        place(a).cmp(&place(b)).then_with(|| a.id.cmp(&b.id))
    });
    alive.iter().take(most).any(|row| row.id == id)
}

/// The greater ends first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum EvictionRank {
    /// Of a backup or a restore, between two steps of it.
    Helper,
    /// It waits for the next call.
    Lasting,
    /// It waits for a command that may never come.
    Spare,
}

fn kind(sandbox: &LiveSandbox) -> EvictionRank {
    match sandbox.row.labels.get(labels::MODE) {
        Some(mode) if mode == Mode::Ephemeral.as_str() => EvictionRank::Spare,
        Some(mode) if mode == HELPER_MODE => EvictionRank::Helper,
        _ => EvictionRank::Lasting,
    }
}

/// `None`: it works. Otherwise the greater ends first.
fn precedence(sandbox: &LiveSandbox) -> Option<(EvictionRank, u64)> {
    let stats = sandbox.stats.as_ref()?;
    let idle = stats.commands.is_empty() && stats.idle_ms > 0;
    idle.then_some((kind(sandbox), stats.idle_ms))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use casemate_protocol::{RunningCommand, StatsReply};

    use super::*;

    fn sandbox(mode: &str, idle_ms: u64, commands: usize) -> LiveSandbox {
        LiveSandbox {
            row: ContainerSummary {
                id: String::new(),
                name: String::new(),
                labels: BTreeMap::from([(labels::MODE.to_owned(), mode.to_owned())]),
                state: State::Running,
                created: 0,
            },
            channel: None,
            stats: Some(StatsReply {
                idle_ms,
                commands: vec![RunningCommand::default(); commands],
                ..StatsReply::default()
            }),
        }
    }

    #[test]
    fn of_too_many_the_running_and_the_older_stay() {
        let row = |id: &str, state, created| ContainerSummary {
            id: id.to_owned(),
            name: String::new(),
            labels: BTreeMap::new(),
            state,
            created,
        };
        let alive = || {
            vec![
                row("a", State::Created, 7),
                row("b", State::Running, 9),
                row("d", State::Created, 5),
                row("c", State::Created, 5),
            ]
        };
        let stays = |id| is_among_first(alive(), 2, id);
        assert!(stays("b") && stays("c") && !stays("d") && !stays("a"));
    }

    #[test]
    fn spares_end_first_then_the_longest_idle_errands_last_and_none_that_works() {
        let spare = precedence(&sandbox("ephemeral", 1, 0));
        let long = precedence(&sandbox("persistent", 90_000, 0));
        let short = precedence(&sandbox("persistent", 40_000, 0));
        let helper = precedence(&sandbox(HELPER_MODE, 95_000, 0));
        assert!(spare > long && long > short && short > helper && helper.is_some());
        assert_eq!(precedence(&sandbox("persistent", 90_000, 1)), None);
        assert_eq!(precedence(&sandbox("ephemeral", 0, 0)), None);
    }
}
