//! Turns a container's output into the stored objects: the compressed archive and the list of its
//! entries. The output is not trusted: anything invalid is an error.

use std::io::{self, BufReader, Read, Write};

use casemate_protocol::backup::ENTRIES;
use tar::{Archive, EntryType};
use tokio_util::sync::CancellationToken;
use zstd::stream::read::Decoder;
use zstd::stream::write::Encoder;

use super::entry::{self, Entry, bad};
use super::stream::{ChunkWriter, Chunks, ContentDigest, HashingStream, TeeReader};
use crate::ops::limited_reader::{Headers, LimitedReader};

/// zstd's default: three times as fast as the disk.
const LEVEL: i32 = 3;

/// Largest window of a compressed stream, as a power of 2: 8 MiB, what zstd uses at its
/// levels up to 19. A stream that asks for more is not from this server.
const WINDOW: u32 = 23;

/// The size of a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BackupCounts {
    /// Entries.
    pub entries: u64,
    /// Bytes of all files, including holes.
    pub content: u64,
}

/// Limits of a thread that packs or unpacks.
#[derive(Debug)]
pub struct PackLimits {
    entries: u64,
    /// Bytes of all files, including holes.
    content: u64,
    /// Cancelled when the result is no longer needed.
    pub ended: CancellationToken,
}

impl PackLimits {
    /// For a workspace that is copied: its holes may have any size.
    pub fn of_a_copy() -> Self {
        Self {
            entries: ENTRIES,
            content: u64::MAX,
            ended: CancellationToken::new(),
        }
    }

    /// For a stored backup: no more than its manifest says.
    pub fn of_a_backup(content_bytes: u64) -> Self {
        Self {
            content: content_bytes,
            ..Self::of_a_copy()
        }
    }
}

/// Size and digests of the stored objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackedArchive {
    /// Its size.
    pub counted: BackupCounts,
    /// The compressed archive.
    pub archive: ContentDigest,
    /// The compressed list.
    pub list: ContentDigest,
}

/// Packs `input` into `archive` and `list`.
///
/// # Errors
/// `InvalidData` for an invalid archive, `BrokenPipe` if either end broke off.
pub fn pack(
    input: Chunks,
    archive: ChunkWriter,
    list: ChunkWriter,
    bounds: &PackLimits,
) -> io::Result<PackedArchive> {
    let tee = TeeReader {
        reader: input,
        writer: Encoder::new(HashingStream::new(archive), LEVEL)?,
    };
    let mut lines = Encoder::new(HashingStream::new(list), LEVEL)?;
    let (tee, counted) = each(tee, bounds, |entry| {
        serde_json::to_writer(&mut lines, entry)?;
        lines.write_all(b"\n")
    })?;
    let (archive, archive_digest) = tee.writer.finish()?.finish();
    let (list, list_digest) = lines.finish()?.finish();
    archive.finish()?;
    list.finish()?;
    Ok(PackedArchive {
        counted,
        archive: archive_digest,
        list: list_digest,
    })
}

/// Reads a whole stored archive and its list, and passes on the content of the archive.
///
/// # Errors
/// `InvalidData` if the two differ or one is damaged, `BrokenPipe` if either end broke off.
pub fn unpack(
    archive: Chunks,
    list: Chunks,
    out: impl Write,
    bounds: &PackLimits,
) -> io::Result<PackedArchive> {
    let mut decoder = Decoder::new(HashingStream::new(archive))?;
    decoder.window_log_max(WINDOW)?;
    let tee = TeeReader {
        reader: decoder,
        writer: out,
    };
    let (tee, counted, list) = compare(tee, list, bounds, |_, _| false)?;
    // Hash anything after the compressed stream too, so that the digest does not match.
    let mut rest = tee.reader.finish().into_inner();
    io::copy(&mut rest, &mut io::sink())?;
    Ok(PackedArchive {
        counted,
        archive: rest.finish().1,
        list,
    })
}

/// Reads an archive and returns the digest of its list: archives with the same digest have the same
/// entries, with the same content, modes, times, targets and extended attributes.
///
/// # Errors
/// `InvalidData` for an invalid archive, `BrokenPipe` if either end broke off.
pub fn listed(
    archive: impl Read,
    bounds: &PackLimits,
) -> io::Result<(BackupCounts, ContentDigest)> {
    let mut lines = HashingStream::new(io::sink());
    let (_, counted) = each(archive, bounds, |entry| {
        serde_json::to_writer(&mut lines, entry)?;
        lines.write_all(b"\n")
    })?;
    Ok((counted, lines.finish().1))
}

/// Compares an archive with a list, and returns the size and the digest of the list. An entry that
/// differs from the list is an error, unless `passes` accepts it: its arguments are the listed and
/// the found entry.
///
/// # Errors
/// As [`unpack`].
pub fn compare<R: Read>(
    archive: R,
    list: Chunks,
    bounds: &PackLimits,
    mut passes: impl FnMut(&Entry, &Entry) -> bool,
) -> io::Result<(R, BackupCounts, ContentDigest)> {
    let mut decoder = Decoder::new(HashingStream::new(list))?;
    decoder.window_log_max(WINDOW)?;
    let mut list = BufReader::new(decoder);
    let (archive, counted) = each(archive, bounds, |found| {
        match entry::next_line(&mut list)? {
            Some(listed) if listed == *found || passes(&listed, found) => Ok(()),
            Some(listed) if listed.path == found.path => {
                let what = difference(&listed, found);
                Err(bad(format!(
                    "{}: its {what} differs from the list",
                    found.path
                )))
            }
            Some(listed) => Err(bad(format!(
                "the archive has {}, where the list has {}",
                found.path, listed.path
            ))),
            None => Err(bad(format!("{} is not in the list", found.path))),
        }
    })?;
    if let Some(missing) = entry::next_line(&mut list)? {
        return Err(bad(format!("{} is not in the archive", missing.path)));
    }
    let mut rest = list.into_inner().finish().into_inner();
    io::copy(&mut rest, &mut io::sink())?;
    Ok((archive, counted, rest.finish().1))
}

fn difference(listed: &Entry, found: &Entry) -> &'static str {
    match () {
        () if listed.kind != found.kind => "kind",
        () if listed.size != found.size => "size",
        () if listed.sha256 != found.sha256 => "content",
        () if listed.mode != found.mode => "mode",
        () if listed.modified != found.modified => "time",
        () if listed.target != found.target => "target",
        () => "extended attributes",
    }
}

/// Reads an archive to its end, and calls `tell` for each entry.
fn each<R: Read>(
    archive: R,
    bounds: &PackLimits,
    mut tell: impl FnMut(&Entry) -> io::Result<()>,
) -> io::Result<(R, BackupCounts)> {
    let headers = Headers::default();
    let bounded = LimitedReader {
        inner: archive,
        headers: headers.clone(),
    };
    let mut archive = Archive::new(bounded);
    let mut counted = BackupCounts::default();
    let mut entries = archive.entries()?;
    loop {
        headers.begin();
        let Some(entry) = entries.next() else { break };
        let mut entry = entry?;
        let headers = headers.take();
        counted.entries += 1;
        if counted.entries > bounds.entries {
            return Err(bad(format!("more than {} entries", bounds.entries)));
        }
        // Checked by the header, before the content is read: a hole of 2^60 bytes takes 1 KiB.
        if matches!(
            entry.header().entry_type(),
            EntryType::Regular | EntryType::GNUSparse
        ) {
            counted.content = counted.content.saturating_add(entry.size());
        }
        if counted.content > bounds.content {
            let most = bounds.content;
            return Err(bad(format!("more than the {most} bytes of its manifest")));
        }
        let found = Entry::read(&mut entry, &headers, &bounds.ended)?;
        tell(&found)?;
    }
    // The padding at the end.
    headers.begin();
    let mut bounded = archive.into_inner();
    io::copy(&mut bounded, &mut io::sink())?;
    Ok((bounded.inner, counted))
}

#[cfg(test)]
mod tests;
