//! Makes a zip archive of a tar archive, in one pass.
//!
//! Entries are stored, not compressed: large files of a workspace are mostly compressed already, and
//! a server has other work.
//!
//! Links are left out, so that a person who unpacks another user's archive follows none by accident.

use std::io::{self, Read, Write};

use chrono::{DateTime, Datelike as _, Timelike as _};
use tar::EntryType;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// Reads a tar archive to its end, and writes the zip archive of it. Returns what it wrote to.
///
/// # Errors
/// Of reading or writing; `InvalidData` for what is no tar archive, and where two names that are no
/// UTF-8 would be the same in the zip archive.
pub fn from_tar<W: Write>(tar: impl Read, zip: W) -> io::Result<W> {
    let mut archive = tar::Archive::new(tar);
    let mut zip = ZipWriter::new_stream(zip);
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let header = entry.header();
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Stored)
            // The size is not known before the content.
            .large_file(true)
            .unix_permissions(header.mode().unwrap_or(0o644) & 0o777)
            .last_modified_time(dos_time(header.mtime().unwrap_or(0)));
        match header.entry_type() {
            EntryType::Directory => zip.add_directory(path, options)?,
            EntryType::Regular | EntryType::GNUSparse => {
                zip.start_file(path, options)?;
                io::copy(&mut entry, &mut zip)?;
            }
            _ => {}
        }
    }
    Ok(zip.finish()?.into_inner())
}

/// In UTC, as a zip archive has it: from 1980 to 2107.
fn dos_time(seconds: u64) -> zip::DateTime {
    let time = i64::try_from(seconds).ok();
    let time = time.and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    let time = time.and_then(|time| {
        let small = |number: u32| u8::try_from(number).ok();
        zip::DateTime::from_date_and_time(
            u16::try_from(time.year()).ok()?,
            small(time.month())?,
            small(time.day())?,
            small(time.hour())?,
            small(time.minute())?,
            small(time.second())?,
        )
        .ok()
    });
    time.unwrap_or_default()
}

#[cfg(test)]
mod tests;
