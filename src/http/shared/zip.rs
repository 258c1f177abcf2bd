//! Makes a zip archive of a tar archive, in one pass (APPNOTE.TXT 6.3.10).
//!
//! Entries are stored, not compressed: what is large in a workspace is compressed already, and a
//! server has other work. The sum of an entry is known after its content, so it follows that (general
//! purpose bit 3), and the directory at the end has it too.
//!
//! Links are left out: whoever unpacks an archive of somebody else follows none by accident.

mod crc;
mod writer;

use std::io::{self, Read, Write};

use tar::EntryType;

pub use writer::ZipWriter;

/// Bytes that are copied at a time.
const COPY_BUFFER: usize = 64 * 1024;

/// Reads a tar archive to its end, and writes the zip archive of it. Returns what it wrote to.
///
/// # Errors
/// Of reading or writing, and `InvalidData` for what is no tar archive.
pub fn from_tar<W: Write>(tar: impl Read, zip: W) -> io::Result<W> {
    let mut archive = tar::Archive::new(tar);
    let mut zip = ZipWriter::new(zip);
    let mut buffer = vec![0; COPY_BUFFER];
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = entry.path_bytes().into_owned();
        let modified = entry.header().mtime().unwrap_or(0);
        let mode = entry.header().mode().unwrap_or(0o644);
        match entry.header().entry_type() {
            EntryType::Directory => zip.directory(&path, mode, modified)?,
            EntryType::Regular | EntryType::GNUSparse => {
                let mut file = zip.begin(&path, mode, modified)?;
                loop {
                    let read = entry.read(&mut buffer)?;
                    if read == 0 {
                        break;
                    }
                    file.write(&buffer[..read])?;
                }
                file.end()?;
            }
            _ => {}
        }
    }
    zip.finish()
}

#[cfg(test)]
mod tests;
