//! The version of what is shared: a link opens the content that was meant, and no later one.

use std::fmt;
use std::str::FromStr;

use casemate_protocol::entry::Type;
use casemate_protocol::{Entry, ListFilesRequest};
use sha2::{Digest as _, Sha256};

use crate::config::limits::{LIST_DEPTH, LIST_LIMIT};
use crate::identity::hex;
use crate::sandbox::{Sandbox, SandboxError, Stat};
use crate::workspace::WorkspacePath;

/// Entries of a directory that can be shared: they are listed each time its link opens.
pub const DIRECTORY_ENTRIES_LIMIT: usize = 10_000;

/// Characters of the paths of one page of the listing, the most of one message.
const PAGE_CHARS: u32 = 1024 * 1024;

/// Pages that are read: those of the entries with paths of 500 bytes, and some that end early.
const PAGES_LIMIT: usize = 16;

/// The content at a path, at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContentVersion {
    /// Of a file, as [`Stat::version`] has it.
    File(u64),
    /// Of a directory: SHA-256 of the paths, kinds, sizes, modes and times of all that is in it.
    Directory([u8; 32]),
}

/// Why there is no version.
#[derive(Debug, thiserror::Error)]
pub enum VersionError {
    /// The path cannot be read.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// A directory with too many entries.
    #[error("it has more than {DIRECTORY_ENTRIES_LIMIT} entries")]
    TooManyEntries,
}

/// The entry at `path` as it is now, with its version.
///
/// # Errors
/// [`VersionError`].
pub async fn current(
    sandbox: &Sandbox,
    path: &WorkspacePath,
) -> Result<(Stat, ContentVersion), VersionError> {
    let stat = sandbox.stat(path.to_bytes()).await?;
    let version = match stat.is_dir {
        true => ContentVersion::Directory(of_directory(sandbox, path).await?),
        false => ContentVersion::File(stat.version),
    };
    Ok((stat, version))
}

async fn of_directory(sandbox: &Sandbox, path: &WorkspacePath) -> Result<[u8; 32], VersionError> {
    let mut hash = Sha256::new();
    let mut request = ListFilesRequest {
        path: path.to_bytes(),
        depth: LIST_DEPTH.most,
        limit: LIST_LIMIT.most,
        max_chars: PAGE_CHARS,
        ..ListFilesRequest::default()
    };
    let mut entries = 0;
    for _ in 0..PAGES_LIMIT {
        let page = sandbox.list_files(request.clone()).await?.value;
        entries += page.entries.len();
        if entries > DIRECTORY_ENTRIES_LIMIT {
            break;
        }
        let top = path.as_bytes().len();
        page.entries
            .iter()
            .for_each(|entry| add(&mut hash, top, entry));
        if !page.more {
            return Ok(hash.finalize().into());
        }
        request.after = page.next;
    }
    Err(VersionError::TooManyEntries)
}

/// Adds an entry of the directory whose path has `top` bytes. Hidden entries are not shared and do not
/// count. The time of a directory does not count either, because hidden entries change it.
fn add(hash: &mut Sha256, top: usize, entry: &Entry) {
    let below = entry.path.get(top..).unwrap_or_default();
    let mut names = below.split(|byte| *byte == b'/');
    if names.any(|name| name.starts_with(b".")) {
        return;
    }
    for part in [below, &entry.target] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let (size, modified_ms) = match entry.r#type() {
        Type::Directory => (0, 0),
        _ => (entry.size, entry.modified_ms),
    };
    hash.update(entry.r#type.to_be_bytes());
    hash.update(size.to_be_bytes());
    hash.update(modified_ms.to_be_bytes());
    hash.update(entry.mode.to_be_bytes());
}

impl fmt::Display for ContentVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(version) => write!(f, "{version:016x}"),
            Self::Directory(hash) => f.write_str(&hex(hash)),
        }
    }
}

/// A text that is no version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a version is 16 hexadecimal digits, or 64 of a directory")]
pub struct NoVersion;

impl FromStr for ContentVersion {
    type Err = NoVersion;

    fn from_str(text: &str) -> Result<Self, NoVersion> {
        if !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(NoVersion);
        }
        match text.len() {
            16 => u64::from_str_radix(text, 16)
                .map(Self::File)
                .map_err(|_| NoVersion),
            64 => {
                let mut hash = [0; 32];
                for (byte, at) in hash.iter_mut().zip((0..64).step_by(2)) {
                    *byte = u8::from_str_radix(&text[at..at + 2], 16).map_err(|_| NoVersion)?;
                }
                Ok(Self::Directory(hash))
            }
            _ => Err(NoVersion),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read_back() {
        for version in [
            ContentVersion::File(u64::MAX),
            ContentVersion::File(1),
            ContentVersion::Directory([0xa5; 32]),
        ] {
            assert_eq!(version.to_string().parse(), Ok(version));
        }
        for bad in ["", "1", "+000000000000001", &"g".repeat(64)] {
            assert_eq!(bad.parse::<ContentVersion>(), Err(NoVersion), "{bad}");
        }
    }

    #[test]
    fn the_version_of_a_directory_is_that_of_what_would_be_sent() {
        let entry = |path: &'static str| Entry {
            path: path.into(),
            r#type: Type::File.into(),
            size: 3,
            mode: 0o644,
            ..Entry::default()
        };
        let of = |entries: &[Entry]| {
            let mut hash = Sha256::new();
            entries.iter().for_each(|entry| add(&mut hash, 1, entry));
            hash.finalize()
        };
        let whole = of(&[entry("d/a"), entry("d/b")]);
        assert_eq!(of(&[entry("d/.git/x"), entry("d/a"), entry("d/b")]), whole);
        for changed in [
            vec![entry("d/a")],
            vec![entry("d/a"), entry("d/c")],
            vec![
                entry("d/a"),
                Entry {
                    size: 4,
                    ..entry("d/b")
                },
            ],
            vec![
                entry("d/a"),
                Entry {
                    modified_ms: 1,
                    ..entry("d/b")
                },
            ],
            vec![
                entry("d/a"),
                Entry {
                    mode: 0o755,
                    ..entry("d/b")
                },
            ],
        ] {
            assert_ne!(of(&changed), whole, "{changed:?}");
        }
    }
}
