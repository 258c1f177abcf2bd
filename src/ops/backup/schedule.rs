//! Backups by the clock, inside a server.
//!
//! What is in the target is the state: a workspace is due when its newest complete backup
//! is older than `every`, whoever made it. So a server that starts again goes on where it
//! was, and of several servers with one target the first to come makes the backup; should
//! two begin in the same moment, there is one more than needed.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use super::error::BackupError;
use super::{BackupReport, Backups};
use crate::identity::User;
use crate::sandbox::Manager;
use crate::snapshot::Snapshots;

/// Between two looks at whose workspaces there are. The target is asked only of those that
/// may be due.
const CHECK_INTERVAL: Duration = Duration::from_secs(30);

/// After an error of one user's backup, or of what is in the target.
const RETRY_INTERVAL: Duration = Duration::from_secs(10 * 60);

/// Longest time for one user's: who has 20 TB of holes keeps nobody else from having one.
const BACKUP_TIMEOUT: Duration = Duration::from_secs(6 * 60 * 60);

/// Makes backups of all workspaces until the server ends. Errors are logged, and tried
/// again later.
pub async fn run(backups: Backups, manager: Manager, every: Duration) {
    info!(target = %backups.store.target(), every = ?every, "backups by the clock");
    let mut clock = Clock {
        backups,
        manager,
        every,
        users: HashMap::new(),
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
    users: HashMap<User, UserSchedule>,
}

/// What is known of one user's backups.
struct UserSchedule {
    /// Before, the target is not asked again.
    next: Instant,
    /// When the newest was made; without one, when this server first saw the workspace.
    newest: SystemTime,
}

impl Clock {
    /// Makes what is due.
    async fn look(&mut self) {
        let users = match self.manager.users_with_a_volume().await {
            Ok(users) => users,
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                warn!(
                    error,
                    "whose workspaces there are is not known: no backups now"
                );
                return;
            }
        };
        self.users.retain(|user, _| users.contains(user));
        for user in users {
            if self.backups.stop.is_cancelled() {
                return;
            }
            let now = (Instant::now(), SystemTime::now());
            let turn = self.users.entry(user.clone()).or_insert(UserSchedule {
                next: now.0,
                newest: now.1,
            });
            if turn.next <= now.0 {
                let snapshots = self.manager.snapshots(&user);
                let pause = due(&self.backups, &snapshots, self.every, &mut turn.newest).await;
                turn.next = Instant::now() + pause;
            }
        }
        let oldest = self.users.values().map(|turn| turn.newest).min();
        self.backups.meter.oldest_backup(oldest);
    }
}

/// Makes the user's backup if it is due; how long until the next one is.
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
            // As a backup that failed: nobody knows how old the newest is.
            backups.meter.backed_up("failed");
            report_error(snapshots, &error);
            return RETRY_INTERVAL;
        }
    }
    match backups.within(BACKUP_TIMEOUT).run(snapshots).await {
        Ok(BackupReport { manifest, removed }) => {
            *newest = now;
            info!(
                user = %snapshots.user(),
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
    warn!(user = %snapshots.user(), error, "no backup");
}

impl Backups {
    /// When the newest complete backup was made; `None` without one.
    async fn newest(
        &self,
        snapshots: &Snapshots,
        now: SystemTime,
    ) -> Result<Option<SystemTime>, BackupError> {
        let all = self.store.list(&self.user_prefix(snapshots)).await?;
        let complete = all.iter().filter(|(_, found)| found.is_complete());
        Ok(complete.filter_map(|(id, found)| found.made(id, now)).max())
    }
}
