//! A new version of a share.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::SharedStore;
use super::archive::{self, ArchiveKind};
use super::content::{ContentList, ContentSummary};
use super::error::SharedError;
use super::holders::{HolderSummary, holders};
use super::pack::Packer;
use super::source::ContentSource;
use crate::config::SharedName;
use crate::engine::version_volume;
use crate::ops::backup::stream::{Chunk, ChunkWriter, Chunks, on_thread};
use crate::provision::{SharedVolumes, connect};
use crate::snapshot::{Import, SharedStage, SharedStageError, make_head, shared_user};

/// Digits of a hash that name a version.
const VERSION_DIGITS: usize = 12;

/// Attempts to make the volume of a version.
const STAGE_ATTEMPTS: u32 = 4;

/// The longest time between two tries: some times as long as the Engine takes for one.
const STAGE_RETRY_INTERVAL: Duration = Duration::from_millis(1_500);

/// What a `put` did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PutResult {
    /// There is a new version.
    Created,
    /// An older version has this content, and is the newest again.
    Again,
    /// The newest version has this content.
    Unchanged,
}

/// The version that a `put` made the newest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutReport {
    /// Whether a version was added.
    pub result: PutResult,
    /// 12 hex digits.
    pub version: String,
    /// Its volume.
    pub volume: String,
    /// Its files and bytes.
    pub content: ContentSummary,
}

/// Sandboxes that had an older version.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RetireReport {
    /// Idle, and ended: the next call makes them again.
    pub retired: Vec<HolderSummary>,
    /// Busy: they have the older version until they end.
    pub busy: Vec<HolderSummary>,
}

impl SharedStore {
    /// Makes what `source` has the newest version. Until `stop`; then, and if it is killed, nothing
    /// has changed.
    ///
    /// # Errors
    /// [`SharedError`]. Nothing has changed.
    pub async fn put(
        &self,
        name: &SharedName,
        source: ContentSource,
        stop: &CancellationToken,
    ) -> Result<PutReport, SharedError> {
        let shared = &self.manager.config().shared;
        if shared.get(name).is_none() {
            return Err(SharedError::Unknown(shared.unknown(name)));
        }
        let (source, content) = tokio::select! {
            read = summary(source) => read?,
            () = stop.cancelled() => return Err(SharedError::Stopped),
        };
        if content.entries == 0 {
            return Err(SharedError::Empty);
        }
        let report = |result| PutReport {
            result,
            version: version_of(&content),
            volume: version_volume(self.instance().as_str(), name.as_str(), &content.hash),
            content: content.clone(),
        };
        let volume = report(PutResult::Created).volume;
        let share = self.share(name).await?;
        // The name of a volume has only the first digits of a hash.
        let found = share.version(&volume);
        if found.is_some_and(|version| version.hash != content.hash) {
            let name = name.clone();
            return Err(SharedError::OtherContent { name, volume });
        }
        if share.newest().is_some_and(|newest| newest.volume == volume) {
            return Ok(report(PutResult::Unchanged));
        }
        if share.version(&volume).is_some() {
            self.make_newest(name, &content).await?;
            // A clean-up may have removed it just before.
            let newest = self.share(name).await?;
            if newest
                .newest()
                .is_some_and(|newest| newest.volume == volume)
            {
                return Ok(report(PutResult::Again));
            }
        }
        let stage = self.stage(name, &content.hash).await?;
        let filled = tokio::select! {
            filled = fill(&stage, source, &content) => filled,
            () = stop.cancelled() => Err(SharedError::Stopped),
        };
        if let Err(error) = filled {
            stage.abandon().await;
            return Err(error);
        }
        let (bytes, entries) = (content.bytes, content.entries);
        stage.commit(&version_of(&content), bytes, entries).await?;
        Ok(report(PutResult::Created))
    }

    /// Two of the same content can meet such that each takes the volume from the other. Then each
    /// tries again, after a different time.
    async fn stage(&self, name: &SharedName, hash: &str) -> Result<SharedStage, SharedStageError> {
        let user = shared_user(name);
        let snapshots = self.manager.snapshots(&user.into());
        let mut attempt = 1;
        loop {
            match snapshots.stage_shared(name, hash).await {
                Err(SharedStageError::Busy { .. }) if attempt < STAGE_ATTEMPTS => attempt += 1,
                staged => return staged,
            }
            let random = uuid::Uuid::new_v4().as_u128() % STAGE_RETRY_INTERVAL.as_millis();
            let random = u64::try_from(random).unwrap_or_default();
            sleep(Duration::from_millis(random)).await;
        }
    }

    /// Ends the idle sandboxes that have another version of the share than the newest.
    ///
    /// # Errors
    /// The Engine's. One that does not answer counts as busy.
    pub async fn retire_old(&self, name: &SharedName) -> Result<RetireReport, SharedError> {
        let share = self.share(name).await?;
        let newest = share.newest().map(|newest| newest.volume.clone());
        let old = share.versions.iter().map(|version| &version.volume);
        let old: Vec<_> = old
            .filter(|volume| Some(*volume) != newest.as_ref())
            .collect();
        let all = holders(&self.engine, self.instance()).await?;
        let mut report = RetireReport::default();
        for holder in all {
            if !old.iter().any(|volume| holder.has(volume)) {
                continue;
            }
            let summary = holder.summary();
            let sandboxes = connect(&self.engine, vec![holder.row]).await;
            for sandbox in sandboxes {
                match sandbox.end(&self.engine, false).await {
                    Ok(true) => report.retired.push(summary.clone()),
                    Ok(false) | Err(_) => report.busy.push(summary.clone()),
                }
            }
        }
        Ok(report)
    }

    async fn make_newest(
        &self,
        name: &SharedName,
        content: &ContentSummary,
    ) -> Result<(), SharedError> {
        let (version, instance) = (version_of(content), self.instance());
        let (bytes, entries) = (content.bytes, content.entries);
        make_head(&self.engine, instance, name, &version, bytes, entries).await?;
        Ok(())
    }

    pub(super) async fn share(&self, name: &SharedName) -> Result<SharedVolumes, SharedError> {
        Ok(self.list().await?.remove(name).unwrap_or_default())
    }
}

fn version_of(content: &ContentSummary) -> String {
    content.hash.chars().take(VERSION_DIGITS).collect()
}

/// Reads all of a source.
async fn summary(
    mut source: ContentSource,
) -> Result<(ContentSource, ContentSummary), SharedError> {
    let read = on_thread(move || {
        let mut list = ContentList::default();
        source.each(&mut list)?;
        Ok((source, list.summary()))
    });
    let read = read.map_err(SharedError::Thread)?.await;
    read.map_err(SharedError::Source)
}

/// Fills the new volume, and reads it back.
async fn fill(
    stage: &SharedStage,
    source: ContentSource,
    content: &ContentSummary,
) -> Result<(), SharedError> {
    let sent = send(stage, source).await?;
    if sent != *content {
        return Err(SharedError::Changed);
    }
    let stored = read_back(stage, content.bytes).await?;
    match stored == *content {
        true => Ok(()),
        false => Err(SharedError::NotAsSent),
    }
}

async fn send(
    stage: &SharedStage,
    mut source: ContentSource,
) -> Result<ContentSummary, SharedError> {
    let mut import = stage.fill().await?;
    let (out, mut packed) = ChunkWriter::new();
    let packing = on_thread(move || {
        let mut packer = Packer::new(out);
        source.each(&mut packer)?;
        let (out, summary) = packer.finish()?;
        out.finish()?;
        Ok(summary)
    });
    let packing = packing.map_err(SharedError::Thread)?;
    let sent = hand_on(&mut packed, &mut import).await;
    // The thread ends when its chunks are taken no more.
    drop(packed);
    match (packing.await, sent) {
        // Of several errors, that of the volume: the thread's is then that it broke off.
        (_, Err(error)) => Err(error),
        (Err(error), Ok(())) => Err(SharedError::Source(error)),
        (Ok(summary), Ok(())) => {
            import.end().await?;
            Ok(summary)
        }
    }
}

async fn hand_on(
    packed: &mut mpsc::Receiver<Bytes>,
    import: &mut Import,
) -> Result<(), SharedError> {
    while let Some(data) = packed.recv().await {
        import.send(data).await?;
    }
    Ok(())
}

/// What the volume has, as PID 1 reads it from the disk.
async fn read_back(stage: &SharedStage, bytes: u64) -> Result<ContentSummary, SharedError> {
    let (chunks, input) = Chunks::new();
    let reading = on_thread(move || {
        let mut list = ContentList::limited(bytes);
        archive::each(input, ArchiveKind::ReadBack, &mut list)?;
        Ok(list.summary())
    });
    let reading = reading.map_err(SharedError::Thread)?;
    let mut back = stage.read_back().await?;
    let mut is_taken = true;
    while let Some(data) = back.next().await? {
        is_taken = is_taken && chunks.send(Chunk::Data(data)).await.is_ok();
        if !is_taken {
            break;
        }
    }
    let _ = chunks.send(Chunk::End(())).await;
    drop(chunks);
    match reading.await {
        Ok(summary) => Ok(summary),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(SharedError::NotAsSent),
        Err(error) => Err(SharedError::Thread(error)),
    }
}
