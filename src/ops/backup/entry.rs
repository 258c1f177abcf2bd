//! The list of what is in a backup: a line of JSON an entry, in the order of the archive.

use std::io::{self, BufRead, Read};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use casemate_protocol::{parse_pax_time, pax_time};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tar::EntryType;
use tokio_util::sync::CancellationToken;

use super::stream::Hashed;

/// Longest line, in bytes: a path and a target of 4,096 bytes, each byte escaped as six.
const LINE: u64 = 64 * 1024;

/// What one entry is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Relative to the workspace; `./` is the workspace itself.
    pub path: Name,
    /// File, directory or link.
    pub kind: Kind,
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
    /// Where a link leads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Name>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks for a reference"
)]
fn is_zero(size: &u64) -> bool {
    *size == 0
}

/// What is at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// With content of its own.
    File,
    /// A directory.
    Directory,
    /// Leads to a path, whatever is there.
    Symlink,
    /// Another name of the file that the archive has as `target`.
    HardLink,
}

/// Any bytes. As JSON a string, or `{"base64": …}` where they are no UTF-8.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name(pub Vec<u8>);

#[derive(Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum Spelled {
    Text(String),
    Bytes { base64: String },
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let spelled = match std::str::from_utf8(&self.0) {
            Ok(text) => Spelled::Text(text.to_owned()),
            Err(_) => Spelled::Bytes {
                base64: STANDARD.encode(&self.0),
            },
        };
        spelled.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Spelled::deserialize(deserializer)? {
            Spelled::Text(text) => Ok(Self(text.into_bytes())),
            Spelled::Bytes { base64 } => {
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
    /// What the archive has here. Reads all of its content, until nobody waits for it.
    ///
    /// # Errors
    /// `InvalidData` for what no backup has: a device, a path that leads out. `BrokenPipe`
    /// when it `ended`.
    pub fn read<R: Read>(
        entry: &mut tar::Entry<'_, R>,
        ended: &CancellationToken,
    ) -> io::Result<Self> {
        let path = Name(entry.path_bytes().into_owned());
        if leads_out(&path.0) {
            return Err(bad(format!(
                "{path}: a path that leads out of the workspace"
            )));
        }
        let kind = match entry.header().entry_type() {
            EntryType::Directory => Kind::Directory,
            EntryType::Symlink => Kind::Symlink,
            EntryType::Link => Kind::HardLink,
            EntryType::Regular | EntryType::GNUSparse => Kind::File,
            other => {
                let kind = other.as_byte();
                return Err(bad(format!(
                    "{path}: an entry of type {kind:#04x}, which no backup has"
                )));
            }
        };
        let is_link = matches!(kind, Kind::Symlink | Kind::HardLink);
        let target = entry.link_name_bytes().filter(|_| is_link);
        let target = target.map(|target| Name(target.into_owned()));
        if kind == Kind::HardLink && target.as_ref().is_none_or(|target| leads_out(&target.0)) {
            return Err(bad(format!(
                "{path}: a hard link that leads out of the workspace"
            )));
        }
        let (mode, modified) = (entry.header().mode()? & 0o7777, modified(entry)?);
        let (mut size, mut sha256) = (0, None);
        if kind == Kind::File {
            size = entry.size();
            let content = Until {
                inner: &mut *entry,
                ended,
            };
            let mut content = Hashed::new(content);
            io::copy(&mut content, &mut io::sink())?;
            let (_, digest) = content.finish();
            if digest.bytes != size {
                return Err(bad(format!("{path}: the archive ends in the middle of it")));
            }
            sha256 = Some(digest.sha256);
        }
        Ok(Self {
            path,
            kind,
            size,
            mode,
            modified,
            sha256,
            target,
        })
    }
}

/// A reader that nobody may wait for any more: no input comes while a hole is hashed, whose
/// sender could break off.
struct Until<'a, R> {
    inner: R,
    ended: &'a CancellationToken,
}

impl<R: Read> Read for Until<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.ended.is_cancelled() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.inner.read(into)
    }
}

fn modified<R: Read>(entry: &mut tar::Entry<'_, R>) -> io::Result<String> {
    let seconds = entry.header().mtime()?;
    let mut time = (i64::try_from(seconds).unwrap_or(0), 0);
    for record in entry.pax_extensions()?.into_iter().flatten() {
        let record = record?;
        if record.key_bytes() == b"mtime" {
            let text = record.value().ok().and_then(parse_pax_time);
            time = text.ok_or_else(|| bad("a time that is none".to_owned()))?;
        }
    }
    Ok(pax_time(time.0, time.1))
}

/// Whether a path is absolute or goes up.
fn leads_out(path: &[u8]) -> bool {
    path.starts_with(b"/") || path.split(|byte| *byte == b'/').any(|name| name == b"..")
}

/// What is wrong with a backup.
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
mod tests {
    use super::*;

    #[test]
    fn names_of_any_bytes_are_read_as_they_were_written() {
        for name in [
            &b"a"[..],
            b"new\nline\"",
            "\u{202e}é".as_bytes(),
            b"\xff\xfe",
            b"",
        ] {
            let name = Name(name.to_vec());
            let json = serde_json::to_string(&name).expect("JSON");
            assert_eq!(
                serde_json::from_str::<Name>(&json).expect("a name"),
                name,
                "{json}"
            );
        }
        assert_eq!(
            serde_json::to_string(&Name(vec![0xff])).expect("JSON"),
            r#"{"base64":"/w=="}"#
        );
    }

    #[test]
    fn what_leads_out_is_known() {
        for path in ["/etc/passwd", "..", "a/../../b", "a/.."] {
            assert!(leads_out(path.as_bytes()), "{path}");
        }
        for path in ["./", "a..b/c", "..a", "a/..."] {
            assert!(!leads_out(path.as_bytes()), "{path}");
        }
    }

    #[test]
    fn a_line_that_is_cut_or_too_long_is_an_error() {
        let line = |text: &str| next_line(&mut text.as_bytes());
        assert!(line("").expect("the end").is_none());
        let entry = r#"{"path":"a","kind":"directory","mode":493,"modified":"0.000000000"}"#;
        assert!(line(&format!("{entry}\n")).expect("a line").is_some());
        assert!(line(entry).is_err());
        assert!(line(&"x".repeat(100_000)).is_err());
        assert!(line("{}\n").is_err());
    }
}
