//! `PUT` and `DELETE` of one path.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use headers::{ContentLength, HeaderMapExt as _};
use serde::Serialize;
use serde_json::{Value, json};

use super::Files;
use super::conditions::Conditions;
use super::download::stat;
use super::error::FileRejection;
use super::incoming::{Failure, IncomingBody, content};
use super::query::{FromQuery, Params, Query};
use super::request::{Caller, FilePath};
use crate::api::Code;
use crate::config::Bytes;
use crate::sandbox::{Sandbox, SandboxError, UploadOptions, Uploaded};
use crate::workspace::WorkspacePath;

/// Parameters of `PUT`.
#[derive(Debug)]
pub struct PutParams {
    unpack: bool,
}

impl FromQuery for PutParams {
    const KNOWN: &[&str] = &["unpack"];

    fn from_query(query: &Query) -> Result<Self, FileRejection> {
        match query.text("unpack")? {
            None => Ok(Self { unpack: false }),
            Some("tar") => Ok(Self { unpack: true }),
            Some(_) => Err(FileRejection::bad(
                "`unpack` is tar; nothing else is unpacked.",
            )),
        }
    }
}

/// Parameters of `DELETE`.
#[derive(Debug)]
pub struct DeleteParams {
    recursive: bool,
}

impl FromQuery for DeleteParams {
    const KNOWN: &[&str] = &["recursive"];

    fn from_query(query: &Query) -> Result<Self, FileRejection> {
        let recursive = query.truth("recursive")?.unwrap_or(false);
        Ok(Self { recursive })
    }
}

/// The answer about a stored file.
#[derive(Debug, Serialize)]
struct StoredContent {
    filename: String,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    entries: Option<u64>,
    /// Other names that the file had (hard links), which keep the old content.
    #[serde(skip_serializing_if = "Option::is_none")]
    other_names: Option<u64>,
}

/// Stores the body at the path, or unpacks it there. With `If-None-Match: *` the creation of the
/// file checks that it is new; other conditions are checked just before, so the file may change in
/// between.
pub async fn put(
    caller: Caller,
    FilePath(path): FilePath,
    Params(params): Params<PutParams>,
    State(files): State<Files>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, FileRejection> {
    let unpack = params.unpack;
    let body = admitted(&headers, body, files.limit)?;
    if path.names_directory() && !unpack {
        let problem = "names a directory; give the path of a file.";
        return Err(FileRejection::about(Code::IsDirectory, &path, problem));
    }
    if headers.contains_key(header::CONTENT_RANGE) {
        return Err(FileRejection::bad(
            "a part of a file cannot be put; send all of it.",
        ));
    }
    let conditions = Conditions::of(&headers)?.without_range();
    let create_new = conditions.wants_new() && !unpack;
    if !create_new {
        check(&caller.sandbox, &path, &conditions).await?;
    }
    let options = UploadOptions {
        create_new,
        unpack,
        limit: files.limit,
    };
    let (content, failure) = content(body);
    let stored = caller
        .sandbox
        .upload(path.to_bytes(), options, content)
        .await;
    let uploaded = stored.map_err(|error| {
        let mut refused = upload_refused(&error, &failure, &path, files.limit);
        if create_new && refused.code == Code::Exists.as_str() {
            refused.status = StatusCode::PRECONDITION_FAILED;
        }
        refused
    })?;
    Ok(stored_at(&path, uploaded, unpack))
}

fn stored_at(path: &WorkspacePath, uploaded: Uploaded, unpacked: bool) -> Response {
    let status = match uploaded.created {
        true => StatusCode::CREATED,
        false => StatusCode::OK,
    };
    let stored = StoredContent {
        filename: path.to_string(),
        size: uploaded.size,
        entries: unpacked.then_some(uploaded.entries),
        other_names: Some(uploaded.other_names).filter(|count| *count > 0),
    };
    (status, Json(success(&stored))).into_response()
}

/// Removes the entry at the path.
pub async fn delete(
    caller: Caller,
    FilePath(path): FilePath,
    Params(params): Params<DeleteParams>,
    headers: HeaderMap,
) -> Result<Json<Value>, FileRejection> {
    if path.as_bytes().is_empty() {
        return Err(FileRejection::bad(
            "the workspace itself cannot be deleted; delete what is in it.",
        ));
    }
    let conditions = Conditions::of(&headers)?.without_range();
    check(&caller.sandbox, &path, &conditions).await?;
    if path.names_directory() && !stat(&caller.sandbox, &path).await?.is_dir {
        let problem = "is a file; leave out the slash at its end.";
        return Err(FileRejection::about(Code::NotDirectory, &path, problem));
    }
    let deleted = caller
        .sandbox
        .delete(path.to_bytes(), params.recursive)
        .await;
    deleted.map_err(|error| {
        let refused = FileRejection::sandbox(&error, &path);
        if refused.code == Code::IsDirectory.as_str() {
            let problem = "is a directory; with ?recursive=true it is deleted with all in it.";
            return FileRejection::about(Code::IsDirectory, &path, problem);
        }
        refused
    })?;
    Ok(Json(success(&json!({ "filename": path.to_string() }))))
}

/// Whether the conditions of a change hold now.
async fn check(
    sandbox: &Sandbox,
    path: &WorkspacePath,
    conditions: &Conditions,
) -> Result<(), FileRejection> {
    if conditions.is_empty() {
        return Ok(());
    }
    let current = match stat(sandbox, path).await {
        Ok(stat) => Some(stat),
        Err(refused) if refused.status == StatusCode::NOT_FOUND => None,
        Err(refused) => return Err(refused),
    };
    match conditions.allow_change(current.as_ref()) {
        true => Ok(()),
        false => Err(FileRejection::precondition(path)),
    }
}

/// The body, unless its length is known to be over `limit` bytes.
pub fn admitted(
    headers: &HeaderMap,
    body: Body,
    limit: u64,
) -> Result<IncomingBody, FileRejection> {
    let length = headers.typed_get::<ContentLength>();
    if length.is_some_and(|ContentLength(length)| length > limit) {
        // A client that waits for `100 Continue` does not get it. The body of any other client is
        // read: otherwise the client would not get to read the answer.
        if !headers.contains_key(header::EXPECT) {
            drop(IncomingBody::new(body));
        }
        return Err(too_large(limit));
    }
    Ok(IncomingBody::new(body))
}

/// Why an upload failed: the body's own failure comes before its consequence.
pub fn upload_refused(
    error: &SandboxError,
    failure: &Failure,
    path: &WorkspacePath,
    limit: u64,
) -> FileRejection {
    let refused = failure.or(FileRejection::sandbox(error, path));
    if refused.code == Code::TooLarge.as_str() {
        return too_large(limit);
    }
    refused
}

/// More than `limit` bytes.
pub fn too_large(limit: u64) -> FileRejection {
    FileRejection {
        status: StatusCode::PAYLOAD_TOO_LARGE,
        code: Code::TooLarge.as_str(),
        message: format!(
            "an upload may have {} (CASEMATE_UPLOAD_LIMIT), and a file in a sandbox its quota, or 2g.",
            Bytes(limit)
        ),
    }
}

/// The envelope of a success.
pub fn success(data: &impl Serialize) -> Value {
    json!({ "success": true, "data": data })
}
