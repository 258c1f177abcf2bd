//! Which sandbox ends for another: of a user's own, or of the user with the most.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, SystemTime};

use tracing::{debug, info};

use super::{Capacity, CapacityRequest};
use crate::config::Mode;
use crate::engine::{ContainerSummary, EngineError, State, labels};
use crate::identity::{User, WorkspaceId};
use crate::provision::error::SandboxError;
use crate::provision::orphan::is_abandoned;
use crate::provision::owners::owner;
use crate::provision::survey::{self, LiveSandbox};
use crate::provision::timeouts::REMOVAL_TIMEOUT;

/// A sandbox of another user that was used within this time is about to be used again.
const RECENT_USE_LIMIT: Duration = Duration::from_secs(30);

/// A container that waits for a command is not asked to end within this time: it may
/// have been made for a call that is on its way to it.
const NEW_CONTAINER_GRACE: Duration = Duration::from_secs(1);

/// The same, among one user's sandboxes: a call of that user waits, and one that comes too late for
/// a container is made in the next.
const OWN_GRACE: Duration = Duration::from_millis(250);

/// Sandboxes of other servers that are asked at once: each costs a bridge.
const PROBE_LIMIT: usize = 8;

impl Capacity {
    /// Asks the sandbox of another workspace of the user to end that was used longest ago. `true`:
    /// one did, or one that was never started is gone.
    pub(super) async fn evict_one_of_user(
        &self,
        request: &CapacityRequest,
    ) -> Result<bool, SandboxError> {
        let is_another =
            |found: WorkspaceId| found.user == request.workspace.user && found != request.workspace;
        let mut rows = self.alive().await?;
        rows.retain(|row| !row.is_helper() && owner(&row.labels).is_some_and(is_another));
        if let Some(removed) = self.remove_abandoned(&rows).await? {
            return Ok(removed);
        }
        rows.retain(|row| row.state == State::Running);
        let (ours, others) = self.by_server(rows);
        let mut asked = survey::probe(ours).await;
        asked.extend(survey::connect(&self.engine, others).await);
        Ok(self.retire_one(&mut asked, |_| OWN_GRACE).await)
    }

    /// Asks a sandbox of the user who has the most to end; where all of that user's work, one of the
    /// user with the next most. `true`: one did, or one that was never started is gone.
    pub(super) async fn evict_one(&self) -> Result<bool, SandboxError> {
        let rows = self.alive().await?;
        if let Some(removed) = self.remove_abandoned(&rows).await? {
            return Ok(removed);
        }
        for rows in by_share(rows) {
            let (ours, mut others) = self.by_server(rows);
            let mut asked = survey::probe(ours).await;
            if self.retire_one(&mut asked, grace).await {
                return Ok(true);
            }
            // Those of other servers, the oldest first.
            others.sort_by_key(|row| row.created);
            for some in others.chunks(PROBE_LIMIT) {
                let mut asked = survey::connect(&self.engine, some.to_vec()).await;
                if self.retire_one(&mut asked, grace).await {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// `None`: none was never started.
    async fn remove_abandoned(
        &self,
        rows: &[ContainerSummary],
    ) -> Result<Option<bool>, EngineError> {
        let now = SystemTime::now();
        match rows.iter().find(|row| is_abandoned(row, now)) {
            // Not by force: its server may have been slow, and have started it since.
            Some(row) => self.engine.remove_stopped(&row.id).await.map(Some),
            None => Ok(None),
        }
    }

    /// Those that this server has a channel to, and the others.
    fn by_server(
        &self,
        rows: Vec<ContainerSummary>,
    ) -> (
        Vec<(ContainerSummary, crate::channel::Channel)>,
        Vec<ContainerSummary>,
    ) {
        let (mut ours, mut others) = (Vec::new(), Vec::new());
        for row in rows {
            match self.channel(&row.id) {
                Some(channel) => ours.push((row, channel)),
                None => others.push(row),
            }
        }
        (ours, others)
    }

    /// Retires the first that agrees: spares first, helper containers last, the longest idle
    /// first among equals.
    async fn retire_one(
        &self,
        asked: &mut [LiveSandbox],
        grace: impl Fn(EvictionRank) -> Duration,
    ) -> bool {
        asked.sort_by_key(|sandbox| Reverse(precedence(sandbox)));
        for sandbox in asked.iter().filter(|sandbox| precedence(sandbox).is_some()) {
            let Some(channel) = &sandbox.channel else {
                continue;
            };
            match channel.retire(grace(rank(&sandbox.row))).await {
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
        let removed = self.engine.ended(id);
        let _ = tokio::time::timeout(REMOVAL_TIMEOUT, removed).await;
    }
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

fn rank(row: &ContainerSummary) -> EvictionRank {
    match row.labels.get(labels::MODE) {
        Some(mode) if mode == Mode::Ephemeral.as_str() => EvictionRank::Spare,
        _ if row.is_helper() => EvictionRank::Helper,
        _ => EvictionRank::Lasting,
    }
}

fn grace(rank: EvictionRank) -> Duration {
    match rank {
        EvictionRank::Spare => NEW_CONTAINER_GRACE,
        EvictionRank::Lasting | EvictionRank::Helper => RECENT_USE_LIMIT,
    }
}

/// `None`: it works. Otherwise the greater ends first.
fn precedence(sandbox: &LiveSandbox) -> Option<(EvictionRank, u64)> {
    let stats = sandbox.stats.as_ref()?;
    let idle = stats.commands.is_empty() && stats.idle_ms > 0;
    idle.then_some((rank(&sandbox.row), stats.idle_ms))
}

/// The sandboxes by how many their user has, the most first; helper containers of any user come
/// last.
fn by_share(rows: Vec<ContainerSummary>) -> Vec<Vec<ContainerSummary>> {
    let user = |row: &ContainerSummary| owner(&row.labels).map(|owner| owner.user);
    let mut counts = HashMap::<Option<User>, usize>::new();
    for row in rows.iter().filter(|row| !row.is_helper()) {
        *counts.entry(user(row)).or_default() += 1;
    }
    let share = |row: &ContainerSummary| match row.is_helper() {
        true => 0,
        false => counts.get(&user(row)).copied().unwrap_or_default(),
    };
    let levels: BTreeSet<usize> = rows.iter().map(share).collect();
    let of_level = |level: usize| {
        let rows = rows.iter().filter(|row| share(row) == level);
        rows.cloned().collect()
    };
    levels.into_iter().rev().map(of_level).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use casemate_protocol::{RunningCommand, StatsReply};

    use super::*;

    fn row(user: &str, mode: &str) -> ContainerSummary {
        let labels = [
            (labels::ISSUER, "local"),
            (labels::USER, user),
            (labels::MODE, mode),
        ];
        ContainerSummary {
            id: String::new(),
            name: String::new(),
            labels: BTreeMap::from(labels.map(|(name, value)| (name.to_owned(), value.to_owned()))),
            state: State::Running,
            created: 0,
            volumes: Vec::new(),
        }
    }

    fn sandbox(mode: &str, idle_ms: u64, commands: usize) -> LiveSandbox {
        LiveSandbox {
            row: row("ada", mode),
            channel: None,
            stats: Some(StatsReply {
                idle_ms,
                commands: vec![RunningCommand::default(); commands],
                ..StatsReply::default()
            }),
        }
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

    #[test]
    fn the_user_with_the_most_is_asked_first_and_helpers_are_asked_last() {
        let rows = ["bob", "ada", "eve", "ada", "ada", "bob"];
        let mut rows: Vec<_> = rows.map(|user| row(user, "persistent")).into();
        rows.push(row("ada", labels::HELPER_MODE));
        let levels: Vec<Vec<String>> = by_share(rows)
            .into_iter()
            .map(|rows| {
                rows.into_iter()
                    .map(|row| row.labels[labels::USER].clone())
                    .collect()
            })
            .collect();
        assert_eq!(
            levels,
            [vec!["ada"; 3], vec!["bob"; 2], vec!["eve"], vec!["ada"]]
        );
    }
}
