//! Scheduled backups inside a server.
//!
//! The target is the state: a workspace is due when its newest complete backup, from any server, is
//! older than `every`. So a restarted server continues where it was, and the first of several
//! servers with one target makes the backup; if two begin at the same moment, there is one more
//! than needed.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use super::error::BackupError;
use super::{BackupReport, Backups};
use crate::identity::WorkspaceId;
use crate::sandbox::Manager;
use crate::snapshot::Snapshots;

/// Interval of the check for workspaces. Only those that may be due are looked up in the target.
const CHECK_INTERVAL: Duration = Duration::from_secs(30);

/// Pause after a failed backup of a workspace, or a failed look-up in the target.
const RETRY_INTERVAL: Duration = Duration::from_secs(10 * 60);

/// Time limit per backup, so that one huge workspace cannot block the others.
const BACKUP_TIMEOUT: Duration = Duration::from_secs(6 * 60 * 60);

/// Makes backups of all workspaces until the server ends. Errors are logged and retried later.
pub async fn run(backups: Backups, manager: Manager, every: Duration) {
    info!(target = %backups.store.target(), every = ?every, "scheduled backups");
    let mut clock = Clock {
        backups,
        manager,
        every,
        workspaces: HashMap::new(),
    };
    let stop = clock.backups.stop.clone();
    clock.backups.meter.backup_interval(every);
    loop {
        clock.look().await;
        tokio::select! {
            () = sleep(CHECK_INTERVAL) => {}
            () = stop.cancelled() => return,
        }
    }
}

struct Clock {
    backups: Backups,
    manager: Manager,
    every: Duration,
    workspaces: HashMap<WorkspaceId, WorkspaceSchedule>,
}

/// The schedule of one workspace's backups.
struct WorkspaceSchedule {
    /// Before this time the target is not asked again.
    next: Instant,
    /// When the newest was made; without one, when this server first saw the workspace.
    newest: SystemTime,
}

impl Clock {
    /// Makes the backups that are due.
    async fn look(&mut self) {
        let workspaces = match self.manager.workspaces_on_volumes().await {
            Ok(workspaces) => workspaces,
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                warn!(error, "the workspaces could not be listed: no backups now");
                return;
            }
        };
        self.workspaces
            .retain(|known, _| workspaces.contains(known));
        for workspace in workspaces {
            if self.backups.stop.is_cancelled() {
                return;
            }
            let now = (Instant::now(), SystemTime::now());
            let turn = self.workspaces.entry(workspace.clone());
            let turn = turn.or_insert(WorkspaceSchedule {
                next: now.0,
                newest: now.1,
            });
            if turn.next <= now.0 {
                let snapshots = self.manager.snapshots(&workspace);
                let pause = due(&self.backups, &snapshots, self.every, &mut turn.newest).await;
                turn.next = Instant::now() + pause;
            }
        }
        let oldest = self.workspaces.values().map(|turn| turn.newest).min();
        self.backups.meter.oldest_backup(oldest);
    }
}

/// Makes the backup if it is due. Returns the time until the next one.
async fn due(
    backups: &Backups,
    snapshots: &Snapshots,
    every: Duration,
    newest: &mut SystemTime,
) -> Duration {
    let now = SystemTime::now();
    match backups.newest(snapshots, now).await {
        Ok(Some(made)) => {
            *newest = made;
            let age = now.duration_since(made).unwrap_or_default();
            if age < every {
                return every - age;
            }
        }
        Ok(None) => {}
        Err(error) => {
            // Counts as a failed backup: the age of the newest is unknown.
            backups.meter.backed_up("failed");
            report_error(snapshots, &error);
            return RETRY_INTERVAL;
        }
    }
    match backups.within(BACKUP_TIMEOUT).run(snapshots).await {
        Ok(BackupReport { manifest, removed }) => {
            *newest = now;
            info!(
                user = %snapshots.workspace(),
                id = manifest.id,
                entries = manifest.entries,
                bytes = manifest.archive.bytes,
                removed,
                "backed up"
            );
            every
        }
        Err(error) => {
            report_error(snapshots, &error);
            RETRY_INTERVAL
        }
    }
}

fn report_error(snapshots: &Snapshots, error: &BackupError) {
    let error = error as &dyn std::error::Error;
    warn!(user = %snapshots.workspace(), error, "no backup");
}

impl Backups {
    /// When the newest complete backup was made; `None` without one. Reads no backup.
    ///
    /// # Errors
    /// [`BackupError::Store`].
    pub async fn newest(
        &self,
        snapshots: &Snapshots,
        now: SystemTime,
    ) -> Result<Option<SystemTime>, BackupError> {
        let all = self.store.list(&self.user_prefix(snapshots)).await?;
        let complete = all.iter().filter(|(_, found)| found.is_complete());
        Ok(complete.filter_map(|(id, found)| found.made(id, now)).max())
    }
}
