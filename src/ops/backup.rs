//! Backups: whole workspaces in a directory or a bucket, and back.
//!
//! ```text
//!  take      sandbox (keep) ─► pack ─► sink ─► store        one backup of one user
//!  restore   store ─► pack ─► sandbox (stage, commit)       and verify
//!  migrate   sandbox (keep) ─► sandbox (stage, commit)      to another uid
//!  retention which stay            started  what a killed run has left
//!  schedule  by the clock, in a server
//! ```
//!
//! What survives a kill at every point:
//! - A backup is one when all of it is there, and the manifest is written last. A run that
//!   was killed before leaves objects without one, which nobody takes for a backup; the next
//!   run of that user removes them, once the process that made them is known to be gone.
//!   With a manifest, but not all of the rest, it is damaged: it counts for nothing, and
//!   stays to be seen.
//! - One is removed manifest first: a removal that was killed leaves no backup either.
//! - Old ones go only when a new one is complete, and verified where that is asked for.
//! - A restore changes nothing before all of the backup is in a volume of its own and was
//!   read back from there; then one removal, of a mark, makes that the workspace
//!   (`sandbox::generation`). Killed before, the old one is in force, and the mark and the
//!   volume are removed by the next backup or restore of that user; killed behind it, the
//!   new one is, and the old volume goes the same way.
//!
//! Memory does not grow with a workspace: a few MiB between the tasks, and one part of
//! `sink`, or one piece of `store`, for each of the two objects.

mod catalog;
mod entry;
mod error;
mod heartbeat;
mod id;
mod manifest;
mod migrate;
mod pack;
mod restore;
mod retention;
mod schedule;
mod sink;
mod store;
mod stream;
mod take;

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use object_store::path::Path;
use tokio_util::sync::CancellationToken;
use tracing::warn;

pub use catalog::CatalogEntry;
pub use error::BackupError;
pub use id::Id;
pub use manifest::{LeftOut, Manifest, ManifestConsistency};
pub use migrate::{MigratedWorkspace, Migration};
pub use restore::{RestoreLosses, StoredBackup};
pub use schedule::run as run_by_the_clock;
pub use store::Store;

use crate::audit::Audit;
use crate::config::Retention;
use crate::identity::Instance;
use crate::meter::Meter;
use crate::ops::removal::AuditedRemoval;
use crate::sandbox::{Manager, Snapshots};

/// What happens, for who waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A workspace is copied.
    Copying {
        /// For the so-manieth time.
        number: u32,
        /// About how many bytes there are; `None` before its first backup.
        about: Option<u64>,
    },
    /// A backup of so many bytes is read.
    Verifying(u64),
    /// A backup of so many bytes is put into a new volume.
    Restoring(u64),
    /// So many bytes of it are read back.
    Comparing(u64),
    /// So many bytes were moved since.
    Moved(u64),
}

type Listener = Arc<dyn Fn(Event) + Send + Sync>;

/// Makes, reads and removes backups. Cheap to clone.
#[derive(Clone)]
pub struct Backups {
    store: Store,
    instance: Instance,
    keep: Option<Retention>,
    verify: bool,
    stop: CancellationToken,
    /// Longest time for one backup.
    longest: Option<Duration>,
    listener: Listener,
    audit: Audit,
    meter: Meter,
}

/// A backup that was made.
#[derive(Debug)]
pub struct BackupReport {
    /// What it says of itself.
    pub manifest: Manifest,
    /// How many older ones were removed.
    pub removed: usize,
}

impl Backups {
    /// Of the users of `manager`'s instance, in `store`, until `stop`. Nothing is verified or
    /// removed.
    pub fn new(store: Store, manager: &Manager, stop: CancellationToken) -> Self {
        Self {
            store,
            instance: manager.config().instance.clone(),
            audit: manager.audit().clone(),
            meter: manager.meter().clone(),
            keep: None,
            verify: false,
            stop,
            longest: None,
            listener: Arc::new(|_| {}),
        }
    }

    /// With each backup read again when it is made.
    #[must_use]
    pub fn verifying(mut self, verify: bool) -> Self {
        self.verify = verify;
        self
    }

    /// With only so many left of each user's.
    #[must_use]
    pub fn keeping(mut self, keep: Retention) -> Self {
        self.keep = Some(keep);
        self
    }

    /// With no more than this for one backup.
    #[must_use]
    pub fn within(&self, longest: Duration) -> Self {
        Self {
            longest: Some(longest),
            ..self.clone()
        }
    }

    /// With somebody who is told what happens.
    #[must_use]
    pub fn with_listener(mut self, listener: impl Fn(Event) + Send + Sync + 'static) -> Self {
        self.listener = Arc::new(listener);
        self
    }

    /// A backup, verified, and then older ones removed, as was asked for.
    ///
    /// # Errors
    /// Why there is none, or that it is damaged: then no older one was removed.
    pub async fn run(&self, snapshots: &Snapshots) -> Result<BackupReport, BackupError> {
        let made = match self.longest {
            Some(longest) => self.make_within(longest, snapshots).await,
            None => self.make(snapshots).await,
        };
        match &made {
            Ok(_) => self.meter.backed_up("ok"),
            Err(BackupError::Damaged { .. }) => self.meter.backed_up("damaged"),
            Err(BackupError::Stopped) => {}
            Err(_) => self.meter.backed_up("failed"),
        }
        made
    }

    /// Cleans up behind one that takes longer.
    async fn make_within(
        &self,
        longest: Duration,
        snapshots: &Snapshots,
    ) -> Result<BackupReport, BackupError> {
        let own = Self {
            stop: self.stop.child_token(),
            ..self.clone()
        };
        let mut making = pin!(own.make(snapshots));
        tokio::select! {
            made = &mut making => return made,
            () = tokio::time::sleep(longest) => own.stop.cancel(),
        }
        match making.await {
            Err(BackupError::Stopped) if !self.stop.is_cancelled() => {
                Err(BackupError::TooLong(longest))
            }
            made => made,
        }
    }

    async fn make(&self, snapshots: &Snapshots) -> Result<BackupReport, BackupError> {
        let source = self.take(snapshots).await?;
        if self.verify
            && let Err(error) = self.verify(&source).await
        {
            if matches!(error, BackupError::Damaged { .. }) {
                self.clean_up(&self.user_prefix(snapshots), &source.id)
                    .await;
            }
            return Err(error);
        }
        let removed = match self.keep {
            Some(keep) => self.prune(snapshots, keep, &source.id).await?,
            None => 0,
        };
        Ok(BackupReport {
            manifest: source.manifest,
            removed,
        })
    }

    /// Removes those that need not stay, now that `made` is there.
    async fn prune(
        &self,
        snapshots: &Snapshots,
        keep: Retention,
        made: &Id,
    ) -> Result<usize, BackupError> {
        let prefix = self.user_prefix(snapshots);
        let all = self.store.list(&prefix).await?;
        let complete = all.iter().filter(|(_, found)| found.is_complete());
        let complete = complete.map(|(id, _)| id.clone()).collect();
        let gone = retention::to_remove(&complete, keep, made);
        for id in &gone {
            if let Some(found) = all.get(id) {
                let reason = "newer ones are kept in its place";
                let (name, user) = (id.as_str(), Some(snapshots.user()));
                let recorded =
                    AuditedRemoval::begin(&self.audit, "backup", name, user, reason).await;
                let recorded = recorded.map_err(BackupError::Unrecorded)?;
                let removed = self.store.remove(&prefix, id, found).await;
                recorded.done(removed).await?;
            }
        }
        Ok(gone.len())
    }

    /// Removes what runs that were killed have left; the newest of those that say they are
    /// backups.
    async fn collect(&self, prefix: &Path) -> Result<Option<Id>, BackupError> {
        let mut newest = None;
        for (id, found) in self.store.list(prefix).await? {
            if found.has_manifest() {
                newest = Some(id);
            } else if let Err(error) = heartbeat::collect(&self.store, prefix, &id, &found).await {
                // What cannot be taken away is no reason to make none.
                let error = &error as &dyn std::error::Error;
                warn!(%id, error, "what is left of a backup stays for now");
            }
        }
        Ok(newest)
    }

    /// Where the store is, for people.
    pub fn target(&self) -> String {
        self.store.target().to_string()
    }

    fn user_prefix(&self, snapshots: &Snapshots) -> Path {
        self.store
            .user_prefix(self.instance.as_str(), snapshots.user_part())
    }

    fn tell(&self, event: Event) {
        (self.listener)(event);
    }
}

/// Characters of what is wrong that are shown: the library repeats whole headers.
const SHOWN_CHARS_LIMIT: usize = 300;

/// What is wrong with a backup, where that is what the thread found.
fn damage(error: &io::Error) -> Option<String> {
    match error.kind() {
        // The compression library says it so.
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof | io::ErrorKind::Other => {
            // It may repeat bytes of the archive.
            let plain = |c: char| if c.is_control() { '\u{fffd}' } else { c };
            Some(
                error
                    .to_string()
                    .chars()
                    .map(plain)
                    .take(SHOWN_CHARS_LIMIT)
                    .collect(),
            )
        }
        _ => None,
    }
}
