//! `GET` and `HEAD` of a file or a directory.
//!
//! A stored file may be a page with scripts, and the browser keeps the user's token for this
//! server's address. So every answer is an attachment of a type that no browser runs, its type
//! must not be sniffed, and if it were shown all the same, it would be in a sandbox.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::stream::{self, BoxStream, TryStreamExt as _};
use headers::{ContentLength, ContentRange, HeaderMapExt as _, LastModified};

use super::conditions::{Conditions, Selection, etag, modified};
use super::disposition::{self, attachment};
use super::error::FileRejection;
use super::inline::{self, DownloadParams};
use super::query::Params;
use super::request::{Caller, FilePath};
use crate::api::Code;
use crate::sandbox::{Sandbox, SandboxError, Stat};
use crate::workspace::WorkspacePath;

/// On every answer with a user's content. `no-cache` makes a browser check its copy each time, and
/// `private` keeps proxies from storing one.
const GUARDS: [(HeaderName, HeaderValue); 2] = [
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("sandbox; default-src 'none'"),
    ),
    (
        header::CACHE_CONTROL,
        HeaderValue::from_static("private, no-cache"),
    ),
];

/// Attempts to read a range of a file that keeps changing.
const ATTEMPT_LIMIT: usize = 3;

struct DownloadResponse {
    stat: Stat,
    selection: Selection,
    content: Option<BoxStream<'static, Result<Bytes, SandboxError>>>,
}

/// The content, or the part that conditions and range select.
pub async fn get(
    caller: Caller,
    FilePath(path): FilePath,
    Params(params): Params<DownloadParams>,
    headers: HeaderMap,
) -> Result<Response, FileRejection> {
    let conditions = Conditions::of(&headers)?;
    let opened = open(&caller.sandbox, &path, &conditions).await?;
    respond(&path, opened, params.inline)
}

/// The same without the content. It has no ranges (RFC 9110 section 14.2).
pub async fn head(
    caller: Caller,
    FilePath(path): FilePath,
    Params(params): Params<DownloadParams>,
    headers: HeaderMap,
) -> Result<Response, FileRejection> {
    let conditions = Conditions::of(&headers)?.without_range();
    let stat = stat(&caller.sandbox, &path).await?;
    let selection = select(&conditions, &stat);
    let content = None;
    respond(
        &path,
        DownloadResponse {
            stat,
            selection,
            content,
        },
        params.inline,
    )
}

/// A file of one version, or of any without it, or the part of it that the request selects; `None`
/// where the file is another by now.
pub async fn of_version(
    sandbox: &Sandbox,
    path: &WorkspacePath,
    version: Option<u64>,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Option<Response>, FileRejection> {
    let conditions = Conditions::of(headers)?;
    let opened = match *method {
        Method::HEAD => {
            let stat = stat(sandbox, path).await?;
            let selection = select(&conditions.without_range(), &stat);
            let content = None;
            DownloadResponse {
                stat,
                selection,
                content,
            }
        }
        _ => open(sandbox, path, &conditions).await?,
    };
    let is_it = version.is_none_or(|version| opened.stat.version == version);
    match !opened.stat.is_dir && is_it {
        true => respond(path, opened, false).map(Some),
        false => Ok(None),
    }
}

/// The entry at `path`, for a condition.
pub async fn stat(sandbox: &Sandbox, path: &WorkspacePath) -> Result<Stat, FileRejection> {
    let stat = sandbox.stat(path.to_bytes()).await;
    stat.map_err(|error| FileRejection::sandbox(&error, path))
}

/// A directory has neither a tag nor a length before it is read.
fn select(conditions: &Conditions, stat: &Stat) -> Selection {
    if stat.is_dir {
        Selection::Whole
    } else {
        conditions.select(stat)
    }
}

async fn open(
    sandbox: &Sandbox,
    path: &WorkspacePath,
    conditions: &Conditions,
) -> Result<DownloadResponse, FileRejection> {
    for _ in 0..ATTEMPT_LIMIT {
        // Without conditions, it need not be known before.
        let known = match conditions.is_empty() {
            true => None,
            false => Some(stat(sandbox, path).await?),
        };
        let selection = known.map_or(Selection::Whole, |stat| select(conditions, &stat));
        let (offset, length) = match (selection, known) {
            (Selection::Whole, _) => (0, None),
            (Selection::Part { offset, length }, _) => (offset, Some(length)),
            (selection, Some(stat)) => {
                let content = None;
                return Ok(DownloadResponse {
                    stat,
                    selection,
                    content,
                });
            }
            (_, None) => return Err(FileRejection::precondition(path)),
        };
        let download = sandbox.download(path.to_bytes(), offset, length).await;
        let download = download.map_err(|error| FileRejection::sandbox(&error, path))?;
        let stat = download.stat;
        if known.is_none_or(|known| known.version == stat.version || stat.is_dir) {
            let content = Some(download.content);
            return Ok(DownloadResponse {
                stat,
                selection,
                content,
            });
        }
    }
    let problem = "changes too fast to give a part of it. Ask for all of it.";
    Err(FileRejection::about(Code::Changed, path, problem))
}

fn respond(
    path: &WorkspacePath,
    opened: DownloadResponse,
    inline: bool,
) -> Result<Response, FileRejection> {
    let DownloadResponse {
        stat,
        selection,
        content,
    } = opened;
    if path.names_directory() && !stat.is_dir {
        let problem = "is a file; leave out the slash at its end.";
        return Err(FileRejection::about(Code::NotDirectory, path, problem));
    }
    let mut headers: HeaderMap = GUARDS.into_iter().collect();
    describe(&mut headers, path, &stat, inline);
    let status = match selection {
        Selection::Whole => {
            if !stat.is_dir {
                headers.typed_insert(ContentLength(stat.size));
            }
            StatusCode::OK
        }
        Selection::Part { offset, length } => {
            headers.typed_insert(ContentLength(length));
            if let Ok(range) = ContentRange::bytes(offset..offset + length, stat.size) {
                headers.typed_insert(range);
            }
            StatusCode::PARTIAL_CONTENT
        }
        Selection::NotModified => StatusCode::NOT_MODIFIED,
        Selection::Failed => return Err(FileRejection::precondition(path)),
        Selection::Unsatisfiable => return Ok(unsatisfiable(path, &stat)),
    };
    let body = match content {
        Some(content) => Body::from_stream(content.inspect_err(broke_off)),
        // A length of 0 would be wrong for the archive.
        None if stat.is_dir => Body::from_stream(stream::empty::<Result<Bytes, SandboxError>>()),
        None => Body::empty(),
    };
    Ok((status, headers, body).into_response())
}

/// The client notices by the missing bytes or the missing last chunk.
fn broke_off(error: &SandboxError) {
    tracing::warn!(
        error = error as &dyn std::error::Error,
        "a download broke off"
    );
}

fn describe(headers: &mut HeaderMap, path: &WorkspacePath, stat: &Stat, inline: bool) {
    let name = match path.as_bytes().rsplit(|byte| *byte == b'/').next() {
        Some(b"") | None => "workspace".into(),
        // A header can only have text.
        Some(name) => String::from_utf8_lossy(name),
    };
    headers.typed_insert(LastModified::from(modified(stat)));
    let (kind, name) = if stat.is_dir {
        ("application/x-tar", format!("{name}.tar"))
    } else {
        headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        if let Some(tag) = etag(stat) {
            headers.typed_insert(tag);
        }
        ("application/octet-stream", name.into_owned())
    };
    let shown = inline::media_type(&name).filter(|_| inline && !stat.is_dir);
    let disposition = match shown {
        Some(_) => disposition::inline(&name),
        None => attachment(&name),
    };
    let kind = HeaderValue::from_static(shown.unwrap_or(kind));
    headers.insert(header::CONTENT_TYPE, kind);
    headers.insert(header::CONTENT_DISPOSITION, disposition);
}

fn unsatisfiable(path: &WorkspacePath, stat: &Stat) -> Response {
    let refused = FileRejection {
        status: StatusCode::RANGE_NOT_SATISFIABLE,
        code: "range_not_satisfiable",
        message: format!("\"{path}\" has {} bytes.", stat.size),
    };
    let mut response = refused.into_response();
    let range = ContentRange::unsatisfied_bytes(stat.size);
    response.headers_mut().typed_insert(range);
    response
}
