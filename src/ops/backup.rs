//! Backups of whole workspaces to a directory or a bucket, and restores from them.
//!
//! ```text
//!  take      snapshot ─► pack ─► sink ─► store           one backup of one user
//!  restore   store ─► pack ─► snapshot (stage, commit)   and verify
//!  migrate   snapshot ─► snapshot (stage, commit)        to another uid
//!  retention which are kept           heartbeat  finds what killed runs left
//!  schedule  makes backups regularly, in a server
//! ```
//!
//! A kill at any point is safe:
//! - A backup is complete when all of its objects exist; the manifest is written last. A killed run
//!   leaves objects without a manifest, which do not count as a backup. The next run for that user
//!   removes them, once the process that made them is known to be gone. A backup with a manifest
//!   but without some other object is damaged: it counts for nothing, but is kept and listed.
//! - A removal deletes the manifest first, so a killed removal leaves no backup either.
//! - Old backups are removed only when a new one is complete, and verified if that is set.
//! - A restore changes nothing until the whole backup is in a new volume and was read back from it.
//!   Then the removal of one mark makes that volume the workspace (`provision::generations`). If
//!   killed before, the old workspace stays in use, and the next backup or restore of that user
//!   removes the mark and the new volume; if killed after, the new one is in use, and the old
//!   volume is removed likewise.
//!
//! Memory does not grow with a workspace: a few MiB between the tasks, and one part of `sink` or
//! one piece of `store` for each of the two large objects.

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
pub mod stream;
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

use crate::audit::{Audit, AuditedRemoval};
use crate::config::Retention;
use crate::identity::Instance;
use crate::meter::Meter;
use crate::sandbox::Manager;
use crate::snapshot::Snapshots;

/// Progress of a backup or restore.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A workspace is copied.
    Copying {
        /// Attempt number, from 1.
        number: u32,
        /// Estimated size in bytes; `None` before the first backup.
        about: Option<u64>,
    },
    /// A backup of this many bytes is read.
    Verifying(u64),
    /// A backup of this many bytes is copied into a new volume.
    Restoring(u64),
    /// This many bytes of it are read back.
    Comparing(u64),
    /// This many more bytes were moved.
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
    /// Time limit of one backup.
    longest: Option<Duration>,
    listener: Listener,
    audit: Audit,
    meter: Meter,
}

/// The result of a backup.
#[derive(Debug)]
pub struct BackupReport {
    /// Its manifest.
    pub manifest: Manifest,
    /// The number of older backups that were removed.
    pub removed: usize,
}

impl Backups {
    /// Backups in `store` of the users of `manager`'s instance, until `stop`. Verifies and removes
    /// nothing.
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

    /// Reads each new backup again, if `verify`.
    #[must_use]
    pub fn verifying(mut self, verify: bool) -> Self {
        self.verify = verify;
        self
    }

    /// Keeps only these backups of each user.
    #[must_use]
    pub fn keeping(mut self, keep: Retention) -> Self {
        self.keep = Some(keep);
        self
    }

    /// Limits the time of one backup.
    #[must_use]
    pub fn within(&self, longest: Duration) -> Self {
        Self {
            longest: Some(longest),
            ..self.clone()
        }
    }

    /// Reports progress to `tell`.
    #[must_use]
    pub fn with_listener(mut self, listener: impl Fn(Event) + Send + Sync + 'static) -> Self {
        self.listener = Arc::new(listener);
        self
    }

    /// Makes a backup, verifies it and removes older ones, as configured.
    ///
    /// # Errors
    /// There is no new backup, or it is damaged; no older one was removed then.
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

    /// Cleans up after one that exceeds the time limit.
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

    /// Removes the backups that need not be kept, now that `made` exists. One that says that it
    /// is of another workspace stays.
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
        let mut count = 0;
        for id in &retention::to_remove(&complete, keep, made) {
            if let Some(found) = all.get(id) {
                let workspace = snapshots.workspace();
                if Manifest::is_of_another(&self.store, &prefix, id, workspace).await? {
                    warn!(%id, %workspace, "a backup of another workspace is among its backups");
                    continue;
                }
                let reason = "newer ones are kept in its place";
                let (name, whose) = (id.as_str(), Some(workspace));
                let recorded =
                    AuditedRemoval::begin(&self.audit, "backup", name, whose, reason).await;
                let recorded = recorded.map_err(BackupError::Unrecorded)?;
                let removed = self.store.remove(&prefix, id, found).await;
                recorded.done(removed).await?;
                count += 1;
            }
        }
        Ok(count)
    }

    /// Removes the remains of killed runs. Returns the newest backup that has a manifest.
    async fn collect(&self, prefix: &Path) -> Result<Option<Id>, BackupError> {
        let mut newest = None;
        for (id, found) in self.store.list(prefix).await? {
            if found.has_manifest() {
                newest = Some(id);
            } else if let Err(error) = heartbeat::collect(&self.store, prefix, &id, &found).await {
                // Remains that cannot be removed do not prevent a backup.
                let error = &error as &dyn std::error::Error;
                warn!(%id, error, "the remains of a backup could not be removed and stay for now");
            }
        }
        Ok(newest)
    }

    /// The target, for people.
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

/// Characters of an error that are shown: the library repeats whole headers.
const SHOWN_CHARS_LIMIT: usize = 300;

/// The problem of a backup, if the thread's error is about its content.
fn damage(error: &io::Error) -> Option<String> {
    match error.kind() {
        // An error of the compression library.
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
