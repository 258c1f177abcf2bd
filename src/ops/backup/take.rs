//! Makes one backup of one workspace.
//!
//! ```text
//!  container ─► chunks ─► thread: hash, list, compress ─┬─► archive ─► store, in parts
//!                                                       └─► list ────► store, in parts
//!  ─► complete both ─► write the manifest ─► remove the heartbeat
//! ```

use std::time::SystemTime;

use futures_util::try_join;
use object_store::path::Path;
use tokio::sync::mpsc;
use tracing::{info, warn};

use super::error::BackupError;
use super::heartbeat::{self, Heartbeat};
use super::id::Id;
use super::manifest::{LeftOut, Manifest, ManifestConsistency};
use super::pack::{self, PackLimits, PackedArchive};
use super::sink::Sink;
use super::store::{ARCHIVE, LIST, MANIFEST, STARTED};
use super::stream::{Chunk, ChunkWriter, Chunks, on_thread};
use super::{Backups, Event, StoredBackup, damage};
use crate::snapshot::{Consistency, Export, ExportPart, SnapshotReport, Snapshots};

/// Attempts to copy a workspace that changes during the copy. If it changes all the time, further
/// attempts would not help, and a backup that says so is better than none.
const ATTEMPT_LIMIT: u32 = 3;

impl Backups {
    /// Makes a complete backup of the user's workspace.
    ///
    /// # Errors
    /// It failed. Its objects are removed, if the store can be reached.
    pub(super) async fn take(&self, snapshots: &Snapshots) -> Result<StoredBackup, BackupError> {
        if !snapshots.exists().await? {
            return Err(BackupError::NoWorkspace(snapshots.workspace().to_string()));
        }
        snapshots.tidy().await?;
        let prefix = self.user_prefix(snapshots);
        let newest = self.collect(&prefix).await?;
        let about = self.estimate(snapshots, newest.as_ref()).await;
        let mut number = 0;
        loop {
            number += 1;
            let id = Id::after(newest.as_ref(), SystemTime::now());
            let backup = prefix.clone().join(id.as_str());
            self.tell(Event::Copying { number, about });
            let taken = tokio::select! {
                taken = self.copy_to(snapshots, &id, &backup, number) => taken,
                () = self.stop.cancelled() => Err(BackupError::Stopped),
            };
            match taken {
                Ok(Some(manifest)) => {
                    return Ok(StoredBackup {
                        id,
                        manifest,
                        path: backup,
                    });
                }
                Ok(None) => {
                    info!(user = %snapshots.workspace(), "it changed during the copy: trying again")
                }
                Err(error) => {
                    self.clean_up(&prefix, &id).await;
                    return Err(error);
                }
            }
            self.clean_up(&prefix, &id).await;
        }
    }

    /// `None`: it changed during the copy, and there may be another attempt.
    async fn copy_to(
        &self,
        snapshots: &Snapshots,
        id: &Id,
        backup: &Path,
        number: u32,
    ) -> Result<Option<Manifest>, BackupError> {
        let begun = SystemTime::now();
        let mut heartbeat = Heartbeat::by_this_process();
        heartbeat.say(&self.store, backup).await?;
        let mut archive = self.begin(&mut heartbeat, backup, ARCHIVE).await?;
        let mut list = self.begin(&mut heartbeat, backup, LIST).await?;
        let (report, packed) = tokio::select! {
            copied = self.copy(snapshots, &mut archive, &mut list) => copied?,
            error = heartbeat.run(&self.store, backup) => return Err(error),
        };
        if report.consistency == Consistency::Changed && number < ATTEMPT_LIMIT {
            return Ok(None);
        }
        archive.complete().await?;
        list.complete().await?;
        let manifest = self.manifest(snapshots, id, (begun, number), report, packed);
        let path = backup.clone().join(MANIFEST);
        self.store.put_json(&path, &manifest).await?;
        // It is complete; a failure from here on does not undo it.
        if let Err(error) = self.store.delete(&backup.clone().join(STARTED)).await {
            let error = &error as &dyn std::error::Error;
            warn!(%id, error, "the heartbeat of a complete backup could not be removed");
        }
        if manifest.consistency == ManifestConsistency::Changed {
            warn!(user = %snapshots.workspace(), %id, "{}", manifest.consistency.sentence());
        }
        Ok(Some(manifest))
    }

    /// Begins an object, and records its upload in the heartbeat before any part is stored, so that
    /// it can be cleaned up.
    async fn begin(
        &self,
        heartbeat: &mut Heartbeat,
        backup: &Path,
        name: &str,
    ) -> Result<Sink, BackupError> {
        let sink = Sink::begin(&self.store, backup.clone().join(name)).await?;
        let Some(upload) = sink.upload() else {
            return Ok(sink);
        };
        heartbeat.add(upload);
        if let Err(error) = heartbeat.say(&self.store, backup).await {
            sink.abort().await;
            return Err(error);
        }
        Ok(sink)
    }

    /// The estimated size: that of the last backup.
    async fn estimate(&self, snapshots: &Snapshots, newest: Option<&Id>) -> Option<u64> {
        let prefix = self.user_prefix(snapshots);
        let last = Manifest::load(&self.store, &prefix, newest?, snapshots.workspace()).await;
        last.ok().map(|last| last.content_bytes)
    }

    async fn copy(
        &self,
        snapshots: &Snapshots,
        archive: &mut Sink,
        list: &mut Sink,
    ) -> Result<(SnapshotReport, PackedArchive), BackupError> {
        let (chunks, input) = Chunks::new();
        let (archive_out, archive_chunks) = ChunkWriter::new();
        let (list_out, list_chunks) = ChunkWriter::new();
        let bounds = PackLimits::of_a_copy();
        // So that a thread that hashes a hole ends too.
        let thread = bounds.ended.clone().drop_guard();
        let packing = on_thread(move || pack::pack(input, archive_out, list_out, &bounds));
        let packing = packing.map_err(BackupError::Thread)?;
        let mut export = snapshots.copy().await?;
        let moved = try_join!(
            self.feed(&mut export, chunks),
            archive.take(archive_chunks),
            list.take(list_chunks),
        );
        export.close().await;
        if moved.is_err() {
            drop(thread);
        }
        let packed = packing.await;
        match (moved, packed) {
            (Ok((Some(report), (), ())), Ok(packed)) => Ok((report, packed)),
            // The thread ended first and has the error.
            (Ok((None, (), ())), Ok(_)) => Err(BackupError::NoArchive("it ended early".into())),
            (Ok(_), Err(error)) => Err(match damage(&error) {
                Some(what) => BackupError::NoArchive(what),
                None => BackupError::Thread(error),
            }),
            (Err(error), _) => Err(error),
        }
    }

    /// `None` if the other end takes no more.
    async fn feed(
        &self,
        export: &mut Export,
        chunks: mpsc::Sender<Chunk>,
    ) -> Result<Option<SnapshotReport>, BackupError> {
        loop {
            let (chunk, end) = match export.next().await? {
                ExportPart::Data(data) => {
                    self.tell(Event::Moved(data.len() as u64));
                    (Chunk::Data(data), None)
                }
                ExportPart::End(report) => (Chunk::End(()), Some(report)),
            };
            if chunks.send(chunk).await.is_err() {
                return Ok(None);
            }
            if end.is_some() {
                return Ok(end);
            }
        }
    }

    fn manifest(
        &self,
        snapshots: &Snapshots,
        id: &Id,
        (begun, tries): (SystemTime, u32),
        report: SnapshotReport,
        packed: PackedArchive,
    ) -> Manifest {
        let time = |time| humantime::format_rfc3339_millis(time).to_string();
        let workspace = snapshots.workspace();
        Manifest {
            format: Manifest::format(),
            id: id.to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            instance: self.instance.as_str().to_owned(),
            issuer: workspace.user.issuer.as_str().to_owned(),
            user: workspace.user.subject.as_str().to_owned(),
            workspace: workspace.name_str().map(str::to_owned),
            begun: time(begun),
            ended: time(SystemTime::now()),
            consistency: report.consistency.into(),
            stopped_ms: u64::try_from(report.stopped.as_millis()).unwrap_or(u64::MAX),
            processes: report.processes,
            tries,
            entries: packed.counted.entries,
            content_bytes: packed.counted.content,
            archive: packed.archive,
            list: packed.list,
            left_out: LeftOut::from(report.left_out),
        }
    }

    /// Removes the objects of this run. If that fails, the next run removes them.
    pub(super) async fn clean_up(&self, prefix: &Path, id: &Id) {
        if let Err(error) = heartbeat::discard(&self.store, prefix, id).await {
            let error = &error as &dyn std::error::Error;
            warn!(%id, error, "the next backup removes the remains of this one");
        }
    }
}
