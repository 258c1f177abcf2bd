//! The entries of a tar archive: of an untrusted one, or of what PID 1 reads back.
//!
//! Nothing of an archive gets any further except what [`SharedEntry`] has: no owner, no mode except
//! whether a file is executable, no attribute. What would be another thing than it seems is an error.

use std::fmt::Display;
use std::io::{self, Read};

use casemate_protocol::backup::BLOCK;
use tar::{Archive, Entry, EntryType};

use super::bad_entry::bad;
use super::content::{EntrySink, SharedEntry, SharedKind};
use crate::ops::limited_reader::{Headers, LimitedReader};

/// Records of pax headers that change where content is, and which the tar library does not know.
const NOT_UNDERSTOOD: [&str; 6] = [
    "GNU.sparse.",
    "GNU.dumpdir",
    "GNU.volume.",
    "SCHILY.offset",
    "SCHILY.realsize",
    "SUN.holesdata",
];

/// Whose archive it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ArchiveKind {
    /// An operator's, from anywhere.
    Untrusted,
    /// PID 1's. A file with holes is a sparse entry there.
    ReadBack,
}

/// Gives all entries to `sink`.
pub(super) fn each(
    archive: impl Read,
    kind: ArchiveKind,
    sink: &mut dyn EntrySink,
) -> io::Result<()> {
    let headers = Headers::default();
    let mut archive = Archive::new(LimitedReader {
        inner: archive,
        headers: headers.clone(),
    });
    let mut entries = archive.entries()?;
    let mut last = Vec::new();
    loop {
        headers.begin();
        let next = entries.next().transpose();
        let Some(mut entry) = next.map_err(|error| after(&last, &error))? else {
            break;
        };
        headers.take();
        let path = entry.path_bytes().into_owned();
        let Some(described) = describe(&mut entry, kind)? else {
            io::copy(&mut entry, &mut io::sink()).map_err(|error| after(&path, &error))?;
            continue;
        };
        sink.take(&described, &mut entry)?;
        last = path;
    }
    // The library takes a broken off archive for one that ends.
    let end = headers.take();
    let is_marked = end.len() >= BLOCK && end[end.len() - BLOCK..].iter().all(|byte| *byte == 0);
    if !is_marked {
        return Err(after(
            &last,
            "it ends without the mark of the end of an archive",
        ));
    }
    // What pads it: a writer that still writes is not cut off.
    let mut rest = archive.into_inner();
    io::copy(&mut rest.inner, &mut io::sink()).map(drop)
}

/// The entry without its content; `None`: it is no part of the shared data.
fn describe<R: Read>(
    entry: &mut Entry<'_, R>,
    kind: ArchiveKind,
) -> io::Result<Option<SharedEntry>> {
    let (of, raw) = (entry.header().entry_type(), entry.path_bytes().into_owned());
    if of == EntryType::XGlobalHeader {
        return Ok(None);
    }
    check_records(entry, &raw)?;
    let path = relative(&raw)?;
    let kind = match of {
        EntryType::Directory => SharedKind::Directory,
        // As the oldest archives have it.
        EntryType::Regular if raw.ends_with(b"/") => SharedKind::Directory,
        EntryType::GNUSparse if kind == ArchiveKind::Untrusted => {
            return Err(bad(
                &raw,
                "a sparse entry; make the archive without --sparse",
            ));
        }
        EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => SharedKind::File {
            size: entry.size(),
            is_executable: {
                let mode = entry.header().mode();
                mode.map_err(|error| bad(&raw, error.to_string()))? & 0o111 != 0
            },
        },
        EntryType::Symlink => SharedKind::Link {
            target: entry.link_name_bytes().unwrap_or_default().into_owned(),
        },
        EntryType::Link => {
            let what = "a hard link; make the archive with --hard-dereference";
            return Err(bad(&raw, what));
        }
        EntryType::Char | EntryType::Block => {
            return Err(bad(&raw, "a device, which shared data cannot have"));
        }
        EntryType::Fifo => return Err(bad(&raw, "a FIFO, which shared data cannot have")),
        other => {
            let what = format!("an entry of type {:#04x}", other.as_byte());
            return Err(bad(&raw, what));
        }
    };
    if path.is_empty() {
        return match kind {
            // The top itself.
            SharedKind::Directory => Ok(None),
            _ => Err(bad(&raw, "a path that only a directory has")),
        };
    }
    Ok(Some(SharedEntry {
        path,
        kind,
        modified: entry.header().mtime().unwrap_or(0),
    }))
}

/// A record that the library reads otherwise than it was written, or not at all, would make another
/// entry of this one.
fn check_records<R: Read>(entry: &mut Entry<'_, R>, path: &[u8]) -> io::Result<()> {
    let Some(records) = entry.pax_extensions()? else {
        return Ok(());
    };
    for record in records {
        let record = record.map_err(|error| bad(path, error.to_string()))?;
        let key = String::from_utf8_lossy(record.key_bytes()).into_owned();
        if NOT_UNDERSTOOD.iter().any(|known| key.starts_with(known)) {
            let what = format!("its record {key:?} is not understood here");
            return Err(bad(path, what));
        }
    }
    Ok(())
}

/// The path without `.` and empty names.
fn relative(path: &[u8]) -> io::Result<Vec<u8>> {
    if path.starts_with(b"/") {
        return Err(bad(path, "an absolute path"));
    }
    if path.contains(&0) {
        return Err(bad(path, "a NUL in the path"));
    }
    let mut names = Vec::new();
    for name in path.split(|byte| *byte == b'/') {
        match name {
            b"" | b"." => {}
            b".." => return Err(bad(path, "`..` in the path")),
            name => names.push(name),
        }
    }
    Ok(names.join(&b'/'))
}

/// An error between two entries.
fn after(last: &[u8], what: impl Display) -> io::Error {
    match last.is_empty() {
        true => {
            let what =
                format!("before the first entry: {what}; is it a tar archive, and not compressed?");
            io::Error::new(io::ErrorKind::InvalidData, what)
        }
        false => bad(last, format!("after it: {what}")),
    }
}

#[cfg(test)]
#[path = "archive_tests.rs"]
mod tests;
