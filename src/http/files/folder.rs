//! `POST /files/folder`: an empty directory.

use axum::Json;
use axum::body::Body;
use axum::http::{HeaderMap, StatusCode};
use casemate_protocol::MakeDirectoryRequest;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::content::success;
use super::error::FileRejection;
use super::rename::path;
use super::request::Caller;
use crate::http::v1::json_body;

/// The body.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct FolderBody {
    path: String,
}

/// Makes the directory and those above it. An existing entry is refused as `exists`.
pub async fn post(
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<Value>), FileRejection> {
    let FolderBody { path: text } = json_body::paths(&headers, body).await?;
    let path = path("path", &text)?;
    let request = MakeDirectoryRequest {
        path: path.to_bytes(),
        ..MakeDirectoryRequest::default()
    };
    let made = caller.sandbox.make_directory(request).await;
    made.map_err(|error| FileRejection::sandbox(&error, &path))?;
    let data = json!({ "filename": path.to_string() });
    Ok((StatusCode::CREATED, Json(success(&data))))
}
