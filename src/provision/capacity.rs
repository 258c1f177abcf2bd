//! Capacity for one more sandbox: a limit on how many are alive in an instance, over all its
//! servers.
//!
//! ```text
//! count rows ──fewer──► reserve ──► create ──► count again ──no more──► start
//!     │ full                                      │ too many: the server of one of the
//!     │                                           │ last removes it and waits; the others
//!     │                                           │ count again until it is gone
//!     ├─ for a spare container: refuse at once
//!     └─ wait in line; the first in line removes containers that were never started, then
//!        asks spares of others to retire, then the longest idle sandbox (30 s at least);
//!        when none agrees, it counts again
//! ```
//!
//! Why no more than the limit ever run: a container is started only after a count that
//! included it and was within the limit. Of the containers that run, the last count included
//! all the others, because each exists before its own count.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tracing::{debug, info};

use super::error::SandboxError;
use super::orphan::is_abandoned;
use super::queue::Admission;
use super::status::Status;
use super::survey::{self, LiveSandbox};
use super::timeouts::{LEASE_TIMEOUT, NAME_CONFLICT_TIMEOUT, POLL_INTERVAL, REMOVAL_TIMEOUT};
use crate::channel::Channel;
use crate::config::{Config, Mode};
use crate::engine::{ContainerSummary, Engine, EngineError, State, labels};
use crate::identity::Instance;

/// A sandbox that was used within this time is about to be used again.
const RECENT_USE_LIMIT: Duration = Duration::from_secs(30);

/// A container that waits for a command is not asked to end within this time: it may
/// have been made for a call that is on its way to it.
const NEW_CONTAINER_GRACE: Duration = Duration::from_secs(1);

/// Between two counts.
const COUNT_INTERVAL: Duration = Duration::from_millis(250);

/// Sandboxes of other servers that are asked at once: each costs a bridge.
const PROBE_LIMIT: usize = 8;

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
    engine: Engine,
    instance: Instance,
    /// Sandboxes that may be alive in the instance.
    limit: u32,
    /// Calls that wait for capacity when the limit is reached.
    line: Admission,
    /// Being made, and not yet in the Engine's list.
    reserved: Arc<AtomicUsize>,
    /// Those that run, by container.
    running: Mutex<HashMap<Arc<str>, Channel>>,
}

/// Capacity for one sandbox, until the Engine lists it.
#[derive(Debug)]
pub struct CapacityReservation(Arc<AtomicUsize>);

impl Drop for CapacityReservation {
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
            line: Admission::new(1, waiting),
            reserved: Arc::default(),
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
        priority: Priority,
        status: &watch::Sender<Status>,
    ) -> Result<CapacityReservation, SandboxError> {
        if let Some(reservation) = self.reserve().await? {
            return Ok(reservation);
        }
        let most = self.limit;
        if priority == Priority::Spare {
            return Err(SandboxError::Full { most });
        }
        let deadline = Instant::now() + LEASE_TIMEOUT;
        let told = |ahead| {
            status.send_replace(Status::Queued { ahead, most });
        };
        told(0);
        let first = self.line.enter(deadline, told).await;
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
        // Before the count: otherwise a sandbox that is neither reserved nor listed yet would not
        // be counted.
        let reservation = &self.reserved;
        let others = reservation.fetch_add(1, Ordering::Relaxed);
        let reservation = CapacityReservation(reservation.clone());
        let taken = self.alive().await?.len() + others;
        Ok((taken < self.most()).then_some(reservation))
    }

    fn most(&self) -> usize {
        usize::try_from(self.limit).unwrap_or(usize::MAX)
    }

    /// Whether a container that was made may be started: it may when the count is within the
    /// limit. When several servers exceed it at once, the order of the Engine's rows decides
    /// which of them remove theirs, and the others wait for that.
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
        let instance = self.instance.as_str();
        let mut rows = self
            .engine
            .list_containers(&[(labels::INSTANCE, instance)])
            .await?;
        rows.retain(is_alive);
        Ok(rows)
    }

    /// Asks another sandbox to end. `true`: one did, or one that was never started is gone.
    async fn evict_one(&self) -> Result<bool, SandboxError> {
        let rows = self.alive().await?;
        if let Some(row) = rows.iter().find(|row| is_abandoned(row, SystemTime::now())) {
            // Not by force: its server may have been slow, and have started it since.
            return Ok(self.engine.remove_stopped(&row.id).await?);
        }
        let (ours, others): (Vec<_>, Vec<_>) = rows
            .into_iter()
            .map(|row| (self.channel(&row.id), row))
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

    /// Retires the first that agrees: spares first, helper containers last, the longest idle
    /// first among equals.
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

/// Whether it counts: it is a user's, and not about to be removed.
fn is_alive(row: &ContainerSummary) -> bool {
    row.is_sandbox() && !matches!(row.state, State::Exited | State::Dead | State::Removing)
}

/// By state, because those that run stay; then by age; then by id. All servers see the same
/// order.
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
        _ if sandbox.row.is_helper() => EvictionRank::Helper,
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
                volumes: Vec::new(),
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
            volumes: Vec::new(),
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
    fn spares_end_first_then_the_longest_idle_helpers_last_and_never_a_busy_one() {
        let spare = precedence(&sandbox("ephemeral", 1, 0));
        let long = precedence(&sandbox("persistent", 90_000, 0));
        let short = precedence(&sandbox("persistent", 40_000, 0));
        let helper = precedence(&sandbox(labels::HELPER_MODE, 95_000, 0));
        assert!(spare > long && long > short && short > helper && helper.is_some());
        assert_eq!(precedence(&sandbox("persistent", 90_000, 1)), None);
        assert_eq!(precedence(&sandbox("ephemeral", 0, 0)), None);
    }
}
