//! A JSON object in the body of a request: read whole, within bounds.

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use rmcp::model::JsonObject;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::timeout;

use crate::api::{Code, ToolError};
use crate::http::files::{FileRejection, linger};
use crate::http::limits::MESSAGE_TIMEOUT;
use crate::tools::parse_arguments;

/// A body of two paths, in bytes: each byte of a path may be written as four characters, and JSON
/// escapes some of those.
const PATHS_LIMIT: usize = 128 << 10;

/// A body with paths in it, as its type.
///
/// # Errors
/// As [`object`], and what is wrong with a field.
pub async fn paths<T>(headers: &HeaderMap, body: Body) -> Result<T, FileRejection>
where
    T: JsonSchema + DeserializeOwned,
{
    let object = object(headers, body, PATHS_LIMIT).await?;
    Ok(parse_arguments(object)?)
}

/// The object in a body of up to `limit` bytes.
///
/// # Errors
/// `too_large`, `cancelled` for one that does not arrive in 30 s, else `invalid_argument`, with 415
/// for another type.
pub async fn object(
    headers: &HeaderMap,
    mut body: Body,
    limit: usize,
) -> Result<JsonObject, FileRejection> {
    if !is_json(headers) {
        refuse(headers, body);
        return Err(FileRejection {
            status: StatusCode::UNSUPPORTED_MEDIA_TYPE,
            ..FileRejection::bad("the body is a JSON object, as Content-Type: application/json.")
        });
    }
    if announced(headers).is_some_and(|length| length > limit) {
        refuse(headers, body);
        return Err(too_large(limit));
    }
    let bytes = match timeout(MESSAGE_TIMEOUT, Limited::new(&mut body, limit).collect()).await {
        Ok(Ok(collected)) => collected.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            linger(body);
            return Err(too_large(limit));
        }
        Ok(Err(_)) => return Err(FileRejection::bad("the body did not arrive whole.")),
        Err(_) => {
            linger(body);
            let problem = "the body did not arrive within 30 s.";
            return Err(ToolError::new(Code::Cancelled, problem).into());
        }
    };
    match serde_json::from_slice(&bytes) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(FileRejection::bad(
            "the body is JSON, but no object: write {\"name\": value}.",
        )),
        Err(error) => Err(FileRejection::bad(format!(
            "the body is no JSON: line {}, column {}.",
            error.line(),
            error.column()
        ))),
    }
}

/// The length that a request gives its body.
pub fn announced(headers: &HeaderMap) -> Option<usize> {
    let length = headers.get(header::CONTENT_LENGTH)?;
    length.to_str().ok()?.parse().ok()
}

/// Listens to a client that sends all the same, or it would not come to read the answer.
pub fn refuse(headers: &HeaderMap, body: Body) {
    if !headers.contains_key(header::EXPECT) {
        linger(body);
    }
}

fn too_large(limit: usize) -> FileRejection {
    let problem = format!(
        "the body has more than {} KiB. Upload a large input as a file.",
        limit >> 10
    );
    ToolError::new(Code::TooLarge, problem).into()
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE);
    let text = value.and_then(|value| value.to_str().ok());
    let essence = text.unwrap_or_default().split(';').next();
    let essence = essence.unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn said(content_type: &str, body: &'static str) -> Result<JsonObject, (u16, String)> {
        let headers = [(header::CONTENT_TYPE, content_type.parse().expect("a value"))];
        let read = object(&headers.into_iter().collect(), body.into(), 16).await;
        read.map_err(|refused| (refused.status.as_u16(), refused.code.to_owned()))
    }

    #[tokio::test]
    async fn a_body_is_one_json_object_within_its_bound() {
        assert!(said("application/json", "{\"a\":1}").await.is_ok());
        assert!(said("Application/JSON; charset=utf-8", "{}").await.is_ok());
        for (content_type, body, status, code) in [
            ("application/json", "", 400, "invalid_argument"),
            ("application/json", "[]", 400, "invalid_argument"),
            ("application/json", "{\"a\":", 400, "invalid_argument"),
            ("application/json", "\"seventeen bytes\"", 413, "too_large"),
            ("text/plain", "{}", 415, "invalid_argument"),
            ("application/jsonp", "{}", 415, "invalid_argument"),
        ] {
            let refused = said(content_type, body).await;
            assert_eq!(refused, Err((status, code.to_owned())), "{body}");
        }
    }
}
