//! A look at a workspace: when it was used last, and whether anybody is in it.
//!
//! The look does not count as use, and the user does not see it: it runs in a helper container.

use std::time::{Duration, SystemTime};

use tokio::time::{Instant, sleep};

use super::Snapshots;
use super::helper::{HelperContainer, HelperPurpose};
use crate::channel::Piece;
use crate::engine::Workspace;
use crate::provision::{SandboxError, broken_off};

/// How long PID 1 may take to read one small file. Its disk may be full, and the file is
/// the user's, who may have put anything in its place.
const READ_TIMEOUT: Duration = Duration::from_secs(15);

/// Between two questions.
const RETRY_INTERVAL: Duration = Duration::from_millis(100);

/// Entries of the archive of an empty workspace: itself, and the home that PID 1 makes in it.
const OWN_ENTRIES: [&[u8]; 2] = [b"./", b".home/"];

/// Such an archive is smaller than this, in bytes.
const EMPTY_ARCHIVE_LIMIT: usize = 64 << 10;

/// A block of a tar archive, in bytes.
const BLOCK: usize = 512;

/// What a look at a workspace found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkspaceLook {
    /// When it was used last; `None` where it does not say so.
    pub used: Option<SystemTime>,
    /// It has nothing that a backup would have.
    pub is_empty: bool,
}

impl Snapshots {
    /// Looks into the workspace. Only where it is a volume.
    ///
    /// # Errors
    /// As [`Self::last_use`].
    pub async fn look(&self) -> Result<WorkspaceLook, SandboxError> {
        let helper = self.start_look().await?;
        let used = helper.last_use().await;
        let is_empty = helper.is_empty().await;
        helper.close().await;
        let is_empty = is_empty?;
        Ok(WorkspaceLook { used, is_empty })
    }

    async fn start_look(&self) -> Result<HelperContainer, SandboxError> {
        let volumes = self.provisioner.volumes.list().await?;
        let run_as = volumes.run_as();
        let workspace = Workspace::Volume(volumes.current);
        self.start_helper(HelperPurpose::Look, workspace, run_as)
            .await
    }

    /// When the workspace was used last; `None` where it does not say so. Only where it is
    /// a volume.
    ///
    /// # Errors
    /// [`crate::engine::EngineError::Missing`] where the user has no workspace, and those of every
    /// call.
    pub async fn last_use(&self) -> Result<Option<SystemTime>, SandboxError> {
        let helper = self.start_look().await?;
        let used = helper.last_use().await;
        helper.close().await;
        Ok(used)
    }

    /// Whether a container of the user's is there that runs or is about to.
    ///
    /// # Errors
    /// The Engine's.
    pub async fn is_in_use(&self) -> Result<bool, SandboxError> {
        Ok(!self.running().await?.is_empty())
    }
}

impl HelperContainer {
    /// By the beginning of its archive, because a backup is no use of the workspace, and a listing
    /// would be.
    async fn is_empty(&self) -> Result<bool, SandboxError> {
        let mut backup = self.backup(false).await?;
        let mut archive = Vec::new();
        loop {
            match backup.next(READ_TIMEOUT).await.map_err(broken_off)? {
                Piece::Data(data) => archive.extend_from_slice(&data),
                Piece::End(_) => return Ok(holds_nothing(&archive)),
            }
            if archive.len() > EMPTY_ARCHIVE_LIMIT {
                return Ok(false);
            }
        }
    }

    async fn last_use(&self) -> Option<SystemTime> {
        let end = Instant::now() + READ_TIMEOUT;
        while Instant::now() < end {
            let stats = self.channel.stats().await.ok()?;
            // 0: it has not read it yet.
            if stats.last_used_ms != 0 {
                let at = u64::try_from(stats.last_used_ms).ok()?;
                return Some(SystemTime::UNIX_EPOCH + Duration::from_millis(at));
            }
            sleep(RETRY_INTERVAL).await;
        }
        None
    }
}

/// Whether a tar archive has only our own directories. Unreadable parts count as files.
fn holds_nothing(archive: &[u8]) -> bool {
    let (blocks, []) = archive.as_chunks::<BLOCK>() else {
        return false;
    };
    let mut blocks = blocks.iter().peekable();
    while let Some(header) = blocks.next() {
        if header.iter().all(|byte| *byte == 0) {
            // The end: only zeros follow.
            return blocks.all(|block| block.iter().all(|byte| *byte == 0));
        }
        let name = header[..100]
            .split(|byte| *byte == 0)
            .next()
            .unwrap_or_default();
        match header[156] {
            b'5' if OWN_ENTRIES.contains(&name) => {}
            // Times and attributes of the next entry, never its name: ours are short.
            b'x' => {
                let Some(content) = size(header).and_then(|size| take(&mut blocks, size)) else {
                    return false;
                };
                if content.windows(6).any(|part| part == b" path=") {
                    return false;
                }
            }
            _ => return false,
        }
    }
    true
}

/// Of an entry's content: octal digits.
fn size(header: &[u8; BLOCK]) -> Option<usize> {
    let digits = std::str::from_utf8(&header[124..135]).ok()?;
    usize::from_str_radix(digits.trim_matches(['\0', ' ']), 8).ok()
}

/// The blocks of a content of this size.
fn take<'a>(blocks: &mut impl Iterator<Item = &'a [u8; BLOCK]>, size: usize) -> Option<Vec<u8>> {
    let mut content = Vec::new();
    while content.len() < size {
        content.extend_from_slice(blocks.next()?);
    }
    Some(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(name: &str, kind: u8, size: usize) -> [u8; BLOCK] {
        let mut header = [0; BLOCK];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
        header[156] = kind;
        header
    }

    fn block(text: &str) -> [u8; BLOCK] {
        let mut block = [0; BLOCK];
        block[..text.len()].copy_from_slice(text.as_bytes());
        block
    }

    #[test]
    fn an_archive_of_our_own_directories_alone_holds_nothing() {
        let end = [0; BLOCK];
        let own = [header("./", b'5', 0), header(".home/", b'5', 0)];
        let times = [header("pax", b'x', 20), block("20 mtime=1800000000\n")];
        let renamed = [header("pax", b'x', 11), block("11 path=ab\n")];
        let of = |parts: &[&[[u8; BLOCK]]]| holds_nothing(&parts.concat().concat());
        assert!(of(&[&own]) && of(&[&own, &[end, end]]));
        assert!(of(&[&times, &own[..1], &times, &own[1..], &[end, end]]));
        let other: [&[&[[u8; BLOCK]]]; 7] = [
            &[&own, &[header("a", b'0', 0)]],
            &[&own, &[header(".home/a/", b'5', 0)]],
            &[&own, &[header(".home/", b'0', 0)]],
            &[&own, &[header("a", b'2', 0)]],
            &[&own, &[end], &[header("a", b'0', 0)]],
            &[&renamed, &own],
            &[&own, &times[..1]],
        ];
        for parts in other {
            assert!(!of(parts));
        }
        assert!(!holds_nothing(&own.concat()[..700]));
    }
}
