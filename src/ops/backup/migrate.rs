//! A workspace whose volume has another uid than its user is to have, moved into one that has it:
//! a restore without a backup, from volume to volume.
//!
//! ```text
//!  end the user's containers ─► the old volume ─► a new one, whose files the new uid writes
//!  ─► read the new one, read the old one once more: all three lists are the same ─► exchange
//! ```
//!
//! Nobody changes an owner: that needs a root that runs. The old volume is read until the exchange
//! and not written, so a kill at any moment leaves it in force, or the new one, whole; the next
//! run begins again. What a user's call writes meanwhile is seen in the last reading, and then
//! nothing is exchanged.

use futures_util::future::BoxFuture;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::error::BackupError;
use super::manifest::LeftOut;
use super::pack::{self, BackupCounts, PackLimits};
use super::stream::{Chunk, Chunks, ContentDigest, on_thread};
use super::{Event, damage};
use crate::ops::gc::hold;
use crate::ops::removal::AuditedRemoval;
use crate::sandbox::Manager;
use crate::snapshot::{Consistency, ExportPart, Import, SnapshotReport, Snapshots, StagedVolume};

/// How often a container is ended that came while the old volume was read for the last time: a
/// server whose command was ended makes one, to ask what became of it.
const ATTEMPT_LIMIT: usize = 3;

/// A workspace that has its user's uid now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigratedWorkspace {
    /// How much there is in it.
    pub counted: BackupCounts,
    /// Its uid.
    pub uid: u32,
    /// What the old volume had and the new one has not.
    pub left_out: LeftOut,
}

/// Moves workspaces.
pub struct Migration<'a> {
    /// Of this server's users.
    pub manager: &'a Manager,
    /// Also of users who work: what they run is ended.
    pub force: bool,
    /// Ends it early; nothing is changed then.
    pub stop: CancellationToken,
    /// Is told what happens.
    pub tell: &'a (dyn Fn(Event) + Send + Sync),
}

impl Migration<'_> {
    /// Moves the user's workspace. `None`: it has its uid, or there is none.
    ///
    /// # Errors
    /// Why not; then the old volume is in force.
    pub async fn run(
        &self,
        snapshots: &Snapshots,
    ) -> Result<Option<MigratedWorkspace>, BackupError> {
        if !snapshots.has_old_uid().await? {
            return Ok(None);
        }
        let instance = &self.manager.config().instance;
        // The old volume goes at the end, and a hold is on that.
        hold::check(snapshots.engine(), instance, snapshots.user()).await?;
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

    /// Copies, and looks that all of it is there and that nobody has changed it since.
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
            let what = "the new volume does not hold what the old one does".to_owned();
            return Err(BackupError::NotAsRestored(what));
        }
        for _ in 0..ATTEMPT_LIMIT {
            staged.end_containers(self.force).await?;
            (self.tell)(Event::Comparing(copied.0.content));
            let (report, still) = self.copy(snapshots, None).await?;
            if still != copied {
                break;
            }
            // Else somebody came, and may still write.
            if report.consistency == Consistency::Stopped && !staged.is_used().await? {
                // It takes hours, in which somebody may have begun to hold it.
                let instance = &self.manager.config().instance;
                hold::check(snapshots.engine(), instance, snapshots.user()).await?;
                return Ok((copied.0, report.left_out.into()));
            }
        }
        Err(BackupError::Used)
    }

    /// Reads the old volume, and hands it on where somebody wants it.
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

    /// A thread that has ended says why when it is asked.
    async fn hand_on(&self, listing: &ArchiveListing, chunk: Chunk) {
        if let Chunk::Data(data) = &chunk {
            (self.tell)(Event::Moved(data.len() as u64));
        }
        let _ = listing.chunks.send(chunk).await;
    }

    /// That the old volume is about to be replaced.
    async fn record(&self, snapshots: &Snapshots) -> Result<AuditedRemoval, BackupError> {
        let volume = snapshots.volume().await?;
        let (volume, _) = volume.ok_or(BackupError::Used)?;
        let (audit, user) = (self.manager.audit(), Some(snapshots.user()));
        let reason = "moved to a volume with the user's uid";
        let recorded = AuditedRemoval::begin(audit, "volume", &volume, user, reason).await;
        recorded.map_err(BackupError::Unrecorded)
    }
}

/// What is in an archive, as a thread finds it.
struct ArchiveListing {
    chunks: mpsc::Sender<Chunk>,
    listed: BoxFuture<'static, std::io::Result<(BackupCounts, ContentDigest)>>,
    /// Also a thread that hashes a hole ends with this.
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
