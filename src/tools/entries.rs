//! Entries of a listing, as they are shown.

use casemate_protocol::Entry as Found;
use casemate_protocol::entry::Type;
use schemars::JsonSchema;
use serde::Serialize;

use crate::api::rfc3339;
use crate::workspace::shown::visible;

/// Characters of the shortest line of the text form with its line break: the bound on entries per
/// page follows from it.
pub const LINE_CHARS: u32 = 38;

/// Kinds of entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum EntryKind {
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
pub struct ListedEntry {
    /// Relative to /workspace. A name that is not plain text is shown as $'\xNN', and every tool
    /// accepts that form.
    pub path: String,
    /// What it is.
    pub r#type: EntryKind,
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

impl From<&Found> for ListedEntry {
    fn from(found: &Found) -> Self {
        let r#type = match found.r#type() {
            Type::File => EntryKind::File,
            Type::Directory => EntryKind::Directory,
            Type::Symlink => EntryKind::Symlink,
            _ => EntryKind::Other,
        };
        Self {
            path: visible(&found.path).into_owned(),
            r#type,
            size: found.size,
            modified: rfc3339(found.modified_ms),
            mode: format!("{:04o}", found.mode),
            target: (r#type == EntryKind::Symlink).then(|| visible(&found.target).into_owned()),
        }
    }
}

/// The entries that the text form shows within `chars` characters with its line breaks: at least
/// one. The structured form has the same entries in less than 4 times as many bytes of JSON for
/// short names, and twice for long ones, so 50,000 characters stay below a result's limit.
pub fn fitting(found: &[Found], chars: u32) -> Vec<ListedEntry> {
    let mut left = usize::try_from(chars).unwrap_or(usize::MAX);
    let mut entries = Vec::new();
    for entry in found.iter().map(ListedEntry::from) {
        let line = line(&entry).chars().count() + 1;
        if line > left && !entries.is_empty() {
            break;
        }
        left = left.saturating_sub(line);
        entries.push(entry);
    }
    entries
}

/// One line an entry: mode, size, time, path.
pub fn table(entries: &[ListedEntry], next_cursor: &str) -> String {
    let mut lines: Vec<String> = entries.iter().map(line).collect();
    if entries.is_empty() {
        let so_far = if next_cursor.is_empty() {
            ""
        } else {
            " so far"
        };
        lines.push(format!("[no entries{so_far}]"));
    }
    if !next_cursor.is_empty() {
        lines.push(format!("[more; next: cursor={next_cursor}]"));
    }
    lines.join("\n")
}

fn line(entry: &ListedEntry) -> String {
    let (slash, target) = match (entry.r#type, &entry.target) {
        (EntryKind::Directory, _) => ("/", String::new()),
        (_, Some(target)) => ("", format!(" -> {target}")),
        _ => ("", String::new()),
    };
    let ListedEntry {
        mode,
        size,
        modified,
        path,
        ..
    } = entry;
    format!("{mode} {size:>9} {modified} {path}{slash}{target}")
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::config::limits::{LIST_CHARS, RESULT_BYTES};

    fn found(path: &[u8]) -> Found {
        Found {
            path: Bytes::copy_from_slice(path),
            r#type: Type::File.into(),
            mode: 0o644,
            ..Found::default()
        }
    }

    #[test]
    fn a_page_holds_what_its_characters_and_a_result_can() {
        for name in [
            &b"a"[..],
            &[b'\\'; 250],
            &[0xff; 250],
            "\u{10ffff}".repeat(60).as_bytes(),
        ] {
            let many = vec![found(name); 5000];
            let entries = fitting(&many, LIST_CHARS);
            let text = table(&entries, "");
            let chars = text.chars().count();
            assert!((48_000..=50_000).contains(&chars), "{chars} characters");
            let json = serde_json::json!({ "structured": entries, "text": text });
            let bytes = json.to_string().len();
            assert!(bytes < RESULT_BYTES / 2, "{bytes} bytes");
        }
        let one = fitting(&[found(b"a"), found(b"a")], 1);
        assert_eq!(one.len(), 1);
        let line = table(&one, "").chars().count() + 1;
        assert_eq!(line, usize::try_from(LINE_CHARS).expect("small"));
    }

    #[test]
    fn an_entry_is_one_visible_line() {
        let entry = ListedEntry::from(&found(b"a\nb"));
        assert_eq!(entry.mode, "0644");
        assert_eq!(
            table(&[entry], ""),
            "0644         0 1970-01-01T00:00:00Z $'a\\x0ab'"
        );
        assert_eq!(table(&[], ""), "[no entries]");
        let looked = table(&[], "YQ");
        assert_eq!(looked, "[no entries so far]\n[more; next: cursor=YQ]");
    }
}
