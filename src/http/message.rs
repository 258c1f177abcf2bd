//! The body of an MCP message: read whole, within bounds, before anything is done
//! with it.

use std::sync::Arc;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::limits::{LINGER, MESSAGE_BYTES, MESSAGE_TIMEOUT};
use super::load::{Amount, Load, Share};
use crate::identity::Principal;

/// JSON-RPC 2.0, section 5.1.
const PARSE_ERROR: i32 = -32700;
/// JSON-RPC 2.0, section 5.1.
const INVALID_REQUEST: i32 = -32600;

/// What of a message its transport must know.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Envelope {
    /// Of a request; an error must name it.
    #[serde(default)]
    pub id: Value,
}

/// The user's share of the load that a message is. It goes with the request to where
/// it is handled, so it is held as long as the call.
#[derive(Debug, Clone)]
struct Held(#[expect(dead_code, reason = "held for its Drop")] Arc<Share>);

/// Why a message is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    TooLarge,
    TooSlow,
    Broken,
    TooMany,
    NoJson,
}

/// Reads the body of a POST and hands it on as one piece. Whatever else is wrong with
/// the request is left to who handles it, unread.
pub async fn whole(State(load): State<Load>, request: Request, next: Next) -> Response {
    if !is_json(request.headers()) {
        return next.run(request).await;
    }
    let (mut parts, mut body) = request.into_parts();
    let Some(principal) = parts.extensions.get::<Principal>() else {
        return StatusCode::UNAUTHORIZED.into_response();
    };
    let share = match admit(&load, principal, &parts.headers) {
        Ok(share) => share,
        Err(refusal) => return refused(refusal, &parts.headers, body).await,
    };
    let (bytes, envelope) = match read(&mut body).await {
        Ok(message) => message,
        Err(refusal) => return refused(refusal, &parts.headers, body).await,
    };
    let id = envelope.id.clone();
    parts.extensions.insert(Held(Arc::new(share)));
    parts.extensions.insert(envelope);
    let response = next.run(Request::from_parts(parts, bytes.into())).await;
    // JSON, but no message: for rmcp a media type it does not know.
    if response.status() == StatusCode::UNSUPPORTED_MEDIA_TYPE {
        return none_of_mcp(&id);
    }
    response
}

/// The answer to JSON that is no message of the protocol.
pub fn none_of_mcp(id: &Value) -> Response {
    let message = "this is no JSON-RPC message of MCP, or it is nested too deeply";
    error(StatusCode::BAD_REQUEST, id, INVALID_REQUEST, message)
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE);
    let text = value
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let essence = text.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

/// A body without a length is taken for one of the largest.
fn admit(load: &Load, principal: &Principal, headers: &HeaderMap) -> Result<Share, Refusal> {
    let length = headers.get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
    let length: usize = length.unwrap_or(MESSAGE_BYTES);
    if length > MESSAGE_BYTES {
        return Err(Refusal::TooLarge);
    }
    let share = load.take(&principal.user, Amount::request(length));
    share.ok_or(Refusal::TooMany)
}

/// Takes what the client still sends and forgets it: many only listen when they have
/// sent all, and a connection that is closed meanwhile loses the answer.
async fn refused(refusal: Refusal, headers: &HeaderMap, mut body: Body) -> Response {
    if !headers.contains_key(header::EXPECT) {
        let rest = async { while let Some(Ok(_)) = body.frame().await {} };
        let _ = timeout(LINGER, rest).await;
    }
    refusal.into_response()
}

async fn read(body: &mut Body) -> Result<(Bytes, Envelope), Refusal> {
    let collected = timeout(MESSAGE_TIMEOUT, Limited::new(body, MESSAGE_BYTES).collect()).await;
    let bytes = match collected {
        Ok(Ok(collected)) => collected.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => return Err(Refusal::TooLarge),
        Ok(Err(_)) => return Err(Refusal::Broken),
        Err(_) => return Err(Refusal::TooSlow),
    };
    let text: &[u8] = &bytes;
    match serde_json::from_slice::<Envelope>(text) {
        Ok(Envelope { id }) if id.is_string() || id.is_number() => Ok((bytes, Envelope { id })),
        Ok(_) => Ok((bytes, Envelope::default())),
        // JSON of another shape, as an array: who handles it says so.
        Err(error) if error.is_data() => Ok((bytes, Envelope::default())),
        Err(_) => Err(Refusal::NoJson),
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, code, message) = match self {
            Self::TooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                INVALID_REQUEST,
                "the message is larger than 8 MiB; write a large file in parts, or upload it",
            ),
            Self::TooSlow => (
                StatusCode::REQUEST_TIMEOUT,
                INVALID_REQUEST,
                "the message did not arrive within 30 s",
            ),
            Self::Broken => (
                StatusCode::BAD_REQUEST,
                INVALID_REQUEST,
                "the message did not arrive whole",
            ),
            Self::TooMany => (
                StatusCode::TOO_MANY_REQUESTS,
                INVALID_REQUEST,
                "too many requests of yours are under way; wait for some to end",
            ),
            Self::NoJson => (StatusCode::BAD_REQUEST, PARSE_ERROR, "this is not JSON"),
        };
        let mut response = error(status, &Value::Null, code, message);
        if self == Self::TooMany {
            let second = header::HeaderValue::from_static("1");
            response.headers_mut().insert(header::RETRY_AFTER, second);
        }
        response
    }
}

/// A JSON-RPC error as a whole answer.
fn error(status: StatusCode, id: &Value, code: i32, message: &str) -> Response {
    (status, Json(error_message(id, code, message))).into_response()
}

/// A JSON-RPC error.
pub fn error_message(id: &Value, code: i32, message: &str) -> Value {
    let error = json!({ "code": code, "message": message });
    json!({ "jsonrpc": "2.0", "id": id, "error": error })
}
