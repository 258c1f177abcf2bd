//! Restores a workspace from a backup.
//!
//! ```text
//!  archive, list ─► thread: decompress, hash, compare ─► a new volume ─► on its disk
//!  list ─► thread: compare ◄──────────────────────────── read it back
//!  ─► the same: it becomes the workspace        ─► a difference: it is removed, nothing changed
//! ```
//!
//! Only the end shows whether a backup is whole, so nothing is exchanged before: after a cut or
//! changed archive, a full disk or a kill the old workspace stays in use. How one volume replaces
//! another: `provision::generations`.

mod losses;

pub use losses::RestoreLosses;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::try_join;
use object_store::path::Path;
use tokio::sync::mpsc;

use super::entry::Entry;
use super::error::BackupError;
use super::id::Id;
use super::manifest::Manifest;
use super::pack::{self, PackLimits, PackedArchive};
use super::store::{ARCHIVE, LIST};
use super::stream::{Chunk, ChunkWriter, Chunks, on_thread};
use super::{Backups, Event, damage};
use crate::audit::AuditedRemoval;
use crate::ops::gc::hold;
use crate::snapshot::{Import, Snapshots, StagedVolume};

/// A stored backup that can be read.
#[derive(Debug, Clone)]
pub struct StoredBackup {
    /// Its id.
    pub id: Id,
    /// Its manifest.
    pub manifest: Manifest,
    /// The place of its objects.
    pub(super) path: Path,
}

impl StoredBackup {
    /// A missing object means damage; other errors of the store do not.
    fn missing(&self, name: &str, error: BackupError) -> BackupError {
        let (id, what) = (self.id.clone(), format!("its {name} is missing"));
        if error.is_missing() {
            BackupError::Damaged { id, what }
        } else {
            error
        }
    }
}

impl Backups {
    /// The newest complete backup of the user, or the one of this id.
    ///
    /// # Errors
    /// [`BackupError::NoBackup`], [`BackupError::NoSuchBackup`], and those of its manifest.
    pub async fn find(
        &self,
        snapshots: &Snapshots,
        id: Option<&Id>,
    ) -> Result<StoredBackup, BackupError> {
        let prefix = self.user_prefix(snapshots);
        let user = || snapshots.workspace().to_string();
        // A backup that lost a part is damaged; an older one must not be used silently.
        let all = self.store.list(&prefix).await?;
        let mut said = all.into_iter().filter(|(_, found)| found.has_manifest());
        let found = match id {
            Some(id) => said.find(|(other, _)| other == id),
            None => said.next_back(),
        };
        let Some((id, _)) = found else {
            let target = self.store.target().to_string();
            return Err(match id.cloned() {
                Some(id) => BackupError::NoSuchBackup { user: user(), id },
                None => BackupError::NoBackup {
                    user: user(),
                    target,
                },
            });
        };
        Ok(StoredBackup {
            manifest: Manifest::load(&self.store, &prefix, &id, snapshots.workspace()).await?,
            path: prefix.join(id.as_str()),
            id,
        })
    }

    /// Reads a whole backup and compares it with its hashes.
    ///
    /// # Errors
    /// [`BackupError::Damaged`] with the problem.
    pub async fn verify(&self, source: &StoredBackup) -> Result<(), BackupError> {
        self.tell(Event::Verifying(source.manifest.archive.bytes));
        tokio::select! {
            read = self.read(source, None) => read,
            () = self.stop.cancelled() => Err(BackupError::Stopped),
        }
    }

    /// Makes the backup the user's workspace, and returns the metadata that the disk could not
    /// keep. With `force` even if the user's sandbox is busy.
    ///
    /// # Errors
    /// It failed; the old workspace stays in use.
    pub async fn restore(
        &self,
        snapshots: &Snapshots,
        source: &StoredBackup,
        force: bool,
    ) -> Result<RestoreLosses, BackupError> {
        let staged = snapshots.stage(force).await?;
        let filled = tokio::select! {
            filled = self.fill(&staged, source) => filled,
            () = self.stop.cancelled() => Err(BackupError::Stopped),
        };
        let ready = match filled {
            // This may take hours, in which a hold may have been placed.
            Ok(lost) => {
                match hold::check(snapshots.engine(), &self.instance, snapshots.workspace()).await {
                    Ok(()) => self
                        .record(snapshots, source)
                        .await
                        .map(|held| (lost, held)),
                    Err(error) => Err(error.into()),
                }
            }
            Err(error) => Err(error),
        };
        let (lost, recorded) = match ready {
            Ok(ready) => ready,
            Err(error) => {
                staged.abandon().await;
                return Err(error);
            }
        };
        match recorded {
            None => staged.commit(force).await?,
            Some(recorded) => recorded.done(staged.commit(force).await).await?,
        }
        Ok(lost)
    }

    /// Records that the workspace is about to be replaced; `None` if there is no workspace.
    async fn record(
        &self,
        snapshots: &Snapshots,
        source: &StoredBackup,
    ) -> Result<Option<AuditedRemoval>, BackupError> {
        let Some((volume, _)) = snapshots.volume().await? else {
            return Ok(None);
        };
        let reason = format!("replaced by the backup {}", source.id);
        let whose = Some(snapshots.workspace());
        let recorded = AuditedRemoval::begin(&self.audit, "volume", &volume, whose, &reason).await;
        recorded.map(Some).map_err(BackupError::Unrecorded)
    }

    async fn fill(
        &self,
        staged: &StagedVolume,
        source: &StoredBackup,
    ) -> Result<RestoreLosses, BackupError> {
        self.tell(Event::Restoring(source.manifest.archive.bytes));
        let import = staged.fill().await?;
        self.read(source, Some(import)).await?;
        self.tell(Event::Comparing(source.manifest.content_bytes));
        self.compare(staged, source).await
    }

    /// Reads the archive and the list, and copies the archive if there is a destination.
    async fn read(&self, source: &StoredBackup, to: Option<Import>) -> Result<(), BackupError> {
        let (archive_chunks, archive) = Chunks::new();
        let (list_chunks, list) = Chunks::new();
        let (out, unpacked) = ChunkWriter::new();
        let bounds = PackLimits::of_a_backup(source.manifest.content_bytes);
        let thread = bounds.ended.clone().drop_guard();
        let unpacking = on_thread(move || {
            let mut out = out;
            let read = pack::unpack(archive, list, &mut out, &bounds)?;
            out.finish()?;
            Ok(read)
        });
        let unpacking = unpacking.map_err(BackupError::Thread)?;
        let moved = try_join!(
            self.send(source, ARCHIVE, archive_chunks, true),
            self.send(source, LIST, list_chunks, false),
            hand_on(unpacked, to),
        );
        if moved.is_err() {
            drop(thread);
        }
        // Of several errors, prefer the one about the backup.
        let read = self.judge(source, unpacking.await)?;
        let ((), (), import) = moved?;
        let Some(read) = read else {
            return Err(BackupError::Thread(std::io::ErrorKind::BrokenPipe.into()));
        };
        source.manifest.check(&source.id, &read)?;
        if let Some(import) = import {
            import.end().await?;
        }
        Ok(())
    }

    /// `None`: the thread was stopped from outside, where the error is known.
    fn judge(
        &self,
        source: &StoredBackup,
        read: std::io::Result<PackedArchive>,
    ) -> Result<Option<PackedArchive>, BackupError> {
        match read {
            Ok(read) => Ok(Some(read)),
            Err(error) => match damage(&error) {
                Some(what) => Err(BackupError::Damaged {
                    id: source.id.clone(),
                    what,
                }),
                None if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(None),
                None => Err(BackupError::Thread(error)),
            },
        }
    }

    /// Sends an object of the backup to the thread, until the thread ends.
    async fn send(
        &self,
        source: &StoredBackup,
        name: &str,
        chunks: mpsc::Sender<Chunk>,
        told: bool,
    ) -> Result<(), BackupError> {
        let path = source.path.clone().join(name);
        let got = self.store.get(&path).await;
        let mut content = got.map_err(|error| source.missing(name, error))?;
        while let Some(data) = content.next().await {
            let data = data.map_err(BackupError::store(format!("read {path}")))?;
            if told {
                self.tell(Event::Moved(data.len() as u64));
            }
            if chunks.send(Chunk::Data(data)).await.is_err() {
                return Ok(());
            }
        }
        let _ = chunks.send(Chunk::End(())).await;
        Ok(())
    }

    /// Compares the content of the new volume with the list.
    async fn compare(
        &self,
        staged: &StagedVolume,
        source: &StoredBackup,
    ) -> Result<RestoreLosses, BackupError> {
        let (chunks, input) = Chunks::new();
        let (list_chunks, list) = Chunks::new();
        let bounds = PackLimits::of_a_backup(source.manifest.content_bytes);
        let thread = bounds.ended.clone().drop_guard();
        let comparing = on_thread(move || {
            let mut lost = RestoreLosses::default();
            let passes = |listed: &Entry, found: &Entry| lost.take(listed, found);
            let (_, _, list) = pack::compare(input, list, &bounds, passes)?;
            Ok((list, lost))
        });
        let comparing = comparing.map_err(BackupError::Thread)?;
        let mut back = staged.read_back().await?;
        let feed = async {
            while let Some(data) = back.next().await? {
                self.tell(Event::Moved(data.len() as u64));
                if chunks.send(Chunk::Data(data)).await.is_err() {
                    return Ok(());
                }
            }
            let _ = chunks.send(Chunk::End(())).await;
            drop(chunks);
            Ok::<_, BackupError>(())
        };
        let moved = try_join!(feed, self.send(source, LIST, list_chunks, false));
        if moved.is_err() {
            drop(thread);
        }
        match comparing.await {
            Ok((list, lost)) if list == source.manifest.list => moved.map(|_| lost),
            Ok(_) => Err(BackupError::NotAsRestored("its list has changed".into())),
            Err(error) => match damage(&error) {
                Some(what) => Err(BackupError::NotAsRestored(what)),
                None => moved.and(Err(BackupError::Thread(error))),
            },
        }
    }
}

/// Passes on the unpacked archive, without its end.
async fn hand_on(
    mut unpacked: mpsc::Receiver<Bytes>,
    mut to: Option<Import>,
) -> Result<Option<Import>, BackupError> {
    while let Some(data) = unpacked.recv().await {
        if let Some(import) = &mut to {
            import.send(data).await?;
        }
    }
    Ok(to)
}
