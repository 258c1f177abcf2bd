//! A share as it is stored: JSON in a small file of the user's own workspace.
//!
//! The user's code can write such a file, and change one. So each is checked as if a stranger had
//! sent it, and gives nothing that the user could not do anyway: it names a file of the same
//! workspace, and neither opens a link that the server did not sign nor makes one last longer.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use casemate_protocol::DNS_PORT;
use serde::{Deserialize, Serialize};

use super::version::ContentVersion;
use crate::workspace::{WorkspacePath, shown};

/// Bytes of the file: a path of 4 KiB in which each byte is escaped, as JSON, and the rest.
pub const RECORD_BYTES: u32 = 32 * 1024;

/// Characters of the name of a share: as long as that of a file, for people.
const NAME_CHARS_LIMIT: usize = 120;

/// Directories of ours at the top of a workspace: caches and credentials, output and the shares.
const OURS: [&[u8]; 2] = [b".home", b".casemate"];

/// The people who may open the link of a share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Visibility {
    /// The user alone, signed in.
    Private,
    /// Everyone who has the link.
    Link,
}

impl Visibility {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Private => "private",
            Self::Link => "link",
        }
    }
}

/// The kinds of shares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShareTarget {
    /// A file or directory.
    Path {
        /// [`check_path`] allows it.
        path: WorkspacePath,
        /// Its content when it was shared.
        version: ContentVersion,
    },
    /// A program that listens in the sandbox.
    Port(u16),
}

/// What the link of a share opens, and until when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShareRecord {
    pub target: ShareTarget,
    /// What it is called when it is saved.
    pub name: ShareName,
    pub visibility: Visibility,
    /// Its end, in seconds since 1970.
    pub expires: u64,
}

/// A name for people: one line without control characters, and no path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShareName(String);

/// Why something cannot be shared under a name or a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotShareable {
    #[error("a name has 1 to {NAME_CHARS_LIMIT} characters, no slash and no control characters")]
    Name,
    #[error("the workspace itself is never shared; share a file or a directory in it")]
    Workspace,
    #[error("nothing in .home or .casemate is shared; copy what is meant to another place")]
    Ours,
}

/// The JSON of a record.
#[derive(Serialize, Deserialize)]
struct RecordJson {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    etag: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    name: String,
    visibility: Visibility,
    /// RFC 3339, for people who read the file.
    expires_at: String,
}

/// Whether what is at `path` may be shared at all.
///
/// # Errors
/// The workspace itself, and what is in `.home` or `.casemate`.
pub fn check_path(path: &WorkspacePath) -> Result<(), NotShareable> {
    let top = path.as_bytes().split(|byte| *byte == b'/').next();
    match top.unwrap_or_default() {
        b"" => Err(NotShareable::Workspace),
        top if OURS.contains(&top) => Err(NotShareable::Ours),
        _ => Ok(()),
    }
}

/// Whether a program of the user can listen on this port: not 0, nor the one of PID 1's DNS server.
pub fn is_of_programs(port: u16) -> bool {
    port != 0 && port != DNS_PORT
}

impl ShareRecord {
    /// As it is stored.
    pub fn to_json(&self) -> Vec<u8> {
        let (path, etag, port) = match &self.target {
            ShareTarget::Path { path, version } => {
                (Some(path.to_string()), Some(version.to_string()), None)
            }
            ShareTarget::Port(port) => (None, None, Some(*port)),
        };
        let json = RecordJson {
            path,
            etag,
            port,
            name: self.name.as_str().to_owned(),
            visibility: self.visibility,
            expires_at: rfc3339(self.expires),
        };
        // Texts alone: this cannot fail.
        serde_json::to_vec_pretty(&json).unwrap_or_default()
    }

    /// A record, if these bytes are one that a share could have.
    pub fn from_json(bytes: &[u8]) -> Option<Self> {
        let json: RecordJson = serde_json::from_slice(bytes).ok()?;
        let target = match (json.path, json.etag, json.port) {
            (Some(path), Some(etag), None) => {
                let path: WorkspacePath = path.parse().ok()?;
                check_path(&path).ok()?;
                let version = etag.parse().ok()?;
                ShareTarget::Path { path, version }
            }
            (None, None, Some(port)) if is_of_programs(port) => ShareTarget::Port(port),
            _ => return None,
        };
        let expires = humantime::parse_rfc3339(&json.expires_at).ok()?;
        Some(Self {
            target,
            name: json.name.parse().ok()?,
            visibility: json.visibility,
            expires: expires.duration_since(UNIX_EPOCH).ok()?.as_secs(),
        })
    }

    /// The file or directory, if it is one.
    pub fn path(&self) -> Option<&WorkspacePath> {
        match &self.target {
            ShareTarget::Path { path, .. } => Some(path),
            ShareTarget::Port(_) => None,
        }
    }

    /// The port, if it is one.
    pub fn port(&self) -> Option<u16> {
        match &self.target {
            ShareTarget::Path { .. } => None,
            ShareTarget::Port(port) => Some(*port),
        }
    }

    /// Whether its time is over.
    pub fn is_expired(&self) -> bool {
        self.expires <= now()
    }
}

impl ShareName {
    /// The last name of a path, as far as it can be shown.
    pub fn of(path: &WorkspacePath) -> Self {
        let last = path.as_bytes().rsplit(|byte| *byte == b'/').next();
        let last = String::from_utf8_lossy(last.unwrap_or_default());
        let plain = |char| if shown::is_unsafe(char) { '_' } else { char };
        let name: String = last.chars().map(plain).take(NAME_CHARS_LIMIT).collect();
        name.parse().unwrap_or_else(|_| Self("share".to_owned()))
    }

    /// Of a program that listens on this port.
    pub fn of_port(port: u16) -> Self {
        Self(format!("port {port}"))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ShareName {
    type Err = NotShareable;

    fn from_str(text: &str) -> Result<Self, NotShareable> {
        let is_plain = !text
            .chars()
            .any(|char| shown::is_unsafe(char) || char == '/');
        let is_name = !text.trim().is_empty() && !matches!(text, "." | "..");
        let fits = text.chars().count() <= NAME_CHARS_LIMIT;
        match is_plain && is_name && fits {
            true => Ok(Self(text.to_owned())),
            false => Err(NotShareable::Name),
        }
    }
}

impl fmt::Display for ShareName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Seconds since 1970. Without a clock that can be right, everything has ended.
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(u64::MAX, |since| since.as_secs())
}

/// A time as answers show it.
pub fn rfc3339(seconds: u64) -> String {
    // The end of the year 9999, the last that RFC 3339 can write.
    let seconds = seconds.min(253_402_300_799);
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(seconds)).to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn record() -> ShareRecord {
        ShareRecord {
            target: ShareTarget::Path {
                path: r"$'out/caf\xe9.csv'".parse().expect("a path"),
                version: ContentVersion::File(7),
            },
            name: "Sales 2026.csv".parse().expect("a name"),
            visibility: Visibility::Private,
            expires: 1_800_000_000,
        }
    }

    #[test]
    fn a_record_is_read_back_with_every_byte_of_its_path() {
        let record = record();
        assert_eq!(ShareRecord::from_json(&record.to_json()), Some(record));
        let target = ShareTarget::Port(8000);
        let port = ShareRecord {
            target,
            ..self::record()
        };
        assert_eq!(ShareRecord::from_json(&port.to_json()), Some(port));
    }

    #[test]
    fn the_longest_path_fits_into_a_record() {
        let bytes = [vec![0xff; 255].as_slice(); 16].join(&b'/');
        let path = WorkspacePath::of_bytes(&bytes).expect("a path");
        let version = ContentVersion::Directory([7; 32]);
        let target = ShareTarget::Path { path, version };
        let long = ShareRecord { target, ..record() };
        let json = long.to_json();
        assert!(json.len() < RECORD_BYTES as usize, "{} bytes", json.len());
        assert_eq!(ShareRecord::from_json(&json), Some(long));
    }

    /// What the user's own code may have written.
    #[test]
    fn a_record_that_no_share_could_have_is_none() {
        let good: Value = serde_json::from_slice(&record().to_json()).expect("JSON");
        for (key, value) in [
            ("path", json!("../etc/passwd")),
            ("path", json!("/etc/passwd")),
            ("path", json!(".")),
            ("path", json!("")),
            ("path", json!(".home/.netrc")),
            ("path", json!("a/../.casemate/shares")),
            ("path", json!(7)),
            ("path", Value::Null),
            ("etag", Value::Null),
            ("port", json!(8000)),
            ("etag", json!("")),
            ("etag", json!("7")),
            ("name", json!("a\r\nSet-Cookie: b")),
            ("name", json!("../a")),
            ("name", json!("a".repeat(121))),
            ("visibility", json!("public")),
            ("expires_at", json!("soon")),
            ("expires_at", json!(1_800_000_000)),
            ("expires_at", json!("1960-01-01T00:00:00Z")),
        ] {
            let mut bad = good.clone();
            bad[key] = value.clone();
            let bytes = bad.to_string().into_bytes();
            assert_eq!(ShareRecord::from_json(&bytes), None, "{key}: {value}");
        }
        for port in [json!(0), json!(53), json!(65536), json!("80")] {
            let bad = json!({
                "port": port, "name": "a", "visibility": "link", "expires_at": good["expires_at"],
            });
            let bytes = bad.to_string().into_bytes();
            assert_eq!(ShareRecord::from_json(&bytes), None, "{port}");
        }
        for bytes in [&b""[..], b"{}", b"[]", b"null", b"\xff\xfe", b"{\"path\":"] {
            assert_eq!(ShareRecord::from_json(bytes), None, "{bytes:?}");
        }
    }

    #[test]
    fn the_workspace_and_what_is_ours_is_never_shared() {
        let check = |path: &str| check_path(&path.parse().expect("a path"));
        for path in [
            ".",
            "/workspace",
            "a/..",
            ".home",
            ".home/",
            ".casemate/shares/x.json",
        ] {
            assert!(check(path).is_err(), "{path}");
        }
        for path in ["a", ".env", "a/.home", ".homework/a"] {
            assert_eq!(check(path), Ok(()), "{path}");
        }
    }

    #[test]
    fn a_name_is_the_last_of_the_path_in_plain_characters() {
        for (path, name) in [
            ("out/report.html", "report.html"),
            (r"$'caf\xe9.txt'", "caf\u{fffd}.txt"),
            (r"$'a\x0ab'", "a_b"),
            ("dir/", "dir"),
        ] {
            let path = path.parse().expect("a path");
            assert_eq!(ShareName::of(&path).as_str(), name);
        }
    }
}
