//! Backups by the clock, inside a server.
//!
//! What is in the target is the state: a workspace is due when its newest complete backup
//! is older than `every`, whoever made it. So a server that starts again goes on where it
//! was, and of several servers with one target the first to come makes the backup; should
//! two begin in the same moment, there is one more than needed.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::{Duration, SystemTime};

use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use super::error::BackupError;
use super::{Backups, Made};
use crate::identity::User;
use crate::sandbox::{Keeper, Manager};

/// Between two looks at whose workspaces there are. The target is asked only of those that
/// may be due.
const LOOK: Duration = Duration::from_secs(30);

/// After an error of one user's backup, or of what is in the target.
const AGAIN: Duration = Duration::from_secs(10 * 60);

/// Makes backups of all workspaces until the server ends. Errors are logged, and tried
/// again later.
pub async fn run(backups: Backups, manager: Manager, every: Duration) {
    info!(target = %backups.store.target(), every = ?every, "backups by the clock");
    let stop = backups.stop.clone();
    // Users who are not in here may be due.
    let mut next: HashMap<User, Instant> = HashMap::new();
    loop {
        match manager.users_with_a_volume().await {
            Ok(users) => {
                next.retain(|user, at| users.contains(user) && Instant::now() < *at);
                for user in users {
                    if stop.is_cancelled() {
                        return;
                    }
                    let keeper = manager.keeper(&user);
                    if let Entry::Vacant(entry) = next.entry(user) {
                        let pause = due(&backups, &keeper, every).await;
                        entry.insert(Instant::now() + pause);
                    }
                }
            }
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                warn!(
                    error,
                    "whose workspaces there are is not known: no backups now"
                );
            }
        }
        tokio::select! {
            () = sleep(LOOK) => {}
            () = stop.cancelled() => return,
        }
    }
}

/// Makes the user's backup if it is due; how long until the next one is.
async fn due(backups: &Backups, keeper: &Keeper, every: Duration) -> Duration {
    let age = match backups.age(keeper).await {
        Ok(age) => age,
        Err(error) => {
            complain(keeper, &error);
            return AGAIN;
        }
    };
    match age {
        Some(age) if age < every => return every - age,
        _ => {}
    }
    match backups.run(keeper).await {
        Ok(Made { manifest, removed }) => {
            info!(
                user = %keeper.user(),
                id = manifest.id,
                entries = manifest.entries,
                bytes = manifest.archive.bytes,
                removed,
                "backed up"
            );
            every
        }
        Err(error) => {
            complain(keeper, &error);
            AGAIN
        }
    }
}

fn complain(keeper: &Keeper, error: &BackupError) {
    let error = error as &dyn std::error::Error;
    warn!(user = %keeper.user(), error, "no backup");
}

impl Backups {
    /// How old the newest complete backup is; `None` without one.
    async fn age(&self, keeper: &Keeper) -> Result<Option<Duration>, BackupError> {
        let complete = self.complete(&self.place(keeper)).await?;
        let age = |id: &super::Id| {
            SystemTime::now()
                .duration_since(id.time())
                .unwrap_or_default()
        };
        Ok(complete.last().map(age))
    }
}
