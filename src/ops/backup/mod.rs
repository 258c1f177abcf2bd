//! Backups: whole workspaces in a directory or a bucket, and back.
//!
//! ```text
//!  take      sandbox (keep) ─► pack ─► sink ─► store        one backup of one user
//!  restore   store ─► pack ─► sandbox (stage, commit)       and verify
//!  retention which stay            started  what a killed run has left
//!  schedule  by the clock, in a server
//! ```
//!
//! What survives a kill at every point:
//! - A backup is one when its manifest is there, which is written last. A run that was
//!   killed before leaves objects without one, which nobody takes for a backup; the next
//!   run of that user removes them, once the process that made them is known to be gone.
//! - One is removed manifest first: a removal that was killed leaves no backup either.
//! - Old ones go only when a new one is complete, and verified where that is asked for.
//! - A restore changes nothing before all of the backup is in a volume of its own and was
//!   read back from there; then one removal, of a mark, makes that the workspace
//!   (`sandbox::generation`). Killed before, the old one is in force, and the mark and the
//!   volume are removed by the next backup or restore of that user; killed behind it, the
//!   new one is, and the old volume goes the same way.
//!
//! Memory does not grow with a workspace: a few MiB between the tasks, and one part of
//! `sink` for each of the two objects.

mod entry;
mod error;
mod id;
mod manifest;
mod pack;
mod restore;
mod retention;
mod schedule;
mod sink;
mod started;
mod store;
mod stream;
mod take;

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use object_store::path::Path;
use tokio_util::sync::CancellationToken;

pub use error::BackupError;
pub use id::Id;
pub use manifest::{Consistent, Manifest};
pub use restore::Source;
pub use schedule::run as run_by_the_clock;
pub use store::Store;

use crate::config::Keep;
use crate::identity::Instance;
use crate::sandbox::Keeper;

/// What happens, for who waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A workspace is copied, for the so-manieth time.
    Copying(u32),
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
    keep: Option<Keep>,
    verify: bool,
    stop: CancellationToken,
    listener: Listener,
}

/// A backup that was made.
#[derive(Debug)]
pub struct Made {
    /// What it says of itself.
    pub manifest: Manifest,
    /// How many older ones were removed.
    pub removed: usize,
}

impl Backups {
    /// Of the users of `instance`, in `store`, until `stop`. Nothing is verified or
    /// removed.
    pub fn new(store: Store, instance: Instance, stop: CancellationToken) -> Self {
        Self {
            store,
            instance,
            keep: None,
            verify: false,
            stop,
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
    pub fn keeping(mut self, keep: Keep) -> Self {
        self.keep = Some(keep);
        self
    }

    /// With somebody who is told what happens.
    #[must_use]
    pub fn telling(mut self, listener: impl Fn(Event) + Send + Sync + 'static) -> Self {
        self.listener = Arc::new(listener);
        self
    }

    /// A backup, verified, and then older ones removed, as was asked for.
    ///
    /// # Errors
    /// Why there is none, or that it is damaged: then no older one was removed.
    pub async fn run(&self, keeper: &Keeper) -> Result<Made, BackupError> {
        let source = self.take(keeper).await?;
        if self.verify
            && let Err(error) = self.verify(&source).await
        {
            if matches!(error, BackupError::Damaged { .. }) {
                self.clean_up(&self.place(keeper), &source.id).await;
            }
            return Err(error);
        }
        let removed = match self.keep {
            Some(keep) => self.prune(keeper, keep).await?,
            None => 0,
        };
        Ok(Made {
            manifest: source.manifest,
            removed,
        })
    }

    /// Removes those that need not stay.
    async fn prune(&self, keeper: &Keeper, keep: Keep) -> Result<usize, BackupError> {
        let place = self.place(keeper);
        let all = self.store.list(&place).await?;
        let complete = all.iter().filter(|(_, found)| found.is_complete());
        let complete = complete.map(|(id, _)| id.clone()).collect();
        let gone = retention::to_remove(&complete, keep);
        for id in &gone {
            if let Some(found) = all.get(id) {
                self.store.remove(&place, id, found).await?;
            }
        }
        Ok(gone.len())
    }

    /// Removes what runs that were killed have left.
    async fn collect(&self, place: &Path) -> Result<(), BackupError> {
        for (id, found) in self.store.list(place).await? {
            if !found.is_complete() {
                started::collect(&self.store, place, &id, &found).await?;
            }
        }
        Ok(())
    }

    async fn complete(&self, place: &Path) -> Result<BTreeSet<Id>, BackupError> {
        let all = self.store.list(place).await?;
        let complete = all.into_iter().filter(|(_, found)| found.is_complete());
        Ok(complete.map(|(id, _)| id).collect())
    }

    fn place(&self, keeper: &Keeper) -> Path {
        self.store.place(self.instance.as_str(), keeper.user_part())
    }

    fn tell(&self, event: Event) {
        (self.listener)(event);
    }
}

/// Characters of what is wrong that are shown: the library repeats whole headers.
const SHOWN: usize = 300;

/// What is wrong with a backup, where that is what the thread found.
fn damage(error: &io::Error) -> Option<String> {
    match error.kind() {
        // The compression library says it so.
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof | io::ErrorKind::Other => {
            // It may repeat bytes of the archive.
            let plain = |c: char| if c.is_control() { '\u{fffd}' } else { c };
            Some(error.to_string().chars().map(plain).take(SHOWN).collect())
        }
        _ => None,
    }
}
