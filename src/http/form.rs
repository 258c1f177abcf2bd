//! The form of an answer, by the client's `Accept`.
//!
//! MCP clients must accept both forms, and rmcp refuses others. A client that accepts no stream
//! gets the one message that answers it as plain JSON.

use axum::Json;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt as _;
use serde_json::Value;

use super::envelope::{Envelope, error_message};
use super::event_stream::{EVENT_STREAM, Events, names, takes_a_stream};

/// The `Accept` that MCP clients must send.
const BOTH_FORMS: HeaderValue = HeaderValue::from_static("application/json, text/event-stream");

/// JSON-RPC 2.0, section 5.1.
const INTERNAL_ERROR: i32 = -32603;

/// The innermost layer, right around the handler.
pub async fn layer(mut request: Request, next: Next) -> Response {
    let takes_a_stream = takes_a_stream(request.headers());
    if !takes_a_stream && !takes_json(request.headers()) {
        return next.run(request).await;
    }
    let envelope = request.extensions().get::<Envelope>().cloned();
    request.headers_mut().insert(header::ACCEPT, BOTH_FORMS);
    let response = next.run(request).await;
    if takes_a_stream || response.headers().get(header::CONTENT_TYPE) != Some(&EVENT_STREAM) {
        return response;
    }
    as_json(response, &envelope.unwrap_or_default().id).await
}

/// Whether a client that names no stream takes JSON: it has no `Accept`, or one that allows it.
fn takes_json(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(header::ACCEPT).iter().peekable();
    values.peek().is_none()
        || values.any(|value| names(value, &["application/json", "application/*"]))
}

/// The answer to this id out of its stream, without the notifications before it.
async fn as_json(response: Response, id: &Value) -> Response {
    let mut head = response.headers().clone();
    head.remove(header::CONTENT_TYPE);
    head.remove(header::CONTENT_LENGTH);
    match answer(response.into_body(), id).await {
        Some(message) => (head, Json(message)).into_response(),
        None => {
            let ended = error_message(id, INTERNAL_ERROR, "the call ended without an answer");
            (StatusCode::INTERNAL_SERVER_ERROR, head, Json(ended)).into_response()
        }
    }
}

/// The message of a stream that answers this id.
pub async fn answer(body: Body, id: &Value) -> Option<Value> {
    let mut data = body.into_data_stream();
    let mut events = Events::default();
    while let Some(Ok(piece)) = data.next().await {
        for event in events.push(&piece) {
            if let Some(message) = message(&event).filter(|message| answers(message, id)) {
                return Some(message);
            }
        }
    }
    None
}

fn answers(message: &Value, id: &Value) -> bool {
    message.get("method").is_none() && message.get("id") == Some(id)
}

/// The message of an event; `None` for a comment.
fn message(event: &[u8]) -> Option<Value> {
    let lines = event.split(|byte| *byte == b'\n');
    let data = lines.filter_map(|line| line.strip_prefix(b"data:"));
    let data: Vec<&[u8]> = data.collect();
    serde_json::from_slice(&data.join(&b'\n')).ok()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn no_accept_and_json_alone_take_json_and_the_rest_what_they_name() {
        let of = |accept: Option<&'static str>| {
            let value = accept.map(|value| (header::ACCEPT, HeaderValue::from_static(value)));
            let headers: HeaderMap = value.into_iter().collect();
            (takes_a_stream(&headers), takes_json(&headers))
        };
        assert_eq!(of(None), (false, true));
        assert_eq!(of(Some("application/json")), (false, true));
        assert_eq!(of(Some("Application/JSON; q=0.9")), (false, true));
        assert_eq!(
            of(Some("application/json, text/event-stream")),
            (true, true)
        );
        assert_eq!(of(Some("text/event-stream")), (true, false));
        assert!(of(Some("*/*")).0);
        assert_eq!(of(Some("text/html")), (false, false));
    }

    #[tokio::test]
    async fn the_answer_is_found_after_comments_and_notifications() {
        let text = ":\n\nevent: message\ndata: {\"method\":\"notifications/progress\"}\n\n\
                    data: {\"id\":1,\"result\":{}}\n\n";
        for size in [1, 7, 200] {
            let pieces: Vec<Result<Bytes, std::io::Error>> = text
                .as_bytes()
                .chunks(size)
                .map(|piece| Ok(Bytes::copy_from_slice(piece)))
                .collect();
            let body = Body::from_stream(futures_util::stream::iter(pieces));
            let found = answer(body, &Value::from(1)).await;
            assert_eq!(found.expect("found")["result"], serde_json::json!({}));
        }
        assert_eq!(answer(Body::from(text), &Value::from("1")).await, None);
    }
}
