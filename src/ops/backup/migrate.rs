//! Moves a workspace into a volume that has its user's uid: a restore without a backup, from volume
//! to volume.
//!
//! ```text
//!  end the user's containers ─► the old volume ─► a new one, whose files the new uid writes
//!  ─► read the new one, read the old one once more: all three lists are the same ─► exchange
//! ```
//!
//! Owners are never changed, because that would need a process with root. The old volume is only
//! read until the exchange, so a kill at any moment leaves either volume in use and whole; the next
//! run starts again. The last reading finds anything that a call wrote during the move, and then
//! nothing is exchanged.

use futures_util::future::BoxFuture;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::error::BackupError;
use super::manifest::LeftOut;
use super::pack::{self, BackupCounts, PackLimits};
use super::stream::{Chunk, Chunks, ContentDigest, on_thread};
use super::{Event, damage};
use crate::audit::AuditedRemoval;
use crate::ops::gc::hold;
use crate::sandbox::Manager;
use crate::snapshot::{Consistency, ExportPart, Import, SnapshotReport, Snapshots, StagedVolume};

/// How often a container is ended that appeared during the last reading: a server whose command was
/// ended makes one to ask for the outcome.
const ATTEMPT_LIMIT: usize = 3;

/// A workspace that now has its user's uid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigratedWorkspace {
    /// Its entries and bytes.
    pub counted: BackupCounts,
    /// Its uid.
    pub uid: u32,
    /// The parts of the old volume that are not in the new one.
    pub left_out: LeftOut,
}

/// Moves workspaces.
pub struct Migration<'a> {
    /// The manager of the users.
    pub manager: &'a Manager,
    /// Even if the user's commands run; they are ended.
    pub force: bool,
    /// Ends it early, without a change.
    pub stop: CancellationToken,
    /// Gets the progress.
    pub tell: &'a (dyn Fn(Event) + Send + Sync),
}

impl Migration<'_> {
    /// Moves the user's workspace. `None`: it has its uid already, or there is no workspace.
    ///
    /// # Errors
    /// It failed; the old volume stays in use.
    pub async fn run(
        &self,
        snapshots: &Snapshots,
    ) -> Result<Option<MigratedWorkspace>, BackupError> {
        if !snapshots.has_old_uid().await? {
            return Ok(None);
        }
        let instance = &self.manager.config().instance;
        // The old volume is removed at the end, so it must not be held.
        hold::check(snapshots.engine(), instance, snapshots.workspace()).await?;
        let staged = snapshots.stage(self.force).await?;
        let moved = tokio::select! {
            moved = self.fill(snapshots, &staged) => moved,
            () = self.stop.cancelled() => Err(BackupError::Stopped),
        };
        let ready = match moved {
            Ok(filled) => self
                .record(snapshots)
                .await
                .map(|recorded| (filled, recorded)),
            Err(error) => Err(error),
        };
        match ready {
            Ok(((counted, left_out), recorded)) => {
                let uid = staged.uid();
                recorded.done(staged.commit_unused().await).await?;
                Ok(Some(MigratedWorkspace {
                    counted,
                    uid,
                    left_out,
                }))
            }
            Err(error) => {
                staged.abandon().await;
                Err(error)
            }
        }
    }

    /// Copies, and checks that the copy is complete and the original unchanged.
    async fn fill(
        &self,
        snapshots: &Snapshots,
        staged: &StagedVolume,
    ) -> Result<(BackupCounts, LeftOut), BackupError> {
        staged.end_containers(self.force).await?;
        (self.tell)(Event::Copying {
            number: 1,
            about: None,
        });
        let (_, copied) = self.copy(snapshots, Some(staged.fill().await?)).await?;
        (self.tell)(Event::Comparing(copied.0.content));
        let arrived = self.read_back(staged).await?;
        if arrived != copied {
            let what = "the new volume does not have the same content as the old one".to_owned();
            return Err(BackupError::NotAsRestored(what));
        }
        for _ in 0..ATTEMPT_LIMIT {
            staged.end_containers(self.force).await?;
            (self.tell)(Event::Comparing(copied.0.content));
            let (report, still) = self.copy(snapshots, None).await?;
            if still != copied {
                break;
            }
            // Otherwise a container appeared, which may still write.
            if report.consistency == Consistency::Stopped && !staged.is_used().await? {
                // This may take hours, in which a hold may have been placed.
                let instance = &self.manager.config().instance;
                hold::check(snapshots.engine(), instance, snapshots.workspace()).await?;
                return Ok((copied.0, report.left_out.into()));
            }
        }
        Err(BackupError::Used)
    }

    /// Reads the old volume, and copies it if there is a destination.
    async fn copy(
        &self,
        snapshots: &Snapshots,
        mut to: Option<Import>,
    ) -> Result<(SnapshotReport, (BackupCounts, ContentDigest)), BackupError> {
        let listing = ArchiveListing::begin()?;
        let mut export = snapshots.copy().await?;
        let moved = async {
            loop {
                match export.next().await? {
                    ExportPart::Data(data) => {
                        if let Some(to) = &mut to {
                            to.send(data.clone()).await?;
                        }
                        self.hand_on(&listing, Chunk::Data(data)).await;
                    }
                    ExportPart::End(report) => {
                        self.hand_on(&listing, Chunk::End(())).await;
                        return Ok::<_, BackupError>(report);
                    }
                }
            }
        };
        let moved = moved.await;
        export.close().await;
        let report = moved?;
        if let Some(to) = to {
            to.end().await?;
        }
        Ok((report, listing.end().await?))
    }

    /// Reads the new volume.
    async fn read_back(
        &self,
        staged: &StagedVolume,
    ) -> Result<(BackupCounts, ContentDigest), BackupError> {
        let listing = ArchiveListing::begin()?;
        let mut back = staged.read_back().await?;
        while let Some(data) = back.next().await? {
            self.hand_on(&listing, Chunk::Data(data)).await;
        }
        self.hand_on(&listing, Chunk::End(())).await;
        listing.end().await
    }

    /// The error of a thread that has ended.
    async fn hand_on(&self, listing: &ArchiveListing, chunk: Chunk) {
        if let Chunk::Data(data) = &chunk {
            (self.tell)(Event::Moved(data.len() as u64));
        }
        let _ = listing.chunks.send(chunk).await;
    }

    /// Records that the old volume is about to be replaced.
    async fn record(&self, snapshots: &Snapshots) -> Result<AuditedRemoval, BackupError> {
        let volume = snapshots.volume().await?;
        let (volume, _) = volume.ok_or(BackupError::Used)?;
        let (audit, whose) = (self.manager.audit(), Some(snapshots.workspace()));
        let reason = "moved to a volume with the user's uid";
        let recorded = AuditedRemoval::begin(audit, "volume", &volume, whose, reason).await;
        recorded.map_err(BackupError::Unrecorded)
    }
}

/// Lists an archive on a thread.
struct ArchiveListing {
    chunks: mpsc::Sender<Chunk>,
    listed: BoxFuture<'static, std::io::Result<(BackupCounts, ContentDigest)>>,
    /// Also ends a thread that hashes a hole.
    _thread: tokio_util::sync::DropGuard,
}

impl ArchiveListing {
    fn begin() -> Result<Self, BackupError> {
        let (chunks, input) = Chunks::new();
        let bounds = PackLimits::of_a_copy();
        let thread = bounds.ended.clone().drop_guard();
        let listed = on_thread(move || pack::listed(input, &bounds));
        let listed = listed.map_err(BackupError::Thread)?;
        Ok(Self {
            chunks,
            listed: Box::pin(listed),
            _thread: thread,
        })
    }

    async fn end(self) -> Result<(BackupCounts, ContentDigest), BackupError> {
        drop(self.chunks);
        self.listed.await.map_err(|error| match damage(&error) {
            Some(what) => BackupError::NoArchive(what),
            None => BackupError::Thread(error),
        })
    }
}
