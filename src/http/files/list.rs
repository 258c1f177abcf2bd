//! `GET /files/list`.

mod cursor;

use axum::Json;
use casemate_protocol::entry::Type;
use casemate_protocol::{Entry, ListFilesReply, ListFilesRequest};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::cursor::Cursor;
use super::content::success;
use super::error::Refused;
use super::request::{Caller, Params, workspace_path};
use crate::config::limits::LIST_DEPTH;
use crate::sandbox::{Answer, Sandbox};
use crate::tools::{Code, time, visible};
use crate::workspace::WorkspacePath;

/// Entries of a page: what a person scrolls through, about 100 kB of JSON.
const PAGE: u32 = 1_000;

/// Bytes of the names on a page.
const PAGE_CHARS: u32 = 256 * 1024;

/// Entries that are counted.
const MOST_COUNTED: usize = 10_000;

/// Entries and bytes of names that are counted at a time, the most of one message.
const COUNTED: (u32, u32) = (5_000, 1024 * 1024);

/// Pages that are counted: enough for [`MOST_COUNTED`] names of 500 bytes.
const COUNTED_PAGES: usize = 6;

/// Parameters of the route.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListParams {
    #[serde(default)]
    path: String,
    #[serde(default = "one_level")]
    depth: u32,
    #[serde(default)]
    cursor: String,
}

fn one_level() -> u32 {
    LIST_DEPTH.default
}

/// A page.
#[derive(Debug, Serialize)]
struct Listing {
    files: Vec<Listed>,
    /// Of all pages; null when there are more than [`MOST_COUNTED`].
    total: Option<u64>,
    /// For the next page; null when there is none.
    next_cursor: Option<String>,
}

/// One entry.
#[derive(Debug, PartialEq, Serialize)]
struct Listed {
    /// Below the path; what is not UTF-8 of it as `\xNN`.
    filename: String,
    size: u64,
    is_dir: bool,
    modified: String,
}

/// Entries below the path, sorted, a page at a time.
pub async fn get(
    caller: Caller,
    Params(params): Params<ListParams>,
) -> Result<Json<Value>, Refused> {
    let path = workspace_path(&params.path)?;
    if !LIST_DEPTH.contains(&params.depth) {
        return Err(Refused::bad(format!(
            "`depth` is {} to {}.",
            LIST_DEPTH.least, LIST_DEPTH.most
        )));
    }
    let cursor = Cursor::parse(&params.cursor)?;
    let mut request = ListFilesRequest {
        path: path.as_str().to_owned(),
        depth: params.depth,
        limit: PAGE,
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
    let files = page.entries.iter().map(|entry| listed(&path, entry));
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
) -> Result<ListFilesReply, Refused> {
    let listed = sandbox.list_files(request).await;
    let Answer { value, .. } = listed.map_err(|error| Refused::sandbox(&error, path))?;
    Ok(value)
}

/// All entries, `first` being the first of them.
async fn count(
    sandbox: &Sandbox,
    path: &WorkspacePath,
    request: ListFilesRequest,
    first: &ListFilesReply,
) -> Result<Option<u64>, Refused> {
    let mut counted = first.entries.len();
    let (mut more, mut next) = (first.more, first.next.clone());
    for _ in 0..COUNTED_PAGES {
        if !more || counted > MOST_COUNTED {
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
    let all = !more && counted <= MOST_COUNTED;
    Ok(all.then(|| u64::try_from(counted).unwrap_or(u64::MAX)))
}

fn listed(path: &WorkspacePath, entry: &Entry) -> Result<Listed, Refused> {
    let below = match path.as_str() {
        "" => Some(&entry.path[..]),
        above => entry
            .path
            .strip_prefix(above.as_bytes())
            .and_then(|rest| rest.strip_prefix(b"/")),
    };
    let Some(below) = below else {
        let problem = "is not a directory.";
        return Err(Refused::about(Code::NotDirectory, path, problem));
    };
    Ok(Listed {
        filename: shown(below),
        size: entry.size,
        is_dir: entry.r#type() == Type::Directory,
        modified: time(entry.modified_ms),
    })
}

/// Text exactly, so that it can be asked for again. What is not text cannot be.
fn shown(name: &[u8]) -> String {
    match std::str::from_utf8(name) {
        Ok(text) => text.to_owned(),
        Err(_) => visible(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_below_the_path_and_exact_where_they_are_text() {
        let entry = |path: &'static [u8]| Entry {
            path: path.into(),
            r#type: Type::File.into(),
            ..Entry::default()
        };
        let name = |path: &str, found| {
            let path = workspace_path(path).expect("a path");
            listed(&path, &entry(found)).map(|listed| listed.filename)
        };
        assert_eq!(name("", b"a/b").as_deref(), Ok("a/b"));
        assert_eq!(name("a", b"a/b\n\\").as_deref(), Ok("b\n\\"));
        assert_eq!(name("a", b"a/\xff").as_deref(), Ok("\\xff"));
        let refused = name("a", b"a").expect_err("a file");
        assert_eq!(
            (refused.status.as_u16(), refused.code),
            (409, "not_directory")
        );
    }
}
