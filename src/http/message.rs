//! The body of an MCP message: read whole, within bounds, before it is handled.

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde_json::Value;
use tokio::time::timeout;

use super::batch;
use super::envelope::{Envelope, MessagePermit, answer, error_message};
use super::limits::{LINGER_TIMEOUT, MESSAGE_BYTES, MESSAGE_TIMEOUT};
use super::quotas::{QuotaPermit, QuotaUsage, UserQuotas};
use crate::identity::Principal;
use crate::tools::message::{self, INVALID_REQUEST, MessageOrBatch, ParsedMessage};

/// Why a message is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MessageRejection {
    TooLarge,
    TooSlow,
    Broken,
    TooMany,
}

/// Reads the body of a POST and passes it on as one piece. The handler finds everything else that
/// is wrong with a request.
pub async fn whole(State(quotas): State<UserQuotas>, request: Request, next: Next) -> Response {
    // Some clients declare every request as JSON, even a DELETE without a body.
    if request.method() != Method::POST || !is_json(request.headers()) {
        return next.run(request).await;
    }
    let (mut parts, mut body) = request.into_parts();
    let Some(principal) = parts.extensions.get::<Principal>() else {
        return StatusCode::UNAUTHORIZED.into_response();
    };
    let permit = match admit(&quotas, principal, &parts.headers) {
        Ok(permit) => permit,
        Err(refusal) => return refused(refusal, &parts.headers, body).await,
    };
    let bytes = match read(&mut body).await {
        Ok(bytes) => bytes,
        Err(refusal) => return refused(refusal, &parts.headers, body).await,
    };
    parts.extensions.insert(MessagePermit::new(permit));
    match message::read(&bytes) {
        MessageOrBatch::One(part) => match *part {
            ParsedMessage::Message(message) => {
                parts.extensions.insert(Envelope::of(&message));
                next.run(Request::from_parts(parts, bytes.into())).await
            }
            ParsedMessage::Refused(refusal) => answer(&refusal),
            ParsedMessage::Ignored => StatusCode::ACCEPTED.into_response(),
        },
        MessageOrBatch::Batch(messages) => batch::run(messages, parts, next).await,
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE);
    let text = value
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let essence = text.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

/// A body without a length counts as one of the largest size.
fn admit(
    quotas: &UserQuotas,
    principal: &Principal,
    headers: &HeaderMap,
) -> Result<QuotaPermit, MessageRejection> {
    let length = headers.get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
    let length: usize = length.unwrap_or(MESSAGE_BYTES);
    if length > MESSAGE_BYTES {
        return Err(MessageRejection::TooLarge);
    }
    let permit = quotas.take(&principal.identity.user, QuotaUsage::request(length));
    permit.ok_or(MessageRejection::TooMany)
}

/// Reads and drops the rest of the body: many clients read only after they have sent everything,
/// and a connection that is closed before that loses the answer.
async fn refused(refusal: MessageRejection, headers: &HeaderMap, mut body: Body) -> Response {
    if !headers.contains_key(header::EXPECT) {
        let rest = async { while let Some(Ok(_)) = body.frame().await {} };
        let _ = timeout(LINGER_TIMEOUT, rest).await;
    }
    refusal.into_response()
}

async fn read(body: &mut Body) -> Result<Bytes, MessageRejection> {
    let collected = timeout(MESSAGE_TIMEOUT, Limited::new(body, MESSAGE_BYTES).collect()).await;
    match collected {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(MessageRejection::TooLarge),
        Ok(Err(_)) => Err(MessageRejection::Broken),
        Err(_) => Err(MessageRejection::TooSlow),
    }
}

impl IntoResponse for MessageRejection {
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
