//! The shares of a user: a directory of their workspace, and nothing else.

use bytes::Bytes;
use casemate_protocol::failure::Code;
use casemate_protocol::write_file_request::Mode;
use casemate_protocol::{Entry, Failure, ListFilesRequest, ReadBytesRequest, WriteFileRequest};

use super::id::ShareId;
use super::record::{RECORD_BYTES, ShareRecord};
use crate::sandbox::{Sandbox, SandboxError};

/// Where they are. A file in it ends a share when it is removed.
pub const DIRECTORY: &str = ".casemate/shares";

/// After the id of a share, in the name of its file.
const SUFFIX: &str = ".json";

/// Shares of one user that are looked at together.
pub const PAGE_LIMIT: u32 = 50;

/// Files in the directory: a user who shares something each minute for an hour has sixty.
pub const SHARES_LIMIT: u32 = 500;

/// From this many on those that have ended are removed before another is made.
const SWEEP_FROM: usize = 100;

/// Bytes of names of one listing: [`SHARES_LIMIT`] of ours, or some longer ones of the user's.
const NAMES_CHARS: u32 = 64 * 1024;

/// Why a share is not made.
#[derive(Debug, thiserror::Error)]
pub enum ShareError {
    /// The workspace.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// [`SHARES_LIMIT`].
    #[error("{SHARES_LIMIT} shares are there already")]
    TooMany,
    /// The system's random numbers.
    #[error("the system has no random numbers")]
    Random(#[from] getrandom::Error),
}

/// Some shares, in the order of their ids.
#[derive(Debug)]
pub struct SharePage {
    /// Those that have not ended.
    pub shares: Vec<(ShareId, ShareRecord)>,
    /// Where the next page begins; `None`: this is the last one.
    pub next: Option<Bytes>,
}

/// The shares in one user's workspace.
#[derive(Debug, Clone, Copy)]
pub struct ShareStore<'a>(pub &'a Sandbox);

impl ShareStore<'_> {
    /// Stores a share under a new id.
    ///
    /// # Errors
    /// [`ShareError`].
    pub async fn create(self, record: &ShareRecord) -> Result<ShareId, ShareError> {
        let (names, more) = self.names(Bytes::new(), SHARES_LIMIT + 1).await?;
        let count = names.len();
        let swept = match count >= SWEEP_FROM {
            true => self.sweep(names).await?,
            false => 0,
        };
        // Of more files than one page has, each share that is made removes some.
        let is_full = count - swept >= SHARES_LIMIT as usize;
        if is_full || (more.is_some() && swept == 0) {
            return Err(ShareError::TooMany);
        }
        let id = ShareId::random()?;
        let request = WriteFileRequest {
            path: file_of(&id),
            content: record.to_json().into(),
            mode: Mode::CreateNew.into(),
            ..WriteFileRequest::default()
        };
        self.0.write_file(request).await?;
        Ok(id)
    }

    /// The share with this id, if there is one. It may have ended by the clock.
    ///
    /// # Errors
    /// The sandbox cannot be reached.
    pub async fn find(self, id: &ShareId) -> Result<Option<ShareRecord>, SandboxError> {
        let request = ReadBytesRequest {
            path: file_of(id),
            offset: 0,
            length: RECORD_BYTES,
        };
        match self.0.read_bytes(request).await {
            Ok(answer) if answer.value.size > u64::from(RECORD_BYTES) => Ok(None),
            Ok(answer) => Ok(ShareRecord::from_json(&answer.value.data)),
            // A file that cannot be read is not a share that we made.
            Err(SandboxError::Failed(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The shares from `after` on, which a page before gave.
    ///
    /// # Errors
    /// The sandbox cannot be reached.
    pub async fn page(self, after: Bytes) -> Result<SharePage, SandboxError> {
        let (ids, next) = self.names(after, PAGE_LIMIT).await?;
        let mut shares = Vec::new();
        for id in ids.into_iter().flatten() {
            let found = self.find(&id).await?;
            let found = found.filter(|record| !record.is_expired());
            shares.extend(found.map(|record| (id, record)));
        }
        Ok(SharePage { shares, next })
    }

    /// Ends a share. One that is gone is fine.
    ///
    /// # Errors
    /// The workspace.
    pub async fn end(self, id: &ShareId) -> Result<(), SandboxError> {
        match self.0.delete(file_of(id), false).await {
            Err(SandboxError::Failed(failure)) if is_missing(&failure) => Ok(()),
            ended => ended,
        }
    }

    /// Removes those that have ended. How many.
    async fn sweep(self, names: Vec<Option<ShareId>>) -> Result<usize, SandboxError> {
        let mut removed = 0;
        for id in names.into_iter().flatten() {
            let found = self.find(&id).await?;
            if found.is_none_or(|record| record.is_expired()) {
                self.end(&id).await?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// The ids in the directory; `None` for a file that is no share. And where the next begin.
    async fn names(
        self,
        after: Bytes,
        limit: u32,
    ) -> Result<(Vec<Option<ShareId>>, Option<Bytes>), SandboxError> {
        let request = ListFilesRequest {
            path: DIRECTORY.into(),
            depth: 1,
            limit,
            after,
            max_chars: NAMES_CHARS,
            ..ListFilesRequest::default()
        };
        match self.0.list_files(request).await {
            Ok(answer) => {
                let page = answer.value;
                let ids = page.entries.iter().map(id_of).collect();
                Ok((ids, page.more.then_some(page.next)))
            }
            Err(SandboxError::Failed(failure)) if is_missing(&failure) => Ok((Vec::new(), None)),
            Err(error) => Err(error),
        }
    }
}

fn is_missing(failure: &Failure) -> bool {
    matches!(failure.code(), Code::NotFound | Code::NotDirectory)
}

fn file_of(id: &ShareId) -> Bytes {
    format!("{DIRECTORY}/{id}{SUFFIX}").into()
}

fn id_of(entry: &Entry) -> Option<ShareId> {
    let path = std::str::from_utf8(&entry.path).ok()?;
    let name = path.strip_prefix(DIRECTORY)?.strip_prefix('/')?;
    name.strip_suffix(SUFFIX)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_file_with_the_name_of_a_share_is_one() {
        let id = "0123456789abcdef0123456789abcdef";
        let of = |path: String| {
            id_of(&Entry {
                path: path.into(),
                ..Entry::default()
            })
        };
        let found = of(format!(".casemate/shares/{id}.json"));
        assert_eq!(found.map(|id| id.to_string()).as_deref(), Some(id));
        for other in [
            ".casemate/shares".to_owned(),
            ".casemate/shares/notes.json".to_owned(),
            format!(".casemate/shares/{id}"),
            format!(".casemate/shares/{id}.json.bak"),
            format!(".casemate/shares/x/{id}.json"),
            format!("shares/{id}.json"),
        ] {
            assert_eq!(of(other.clone()), None, "{other}");
        }
    }
}
