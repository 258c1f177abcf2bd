//! `POST /files/move`: another name, or another directory, for a file or a directory.

use axum::Json;
use axum::body::Body;
use axum::http::HeaderMap;
use casemate_protocol::MoveRequest;
use casemate_protocol::failure::Code as FailureCode;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::content::success;
use super::error::FileRejection;
use super::request::Caller;
use crate::api::{Code, ToolError};
use crate::http::v1::json_body;
use crate::sandbox::SandboxError;
use crate::workspace::{PathError, WorkspacePath};

/// The body.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct MoveBody {
    from: String,
    to: String,
    #[serde(default)]
    overwrite: bool,
}

/// Moves what has one name to another. The directories above that are made.
pub async fn post(
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, FileRejection> {
    let body: MoveBody = json_body::paths(&headers, body).await?;
    let from = path("from", &body.from)?;
    let to = path("to", &body.to)?;
    let request = MoveRequest {
        from: from.to_bytes(),
        to: to.to_bytes(),
        overwrite: body.overwrite,
        // A slash at the end says so.
        directory: from.names_directory() || to.names_directory(),
        ..MoveRequest::default()
    };
    let moved = caller.sandbox.move_entry(request).await;
    let replaced = moved.map_err(|error| refused(&error, &from, &to))?;
    Ok(Json(success(&json!({
        "from": from.to_string(),
        "filename": to.to_string(),
        "replaced": replaced,
    }))))
}

/// The path in a field of a body, as the tools take it.
pub fn path(field: &str, text: &str) -> Result<WorkspacePath, FileRejection> {
    let parsed: Result<WorkspacePath, PathError> = text.parse();
    parsed.map_err(|error| {
        let code = match error {
            PathError::Outside => Code::OutsideWorkspace,
            _ => Code::InvalidArgument,
        };
        ToolError::new(code, format!("`{field}`: {error}.")).into()
    })
}

/// Names the path that the failure is about, as far as that is known.
fn refused(error: &SandboxError, from: &WorkspacePath, to: &WorkspacePath) -> FileRejection {
    let SandboxError::Failed(failure) = error else {
        return FileRejection::sandbox(error, from);
    };
    match failure.code() {
        FailureCode::Exists => {
            let problem = "is there already; with \"overwrite\": true a file, a link or an empty \
                           directory is replaced.";
            FileRejection::about(Code::Exists, to, problem)
        }
        FailureCode::NotFound => FileRejection::about(Code::NotFound, from, "does not exist."),
        FailureCode::NotDirectory => {
            let problem = "cannot be moved there: one of the two is a directory, or has a / at \
                           its end, and the other is a file.";
            FileRejection::about(Code::NotDirectory, from, problem)
        }
        FailureCode::IsDirectory => {
            let problem = "is a directory, which no file takes the place of.";
            FileRejection::about(Code::IsDirectory, to, problem)
        }
        _ => {
            let both = format!("\"{from}\" to \"{to}\"");
            ToolError::sandbox(error, &both).into()
        }
    }
}
