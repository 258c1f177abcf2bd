//! `POST /files/upload`: files from a form.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use multer::{Field, Multipart};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Files;
use super::content::{admitted, success, upload_refused};
use super::error::Refused;
use super::incoming::{content, refused};
use super::name::file_name;
use super::request::{Caller, Params, workspace_path};
use crate::sandbox::{Sandbox, UploadOptions};
use crate::workspace::WorkspacePath;

/// The form's field.
const FIELD: &str = "file";

/// Files of one request: a selection in a file manager. Whoever has more sends an
/// archive.
const MAX_FILES: usize = 1_000;

/// Bytes of a form around its files, for the length that a request announces.
const FORM: u64 = 1 << 20;

/// Parameters of the route.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UploadParams {
    /// The directory.
    #[serde(default)]
    path: String,
}

/// One file that is stored.
#[derive(Debug, Serialize)]
struct Stored {
    filename: String,
    size: u64,
}

/// Stores each file of the form in the directory, one after the other, each whole or
/// not at all. Those before one that fails stay.
pub async fn post(
    caller: Caller,
    Params(params): Params<UploadParams>,
    State(files): State<Files>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, Refused> {
    let body = admitted(&headers, body, files.limit.saturating_add(FORM))?;
    let boundary = boundary(&headers)?;
    let directory = workspace_path(&params.path)?;
    let allowance = body.allowance();
    let mut form = Multipart::new(body, boundary);
    let mut stored: Vec<Stored> = Vec::new();
    let mut left = files.limit;
    loop {
        allowance.between_files();
        let field = form.next_field().await;
        let field = field.map_err(|error| after(&stored, refused(&error)))?;
        let Some(field) = field else { break };
        allowance.of_a_file();
        let file = store(&caller.sandbox, &directory, field, left, stored.len());
        let file = file.await.map_err(|error| after(&stored, error))?;
        left = left.saturating_sub(file.size);
        stored.push(file);
    }
    answer(&stored).map(Json)
}

fn answer(stored: &[Stored]) -> Result<Value, Refused> {
    match stored {
        [] => Err(Refused::bad(format!(
            "the form has no field `{FIELD}` with a file."
        ))),
        [file] => Ok(success(file)),
        files => Ok(success(&json!({ "files": files }))),
    }
}

fn boundary(headers: &HeaderMap) -> Result<String, Refused> {
    let kind = headers.get(header::CONTENT_TYPE);
    let kind = kind
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    multer::parse_boundary(kind).map_err(|_| Refused {
        status: StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ..Refused::bad(format!(
            "files come as multipart/form-data with a boundary, in fields named `{FIELD}`."
        ))
    })
}

async fn store(
    sandbox: &Sandbox,
    directory: &WorkspacePath,
    field: Field<'static>,
    limit: u64,
    nth: usize,
) -> Result<Stored, Refused> {
    if field.name() != Some(FIELD) {
        let name = field.name().unwrap_or_default();
        return Err(Refused::bad(format!(
            "the field {name:?} is unknown; files are in fields named `{FIELD}`."
        )));
    }
    if nth >= MAX_FILES {
        return Err(Refused::bad(format!(
            "more than {MAX_FILES} files; put an archive with ?unpack=tar instead."
        )));
    }
    let filename = file_name(field.file_name())?;
    let path = workspace_path(&format!("{directory}/{filename}"))?;
    let options = UploadOptions {
        limit,
        ..UploadOptions::default()
    };
    let (content, failure) = content(field);
    let stored = sandbox.upload(path.as_str(), options, content).await;
    let size = stored
        .map_err(|error| upload_refused(&error, &failure, &path, limit))?
        .size;
    Ok(Stored { filename, size })
}

/// What is there already must be known to whoever repeats the rest.
fn after(stored: &[Stored], refused: Refused) -> Refused {
    let stored = match stored.len() {
        0 => return refused,
        1 => "1 file before it is stored.".to_owned(),
        count => format!("{count} files before it are stored."),
    };
    let message = format!("{} {stored}", refused.message);
    Refused { message, ..refused }
}
