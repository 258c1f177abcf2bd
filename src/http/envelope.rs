//! The parts of an MCP message that its transport needs, and JSON-RPC errors.

use std::sync::Arc;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use rmcp::model::{ClientJsonRpcMessage, ClientNotification, ClientRequest, JsonRpcMessage};
use serde_json::{Value, json};

use super::quotas::QuotaPermit;
use crate::tools::{self, message};

/// The parts of a message that its transport needs.
#[derive(Debug, Clone, Default)]
pub struct Envelope {
    /// The id of a request: an error must name it.
    pub id: Value,
    pub kind: MessageKind,
}

/// What a message asks of its transport.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum MessageKind {
    /// The first message of a conversation.
    Initialize,
    /// A request, which may be cancelled.
    Call {
        /// PID 1 knows the command by the request's tag.
        runs_a_command: bool,
    },
    /// The request with this id is to end.
    Cancelled(Value),
    /// Nothing.
    #[default]
    Other,
}

/// The user's permit for a message. It goes with the request to its handler, so it is held as long
/// as the call.
#[derive(Debug, Clone)]
pub struct MessagePermit(#[expect(dead_code, reason = "held for its Drop")] Arc<QuotaPermit>);

impl MessagePermit {
    pub fn new(permit: QuotaPermit) -> Self {
        Self(Arc::new(permit))
    }
}

/// The answer to an invalid message. Wrong parameters are the method's own error, whose status is
/// 200.
pub fn answer(refusal: &message::InvalidMessage) -> Response {
    let status = match refusal.code {
        message::INVALID_PARAMS => StatusCode::OK,
        message::METHOD_NOT_FOUND => StatusCode::NOT_FOUND,
        _ => StatusCode::BAD_REQUEST,
    };
    (status, Json(refusal.to_json())).into_response()
}

impl Envelope {
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

/// A JSON-RPC error.
pub fn error_message(id: &Value, code: i32, message: &str) -> Value {
    let error = json!({ "code": code, "message": message });
    json!({ "jsonrpc": "2.0", "id": id, "error": error })
}
