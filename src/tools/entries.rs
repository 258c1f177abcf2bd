//! Entries of a listing, as they are shown.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use casemate_protocol::Entry as Found;
use casemate_protocol::entry::Type;
use schemars::JsonSchema;
use serde::Serialize;

use super::render::visible;

/// Bytes of JSON that the entries of one page may take: the text form takes as
/// much again at the most, and both stay below a result's limit.
const PAGE_BYTES: usize = 400_000;

/// Bytes of JSON that an entry takes beside its path and target.
const ENTRY_BYTES: usize = 120;

/// Kinds of entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link; `target` says where to.
    Symlink,
    /// A FIFO, socket or device.
    Other,
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Entry {
    /// Relative to /workspace; what is not plain text is shown as \xNN.
    pub path: String,
    /// What it is.
    pub r#type: Kind,
    /// Size in bytes.
    pub size: u64,
    /// When its content last changed, RFC 3339 in UTC.
    pub modified: String,
    /// Permission bits in octal, as chmod takes them.
    pub mode: String,
    /// Where a symbolic link points to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub target: Option<String>,
}

impl From<&Found> for Entry {
    fn from(found: &Found) -> Self {
        let r#type = match found.r#type() {
            Type::File => Kind::File,
            Type::Directory => Kind::Directory,
            Type::Symlink => Kind::Symlink,
            _ => Kind::Other,
        };
        Self {
            path: visible(&found.path),
            r#type,
            size: found.size,
            modified: time(found.modified_ms),
            mode: format!("{:04o}", found.mode),
            target: (r#type == Kind::Symlink).then(|| visible(&found.target)),
        }
    }
}

/// As many as one result can hold: at least one.
pub fn fitting(found: &[Found]) -> Vec<Entry> {
    let mut bytes = 0;
    found
        .iter()
        .map(Entry::from)
        .enumerate()
        .take_while(|(at, entry)| {
            // A backslash takes two bytes in JSON.
            bytes += ENTRY_BYTES + 2 * entry.path.len();
            bytes += entry.target.as_ref().map_or(0, |target| 2 * target.len());
            *at == 0 || bytes <= PAGE_BYTES
        })
        .map(|(_, entry)| entry)
        .collect()
}

/// One line an entry: mode, size, time, path.
pub fn table(entries: &[Entry], next_cursor: &str) -> String {
    let mut lines: Vec<String> = entries.iter().map(line).collect();
    if entries.is_empty() {
        lines.push("[no entries]".to_owned());
    }
    if !next_cursor.is_empty() {
        lines.push(format!("[more; next: cursor={next_cursor}]"));
    }
    lines.join("\n")
}

fn line(entry: &Entry) -> String {
    let (slash, target) = match (entry.r#type, &entry.target) {
        (Kind::Directory, _) => ("/", String::new()),
        (_, Some(target)) => ("", format!(" -> {target}")),
        _ => ("", String::new()),
    };
    let Entry {
        mode,
        size,
        modified,
        path,
        ..
    } = entry;
    format!("{mode} {size:>9} {modified} {path}{slash}{target}")
}

/// RFC 3339 in UTC, to the second. Times that no calendar has are the nearest
/// that it has.
pub fn time(modified_ms: i64) -> String {
    let distance = Duration::from_millis(modified_ms.unsigned_abs().min(LAST_MS));
    let time = if modified_ms < 0 {
        UNIX_EPOCH
    } else {
        UNIX_EPOCH + distance
    };
    humantime::format_rfc3339_seconds(
        time.min(SystemTime::UNIX_EPOCH + Duration::from_millis(LAST_MS)),
    )
    .to_string()
}

/// The end of the year 9999, the last that RFC 3339 can write.
const LAST_MS: u64 = 253_402_300_799_000;

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn found(path: &[u8]) -> Found {
        Found {
            path: Bytes::copy_from_slice(path),
            r#type: Type::File.into(),
            mode: 0o644,
            ..Found::default()
        }
    }

    #[test]
    fn a_page_holds_what_a_result_can() {
        let name = vec![b'\\'; 250];
        let many = vec![found(&name); 5000];
        let entries = fitting(&many);
        let bytes = serde_json::to_string(&entries).expect("json").len();
        assert!(
            entries.len() > 100 && bytes < 450_000,
            "{} entries, {bytes} bytes",
            entries.len()
        );
        assert_eq!(fitting(&many[..1]).len(), 1);
    }

    #[test]
    fn an_entry_is_one_visible_line() {
        let entry = Entry::from(&found(b"a\nb"));
        assert_eq!(entry.mode, "0644");
        assert_eq!(
            table(&[entry], ""),
            "0644         0 1970-01-01T00:00:00Z a\\x0ab"
        );
        assert_eq!(table(&[], ""), "[no entries]");
    }

    #[test]
    fn any_time_can_be_written() {
        assert_eq!(time(i64::MIN), "1970-01-01T00:00:00Z");
        assert_eq!(time(i64::MAX), "9999-12-31T23:59:59Z");
        assert_eq!(time(1_700_000_000_000), "2023-11-14T22:13:20Z");
    }
}
