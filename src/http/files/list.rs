//! `GET /files/list`.

mod cursor;

use axum::Json;
use axum::extract::NestedPath;
use axum::extract::rejection::NestedPathRejection;
use casemate_protocol::entry::Type;
use casemate_protocol::{Entry, ListFilesReply, ListFilesRequest};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use serde::Serialize;
use serde_json::Value;

use self::cursor::Cursor;
use super::content::success;
use super::error::FileRejection;
use super::query::{FromQuery, Params, Query};
use super::request::Caller;
use crate::api::{Code, rfc3339};
use crate::config::limits::LIST_DEPTH;
use crate::sandbox::{Answer, Sandbox};
use crate::workspace::{WorkspacePath, shown};

/// Entries of a page: about 100 kB of JSON, as much as a person scrolls through.
const PAGE_LIMIT: u32 = 1_000;

/// Bytes of the names on a page.
const PAGE_CHARS: u32 = 256 * 1024;

/// Entries that are counted.
const COUNT_LIMIT: usize = 10_000;

/// Entries and bytes of names that are counted at a time, the most of one message.
const COUNTED: (u32, u32) = (5_000, 1024 * 1024);

/// Pages that are counted: enough for [`COUNT_LIMIT`] names of 500 bytes.
const COUNTED_PAGES_LIMIT: usize = 6;

/// Characters that need no escape in a path: the unreserved characters of RFC 3986, and slashes.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/');

/// Parameters of the route.
#[derive(Debug)]
pub struct ListParams {
    path: WorkspacePath,
    depth: u32,
    cursor: String,
}

impl FromQuery for ListParams {
    const KNOWN: &[&str] = &["path", "depth", "cursor"];

    fn from_query(query: &Query) -> Result<Self, FileRejection> {
        let depth = query.number("depth", LIST_DEPTH)?;
        Ok(Self {
            path: query.path("path")?,
            depth: depth.unwrap_or(LIST_DEPTH.default),
            cursor: query.text("cursor")?.unwrap_or_default().to_owned(),
        })
    }
}

/// A page.
#[derive(Debug, Serialize)]
struct Listing {
    files: Vec<ListedEntry>,
    /// The number on all pages; null for more than [`COUNT_LIMIT`].
    total: Option<u64>,
    /// For the next page; null on the last page.
    next_cursor: Option<String>,
}

/// One entry.
#[derive(Debug, PartialEq, Serialize)]
struct ListedEntry {
    /// Relative to the path; one that is not UTF-8 as [`shown`] writes it.
    filename: String,
    /// The URL path of its download and deletion, with every byte of the name.
    url: String,
    size: u64,
    is_dir: bool,
    modified: String,
}

/// Entries below the path, sorted, a page at a time.
pub async fn get(
    caller: Caller,
    nested: Result<NestedPath, NestedPathRejection>,
    Params(params): Params<ListParams>,
) -> Result<Json<Value>, FileRejection> {
    let path = params.path;
    let cursor = Cursor::parse(&params.cursor)?;
    let mut request = ListFilesRequest {
        path: path.to_bytes(),
        depth: params.depth,
        limit: PAGE_LIMIT,
        max_chars: PAGE_CHARS,
        ..ListFilesRequest::default()
    };
    let first = cursor.is_none();
    let mut total = None;
    if let Some(cursor) = cursor {
        total = cursor.total;
        request.after = cursor.after.into();
    }
    let page = list(&caller.sandbox, &path, request.clone()).await?;
    if first {
        total = count(&caller.sandbox, &path, request, &page).await?;
    }
    let next_cursor = page.more.then(|| Cursor {
        total,
        after: page.next.to_vec(),
    });
    let prefix = nested.as_ref().map_or("", NestedPath::as_str);
    let files = page.entries.iter();
    let files = files.map(|entry| listed(&path, entry, prefix));
    Ok(Json(success(&Listing {
        files: files.collect::<Result<_, _>>()?,
        total,
        next_cursor: next_cursor.map(|cursor| cursor.show()),
    })))
}

async fn list(
    sandbox: &Sandbox,
    path: &WorkspacePath,
    request: ListFilesRequest,
) -> Result<ListFilesReply, FileRejection> {
    let listed = sandbox.list_files(request).await;
    let Answer { value, .. } = listed.map_err(|error| FileRejection::sandbox(&error, path))?;
    Ok(value)
}

/// The number of all entries, of which `first` are the first.
async fn count(
    sandbox: &Sandbox,
    path: &WorkspacePath,
    request: ListFilesRequest,
    first: &ListFilesReply,
) -> Result<Option<u64>, FileRejection> {
    let mut counted = first.entries.len();
    let (mut more, mut next) = (first.more, first.next.clone());
    for _ in 0..COUNTED_PAGES_LIMIT {
        if !more || counted > COUNT_LIMIT {
            break;
        }
        let request = ListFilesRequest {
            limit: COUNTED.0,
            max_chars: COUNTED.1,
            after: next,
            ..request.clone()
        };
        let page = list(sandbox, path, request).await?;
        counted += page.entries.len();
        (more, next) = (page.more, page.next);
    }
    let all = !more && counted <= COUNT_LIMIT;
    Ok(all.then(|| u64::try_from(counted).unwrap_or(u64::MAX)))
}

fn listed(path: &WorkspacePath, entry: &Entry, prefix: &str) -> Result<ListedEntry, FileRejection> {
    let below = match path.as_bytes() {
        b"" => Some(&entry.path[..]),
        above => entry
            .path
            .strip_prefix(above)
            .and_then(|rest| rest.strip_prefix(b"/")),
    };
    let Some(below) = below else {
        let problem = "is not a directory.";
        return Err(FileRejection::about(Code::NotDirectory, path, problem));
    };
    Ok(ListedEntry {
        filename: shown::exact(below).into_owned(),
        url: format!(
            "{prefix}/files/content/{}",
            percent_encode(&entry.path, ESCAPED)
        ),
        size: entry.size,
        is_dir: entry.r#type() == Type::Directory,
        modified: rfc3339(entry.modified_ms),
    })
}

#[cfg(test)]
mod tests {
    use super::super::request::workspace_path;
    use super::*;

    #[test]
    fn names_are_below_the_path_and_exact_where_they_are_text() {
        let entry = |path: &'static [u8]| Entry {
            path: path.into(),
            r#type: Type::File.into(),
            ..Entry::default()
        };
        let name = |path: &str, found| {
            let path = workspace_path(path.as_bytes()).expect("a path");
            listed(&path, &entry(found), "").map(|listed| listed.filename)
        };
        assert_eq!(name("", b"a/b").as_deref(), Ok("a/b"));
        assert_eq!(name("a", b"a/b\n\\").as_deref(), Ok("b\n\\"));
        assert_eq!(name("a", b"a/\xff").as_deref(), Ok(r"$'\xff'"));
        let path = workspace_path(b"a").expect("a path");
        for prefix in ["", "/v1"] {
            let found = entry(b"a/caf\xe9 %+?#\\b/c");
            let url = listed(&path, &found, prefix).map(|listed| listed.url);
            let expected = format!("{prefix}/files/content/a/caf%E9%20%25%2B%3F%23%5Cb/c");
            assert_eq!(url, Ok(expected));
        }
        let refused = name("a", b"a").expect_err("a file");
        assert_eq!(
            (refused.status.as_u16(), refused.code),
            (409, "not_directory")
        );
    }
}
