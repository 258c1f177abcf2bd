//! `POST /files/upload`: files from a form.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use multer::Multipart;
use serde_json::{Value, json};

use super::Files;
use super::content::{admitted, success};
use super::error::FileRejection;
use super::form::{FIELD, Form, StoredFile};
use super::incoming::refused;
use super::query::{FromQuery, Params, Query};
use super::request::Caller;
use crate::workspace::WorkspacePath;

/// Bytes of a form besides its files, for the check of `Content-Length`.
const FORM: u64 = 1 << 20;

/// Parameters of the route.
#[derive(Debug)]
pub struct UploadParams {
    /// The directory.
    path: WorkspacePath,
}

impl FromQuery for UploadParams {
    const KNOWN: &[&str] = &["path"];

    fn from_query(query: &Query) -> Result<Self, FileRejection> {
        let path = query.path("path")?;
        Ok(Self { path })
    }
}

/// Stores each file of the form in the directory, each whole or not at all. If one fails, the
/// files of a large form before it stay.
pub async fn post(
    caller: Caller,
    Params(params): Params<UploadParams>,
    State(files): State<Files>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, FileRejection> {
    let body = admitted(&headers, body, files.limit.saturating_add(FORM))?;
    let boundary = boundary(&headers)?;
    let directory = params.path;
    let allowance = body.allowance();
    let mut parts = Multipart::new(body, boundary);
    let mut form = Form::new(&caller.sandbox, &directory, files.limit);
    loop {
        allowance.between_files();
        let part = parts.next_field().await;
        let part = part.map_err(|error| form.after(refused(&error)))?;
        let Some(part) = part else { break };
        allowance.of_a_file();
        let taken = form.take(part).await;
        taken.map_err(|error| form.after(error))?;
    }
    let finished = form.finish().await.map(answer);
    finished.map_err(|error| form.after(error))?.map(Json)
}

fn answer(stored: &[StoredFile]) -> Result<Value, FileRejection> {
    match stored {
        [] => Err(FileRejection::bad(format!(
            "the form has no field `{FIELD}` with a file."
        ))),
        // A single file is also at the top level.
        [file] => Ok(success(&json!({
            "filename": file.filename,
            "size": file.size,
            "files": [file],
        }))),
        files => Ok(success(&json!({ "files": files }))),
    }
}

fn boundary(headers: &HeaderMap) -> Result<String, FileRejection> {
    let kind = headers.get(header::CONTENT_TYPE);
    let kind = kind
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    multer::parse_boundary(kind).map_err(|_| FileRejection {
        status: StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ..FileRejection::bad(format!(
            "files come as multipart/form-data with a boundary, in fields named `{FIELD}`."
        ))
    })
}
