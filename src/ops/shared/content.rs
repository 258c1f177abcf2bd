//! What a version of shared data is: its entries, and the hash that names it.
//!
//! SHA-256 over `casemate-shared-1` and then, for each entry in the order of the bytes of its path,
//! three texts: the path, the kind, and what the kind has. Each text is followed by a NUL.
//!
//! | kind | what it has |
//! |---|---|
//! | `directory` | nothing |
//! | `file`, `executable` | the SHA-256 of its content, in hexadecimal |
//! | `link` | its target |
//!
//! Owners, times, other bits of modes and extended attributes are no part of it.

use std::collections::BTreeMap;
use std::io::{self, Read};

use casemate_protocol::backup::{check_link_target, check_path};
use sha2::{Digest as _, Sha256};

use super::bad_entry::bad;
use crate::identity::hex;

/// Entries of one version. Their list is in memory: 100 MB.
const ENTRY_LIMIT: usize = 1_000_000;

/// What PID 1 makes in a workspace: it would hide these from listings.
const RESERVED: [&[u8]; 2] = [b".casemate", b".home"];

/// The first text of what is hashed.
const FORMAT: &[u8] = b"casemate-shared-1";

/// Bytes of a file that are hashed at a time.
const BUFFER: usize = 64 * 1024;

/// One entry, without its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedEntry {
    /// Relative to the top, without `.` and `..`.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: SharedKind,
    /// In seconds since 1970.
    pub modified: u64,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SharedKind {
    /// A directory.
    Directory,
    /// A file.
    File {
        /// In bytes.
        size: u64,
        /// Whether anybody may execute it; then all may.
        is_executable: bool,
    },
    /// A symbolic link.
    Link {
        /// Relative, and in the share.
        target: Vec<u8>,
    },
}

/// What takes the entries of a source, one after the other.
pub trait EntrySink {
    /// Takes one. Reads all of the content of a file.
    ///
    /// # Errors
    /// `InvalidData` for an entry that no version has; those of the content.
    fn take(&mut self, entry: &SharedEntry, content: &mut dyn Read) -> io::Result<()>;
}

/// The entries of a version by path, with the hash of each.
#[derive(Debug)]
pub struct ContentList {
    entries: BTreeMap<Vec<u8>, ListedEntry>,
    bytes: u64,
    most: u64,
}

#[derive(Debug, PartialEq, Eq)]
enum ListedEntry {
    Directory,
    File {
        sha256: [u8; 32],
        is_executable: bool,
    },
    Link(Vec<u8>),
}

/// The hash of a version, and how much it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentSummary {
    /// 64 hex digits.
    pub hash: String,
    /// Of all files.
    pub bytes: u64,
    /// Files, directories and links.
    pub entries: u64,
}

impl Default for ContentList {
    /// Of any number of bytes.
    fn default() -> Self {
        Self::limited(u64::MAX)
    }
}

impl ContentList {
    /// For a source that has no more than these bytes in its files.
    pub fn limited(most: u64) -> Self {
        Self {
            entries: BTreeMap::new(),
            bytes: 0,
            most,
        }
    }

    /// The hash over all entries.
    pub fn summary(&self) -> ContentSummary {
        let mut hash = Sha256::new();
        let mut text = |text: &[u8]| {
            hash.update(text);
            hash.update([0]);
        };
        text(FORMAT);
        for (path, entry) in &self.entries {
            text(path);
            match entry {
                ListedEntry::Directory => {
                    text(b"directory");
                    text(b"");
                }
                ListedEntry::File {
                    sha256,
                    is_executable,
                } => {
                    text(if *is_executable {
                        b"executable"
                    } else {
                        b"file"
                    });
                    text(hex(sha256).as_bytes());
                }
                ListedEntry::Link(target) => {
                    text(b"link");
                    text(target);
                }
            }
        }
        ContentSummary {
            hash: hex(&hash.finalize()),
            bytes: self.bytes,
            entries: self.entries.len() as u64,
        }
    }

    /// Makes the directories above `path`, which an archive may leave out.
    fn add_parents(&mut self, path: &[u8]) -> io::Result<()> {
        let slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/');
        for (end, _) in slashes {
            let parent = &path[..end];
            match self.entries.get(parent) {
                Some(ListedEntry::Directory) => {}
                Some(_) => return Err(bad(path, "what it is in is no directory")),
                None => self.insert(parent.to_vec(), ListedEntry::Directory)?,
            }
        }
        Ok(())
    }

    fn insert(&mut self, path: Vec<u8>, entry: ListedEntry) -> io::Result<()> {
        if self.entries.len() >= ENTRY_LIMIT {
            return Err(bad(&path, format!("more than {ENTRY_LIMIT} entries")));
        }
        self.entries.insert(path, entry);
        Ok(())
    }
}

impl EntrySink for ContentList {
    fn take(&mut self, entry: &SharedEntry, content: &mut dyn Read) -> io::Result<()> {
        let path = &entry.path;
        check(entry)?;
        self.add_parents(path)?;
        let found = self.entries.get(path);
        if found == Some(&ListedEntry::Directory) && entry.kind == SharedKind::Directory {
            return Ok(());
        }
        if found.is_some() {
            return Err(bad(path, "another entry has this path"));
        }
        let listed = match &entry.kind {
            SharedKind::Directory => ListedEntry::Directory,
            SharedKind::Link { target } => ListedEntry::Link(target.clone()),
            SharedKind::File {
                size,
                is_executable,
            } => {
                self.bytes = self.bytes.saturating_add(*size);
                if self.bytes > self.most {
                    return Err(bad(path, format!("more than {} bytes in all", self.most)));
                }
                ListedEntry::File {
                    sha256: hashed(path, *size, content)?,
                    is_executable: *is_executable,
                }
            }
        };
        self.insert(path.clone(), listed)
    }
}

/// The hash of exactly these many bytes.
fn hashed(path: &[u8], size: u64, content: &mut dyn Read) -> io::Result<[u8; 32]> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; BUFFER];
    let mut seen = 0;
    loop {
        let read = content.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        hash.update(&buffer[..read]);
        seen += read as u64;
    }
    match seen == size {
        true => Ok(hash.finalize().into()),
        false => Err(bad(path, format!("it has {seen} bytes instead of {size}"))),
    }
}

/// Checks what one entry alone shows.
fn check(entry: &SharedEntry) -> io::Result<()> {
    let path = &entry.path;
    check_path(path).map_err(|beyond| bad(path, beyond.to_string()))?;
    if RESERVED.contains(&first_name(path)) {
        return Err(bad(
            path,
            "sandboxes use this name themselves; give it another",
        ));
    }
    if let SharedKind::Link { target } = &entry.kind {
        check_link_target(target).map_err(|beyond| bad(path, beyond.to_string()))?;
        if leads_out(path, target) {
            return Err(bad(
                path,
                "a link that is absolute or leads out of the shared data",
            ));
        }
    }
    Ok(())
}

fn first_name(path: &[u8]) -> &[u8] {
    path.split(|byte| *byte == b'/').next().unwrap_or_default()
}

/// Whether a link at `path` leads out, by the texts alone.
fn leads_out(path: &[u8], target: &[u8]) -> bool {
    if target.starts_with(b"/") {
        return true;
    }
    let mut depth = path.iter().filter(|byte| **byte == b'/').count();
    for name in target.split(|byte| *byte == b'/') {
        match name {
            b"" | b"." => {}
            b".." if depth == 0 => return true,
            b".." => depth -= 1,
            _ => depth += 1,
        }
    }
    false
}

#[cfg(test)]
#[path = "content_tests.rs"]
mod tests;
