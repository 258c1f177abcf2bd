//! The list of entries in a backup: one line of JSON per entry, in the order of the archive.

use std::io::{self, BufRead, Read};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use casemate_protocol::backup::{LINE, check_link_target, check_path, components};
use casemate_protocol::{Records, pax_time};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tar::EntryType;
use tokio_util::sync::CancellationToken;

use super::stream::{ContentDigest, HashingStream};

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Relative to the workspace; `./` is the workspace itself.
    pub path: Name,
    /// File, directory or link.
    pub kind: FileKind,
    /// Of a file, in bytes.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub size: u64,
    /// 12 bits.
    pub mode: u32,
    /// Seconds since 1970, with a fraction.
    pub modified: String,
    /// Of a file's content, holes as zeros.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// The target of a link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Name>,
    /// Extended attributes, POSIX ACLs among them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attributes: Vec<Attribute>,
}

/// An extended attribute of a file or a directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attribute {
    /// With its name space: `user.mime_type`.
    name: Name,
    /// As for setxattr(2).
    value: Name,
}

impl From<casemate_protocol::Attribute> for Attribute {
    fn from(attribute: casemate_protocol::Attribute) -> Self {
        Self {
            name: Name(attribute.name),
            value: Name(attribute.value),
        }
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks for a reference"
)]
fn is_zero(size: &u64) -> bool {
    *size == 0
}

/// Kinds of entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileKind {
    /// A file with content.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// Another name of the file that the archive has as `target`.
    HardLink,
}

impl FileKind {
    fn of(kind: EntryType) -> Result<Self, String> {
        match kind {
            EntryType::Directory => Ok(Self::Directory),
            EntryType::Symlink => Ok(Self::Symlink),
            EntryType::Link => Ok(Self::HardLink),
            EntryType::Regular | EntryType::GNUSparse => Ok(Self::File),
            other => {
                let kind = other.as_byte();
                Err(format!("an entry of type {kind:#04x}, which no backup has"))
            }
        }
    }

    fn is_link(self) -> bool {
        matches!(self, Self::Symlink | Self::HardLink)
    }
}

/// Any bytes. As JSON a string, or `{"base64": …}` if they are not UTF-8.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name(pub Vec<u8>);

#[derive(Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum NameJson {
    Text(String),
    Bytes { base64: String },
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let spelled = match std::str::from_utf8(&self.0) {
            Ok(text) => NameJson::Text(text.to_owned()),
            Err(_) => NameJson::Bytes {
                base64: STANDARD.encode(&self.0),
            },
        };
        spelled.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match NameJson::deserialize(deserializer)? {
            NameJson::Text(text) => Ok(Self(text.into_bytes())),
            NameJson::Bytes { base64 } => {
                STANDARD.decode(base64).map(Self).map_err(D::Error::custom)
            }
        }
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", String::from_utf8_lossy(&self.0).escape_debug())
    }
}

impl Entry {
    /// The next entry of the archive, whose `headers` were read. Reads all of its content, unless
    /// it `ended`.
    ///
    /// # Errors
    /// `InvalidData` for an entry that no backup has: a device, a path that leads out. `BrokenPipe` when
    /// it `ended`.
    pub fn read<R: Read>(
        entry: &mut tar::Entry<'_, R>,
        headers: &[u8],
        ended: &CancellationToken,
    ) -> io::Result<Self> {
        let path = Name(entry.path_bytes().into_owned());
        let kind = FileKind::of(entry.header().entry_type());
        let kind = kind.map_err(|what| bad(format!("{path}: {what}")))?;
        let target = entry.link_name_bytes().filter(|_| kind.is_link());
        let target = target.map(|target| Name(target.into_owned()));
        check(kind, &path.0, target.as_ref().map(|target| &target.0[..]))
            .map_err(|what| bad(format!("{path}: {what}")))?;
        let records = Records::of_headers(headers);
        let records = records.map_err(|error| bad(format!("{path}: {error}")))?;
        let digest = content(entry, ended)?;
        if digest.bytes != entry.size() {
            return Err(bad(format!("{path}: the archive ends in the middle of it")));
        }
        let (size, sha256) = match kind {
            FileKind::File => (digest.bytes, Some(digest.sha256)),
            _ => (0, None),
        };
        let (seconds, nanos) = match records.modified {
            Some(time) => time,
            None => (i64::try_from(entry.header().mtime()?).unwrap_or(0), 0),
        };
        Ok(Self {
            path,
            kind,
            size,
            mode: entry.header().mode()? & 0o7777,
            modified: pax_time(seconds, nanos),
            sha256,
            target,
            attributes: records.attributes.into_iter().map(Into::into).collect(),
        })
    }

    /// Whether `other` differs only in its time and attributes, which not every file system can
    /// keep.
    pub fn differs_by_its_disk(&self, other: &Self) -> bool {
        let alike = Self {
            modified: other.modified.clone(),
            attributes: other.attributes.clone(),
            ..self.clone()
        };
        alike == *other
    }
}

/// A reader that can be cancelled. While a hole is hashed no input is read, so a broken input would
/// not stop it.
struct CancellableReader<'a, R> {
    inner: R,
    ended: &'a CancellationToken,
}

impl<R: Read> Read for CancellableReader<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.ended.is_cancelled() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.inner.read(into)
    }
}

/// The length and the hash of an entry's content. The reader is at the next header afterwards.
fn content<R: Read>(
    entry: &mut tar::Entry<'_, R>,
    ended: &CancellationToken,
) -> io::Result<ContentDigest> {
    let mut content = HashingStream::new(CancellableReader {
        inner: entry,
        ended,
    });
    io::copy(&mut content, &mut io::sink())?;
    Ok(content.finish().1)
}

/// Checks that a restore could make this entry, by the limits of a restore.
fn check(kind: FileKind, path: &[u8], target: Option<&[u8]>) -> Result<(), String> {
    if leads_out(path) {
        return Err("a path that leads out of the workspace".to_owned());
    }
    check_path(path).map_err(|beyond| beyond.to_string())?;
    let is_nameless = components(path).next().is_none();
    if kind != FileKind::Directory && (is_nameless || path.ends_with(b"/")) {
        return Err("a path that only a directory has".to_owned());
    }
    let target = target.unwrap_or_default();
    match kind {
        FileKind::Symlink => check_link_target(target).map_err(|beyond| beyond.to_string()),
        FileKind::HardLink if components(target).next().is_none() || leads_out(target) => {
            Err("a hard link that leads out of the workspace".to_owned())
        }
        FileKind::HardLink => check_path(target).map_err(|beyond| beyond.to_string()),
        FileKind::File | FileKind::Directory => Ok(()),
    }
}

/// Whether a path is absolute or goes up.
fn leads_out(path: &[u8]) -> bool {
    path.starts_with(b"/") || path.split(|byte| *byte == b'/').any(|name| name == b"..")
}

/// An error about the content of a backup.
pub fn bad(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// The next line of a list; `None` at its end.
pub fn next_line(list: &mut impl BufRead) -> io::Result<Option<Entry>> {
    let mut line = Vec::new();
    let read = list.take(LINE).read_until(b'\n', &mut line)?;
    if read == 0 {
        return Ok(None);
    }
    if line.pop() != Some(b'\n') {
        return Err(bad(
            "the list of entries ends in the middle of a line".to_owned()
        ));
    }
    let entry = serde_json::from_slice(&line);
    entry
        .map(Some)
        .map_err(|error| bad(format!("the list of entries: {error}")))
}

#[cfg(test)]
mod tests;
