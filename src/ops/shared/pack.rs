//! Writes entries as the tar archive that PID 1 unpacks: each as it is to be, and nothing else of its
//! source. Every file is root's and readable by all.

use std::io::{self, Read, Write};

use casemate_protocol::backup::BLOCK;
use tar::{EntryType, Header};

use super::content::{ContentList, ContentSummary, EntrySink, SharedEntry, SharedKind};
use crate::ops::backup::stream::TeeReader;

/// The name of an entry that holds the long name or target of the next, as GNU tar has it.
const LONG: &[u8] = b"././@LongLink";

/// Bytes of a name or a target that a header has room for.
const HEADER_NAME: usize = 100;

/// Of directories, and of files that can be executed.
const EXECUTABLE_MODE: u32 = 0o755;

/// Of other files.
const FILE_MODE: u32 = 0o644;

/// Writes an archive, and lists what is in it.
#[derive(Debug)]
pub(super) struct Packer<W> {
    out: W,
    list: ContentList,
}

impl<W: Write> Packer<W> {
    pub(super) fn new(out: W) -> Self {
        Self {
            out,
            list: ContentList::default(),
        }
    }

    /// Ends the archive, and returns what was written and what it is.
    pub(super) fn finish(mut self) -> io::Result<(W, ContentSummary)> {
        self.out.write_all(&[0; 2 * BLOCK])?;
        Ok((self.out, self.list.summary()))
    }

    /// An entry whose content is the name or the target of the next.
    fn long(&mut self, kind: EntryType, text: &[u8]) -> io::Result<()> {
        let mut header = header(kind, LONG, text.len() as u64 + 1);
        header.set_cksum();
        self.out.write_all(header.as_bytes())?;
        self.out.write_all(text)?;
        self.out.write_all(&[0])?;
        self.pad(text.len() as u64 + 1)
    }

    fn pad(&mut self, size: u64) -> io::Result<()> {
        let block = BLOCK as u64;
        let over = usize::try_from(size % block).unwrap_or(0);
        match over {
            0 => Ok(()),
            over => self.out.write_all(&[0; BLOCK][over..]),
        }
    }
}

impl<W: Write> EntrySink for Packer<W> {
    fn take(&mut self, entry: &SharedEntry, content: &mut dyn Read) -> io::Result<()> {
        let mut path = entry.path.clone();
        let (kind, mode, size) = match &entry.kind {
            SharedKind::Directory => {
                path.push(b'/');
                (EntryType::Directory, EXECUTABLE_MODE, 0)
            }
            SharedKind::File {
                size,
                is_executable,
            } => {
                let mode = if *is_executable {
                    EXECUTABLE_MODE
                } else {
                    FILE_MODE
                };
                (EntryType::Regular, mode, *size)
            }
            SharedKind::Link { target } => {
                if target.len() > HEADER_NAME {
                    self.long(EntryType::GNULongLink, target)?;
                }
                (EntryType::Symlink, 0o777, 0)
            }
        };
        if path.len() > HEADER_NAME {
            self.long(EntryType::GNULongName, &path)?;
        }
        let mut header = header(kind, &path, size);
        header.set_mode(mode);
        header.set_mtime(entry.modified);
        if let (SharedKind::Link { target }, Some(gnu)) = (&entry.kind, header.as_gnu_mut()) {
            fill(&mut gnu.linkname, target);
        }
        header.set_cksum();
        self.out.write_all(header.as_bytes())?;
        let mut content = TeeReader {
            reader: content,
            writer: &mut self.out,
        };
        // It reads all, and fails where that is more or less than the header says.
        self.list.take(entry, &mut content)?;
        self.pad(size)
    }
}

fn header(kind: EntryType, path: &[u8], size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(size);
    if let Some(gnu) = header.as_gnu_mut() {
        fill(&mut gnu.name, path);
    }
    header
}

fn fill(field: &mut [u8; HEADER_NAME], text: &[u8]) {
    let fits = text.len().min(HEADER_NAME);
    field[..fits].copy_from_slice(&text[..fits]);
}
