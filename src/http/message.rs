//! The body of an MCP message: read whole, within bounds, before anything is done
//! with it.

use std::sync::Arc;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use rmcp::model::{ClientJsonRpcMessage, ClientNotification, ClientRequest, JsonRpcMessage};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::batch;
use super::limits::{LINGER_TIMEOUT, MESSAGE_BYTES, MESSAGE_TIMEOUT};
use super::quotas::{QuotaPermit, QuotaUsage, UserQuotas};
use crate::identity::Principal;
use crate::tools;
use crate::tools::message::{self, INVALID_REQUEST, MessageOrBatch, ParsedMessage};

/// What of a message its transport must know.
#[derive(Debug, Clone, Default)]
pub struct Envelope {
    /// Of a request; an error must name it.
    pub id: Value,
    /// What it asks for.
    pub kind: MessageKind,
}

/// What a message asks of its transport.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum MessageKind {
    /// The first one of a conversation.
    Initialize,
    /// A request, which may be cancelled.
    Call {
        /// PID 1 knows it by the tag of the command.
        runs_a_command: bool,
    },
    /// The request with this id is to end.
    Cancelled(Value),
    /// Nothing.
    #[default]
    Other,
}

/// The user's share of the load that a message is. It goes with the request to where
/// it is handled, so it is held as long as the call.
#[derive(Debug, Clone)]
pub struct MessagePermit(#[expect(dead_code, reason = "held for its Drop")] Arc<QuotaPermit>);

/// Why a message is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MessageRejection {
    TooLarge,
    TooSlow,
    Broken,
    TooMany,
}

/// Reads the body of a POST and hands it on as one piece. Whatever else is wrong with
/// the request is left to who handles it, unread.
pub async fn whole(State(quotas): State<UserQuotas>, request: Request, next: Next) -> Response {
    // Some clients say of every request that it is JSON, also of a DELETE without a body.
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
    parts.extensions.insert(MessagePermit(Arc::new(permit)));
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

/// The answer to what is no message of the protocol. Parameters are the matter of a method,
/// and the answer to that is a whole one.
pub fn answer(refusal: &message::InvalidMessage) -> Response {
    let status = match refusal.code {
        message::INVALID_PARAMS => StatusCode::OK,
        message::METHOD_NOT_FOUND => StatusCode::NOT_FOUND,
        _ => StatusCode::BAD_REQUEST,
    };
    (status, Json(refusal.to_json())).into_response()
}

impl Envelope {
    /// Of this message.
    pub fn of(message: &ClientJsonRpcMessage) -> Self {
        match message {
            JsonRpcMessage::Request(request) => Self {
                id: request.id.clone().into_json_value(),
                kind: match &request.request {
                    ClientRequest::InitializeRequest(_) => MessageKind::Initialize,
                    ClientRequest::CallToolRequest(call) => MessageKind::Call {
                        runs_a_command: call.params.name == tools::RUNS_COMMANDS,
                    },
                    _ => MessageKind::Call {
                        runs_a_command: false,
                    },
                },
            },
            JsonRpcMessage::Notification(notification) => match &notification.notification {
                ClientNotification::CancelledNotification(it) => {
                    let id = it.params.request_id.clone();
                    let kind = id.map(|id| MessageKind::Cancelled(id.into_json_value()));
                    let id = Value::Null;
                    Self {
                        id,
                        kind: kind.unwrap_or_default(),
                    }
                }
                _ => Self::default(),
            },
            JsonRpcMessage::Response(_) | JsonRpcMessage::Error(_) => Self::default(),
        }
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

/// A body without a length is taken for one of the largest.
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
    let permit = quotas.take(&principal.user, QuotaUsage::request(length));
    permit.ok_or(MessageRejection::TooMany)
}

/// Takes what the client still sends and forgets it: many only listen when they have
/// sent all, and a connection that is closed meanwhile loses the answer.
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

/// A JSON-RPC error.
pub fn error_message(id: &Value, code: i32, message: &str) -> Value {
    let error = json!({ "code": code, "message": message });
    json!({ "jsonrpc": "2.0", "id": id, "error": error })
}
