//! Several messages in one POST, as protocol 2025-03-26 has them: all are handled at once, each as
//! if it had come alone, and their answers come together.
//!
//! ```text
//! [request, notification, request] ─┬─► request ──────┬─ events of all, as they come
//!                                   ├─► notification  │   or one array, if the client
//!                                   └─► request ──────┴─ accepts no stream
//! ```

use axum::Json;
use axum::body::Body;
use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{HeaderName, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::future::join_all;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use http_body_util::BodyExt as _;
use serde_json::Value;

use super::envelope::{Envelope, answer};
use super::event_stream::{EVENT_STREAM, Events, takes_a_stream};
use crate::tools::message::{INVALID_REQUEST, InvalidMessage, ParsedMessage};

const VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");

/// The one version that has batches. It came before the header that names the version, and a
/// request without the header counts as of this version (transports, 2025-06-18).
const HAS_BATCHES: &str = "2025-03-26";

/// Handles each and answers all.
pub async fn run(messages: Vec<ParsedMessage>, parts: Parts, next: Next) -> Response {
    let version = parts.headers.get(VERSION);
    if version.is_some_and(|version| version != HAS_BATCHES) {
        return answer(&no_batches());
    }
    let takes_a_stream = takes_a_stream(&parts.headers);
    let each = messages
        .into_iter()
        .map(|message| single(message, &parts, next.clone()));
    if takes_a_stream {
        let each: Vec<_> = each
            .map(|response| stream::once(response).flat_map(events).boxed())
            .collect();
        let all = stream::select_all(each).map(Ok::<_, axum::Error>);
        return together(all.boxed()).await;
    }
    let answers: Vec<Value> = join_all(each.map(|response| async { json(response.await).await }))
        .await
        .into_iter()
        .flatten()
        .collect();
    if answers.is_empty() {
        return StatusCode::ACCEPTED.into_response();
    }
    Json(answers).into_response()
}

/// The error for a batch in another version of the protocol.
pub fn no_batches() -> InvalidMessage {
    InvalidMessage {
        id: Value::Null,
        code: INVALID_REQUEST,
        message: format!("only protocol {HAS_BATCHES} has batches: send each message by itself"),
    }
}

/// One message as a separate POST.
fn single(
    message: ParsedMessage,
    parts: &Parts,
    next: Next,
) -> impl Future<Output = Response> + Send + use<> {
    let mut request = Request::new(Body::empty());
    *request.method_mut() = Method::POST;
    *request.uri_mut() = parts.uri.clone();
    *request.headers_mut() = parts.headers.clone();
    *request.extensions_mut() = parts.extensions.clone();
    request.headers_mut().remove(header::CONTENT_LENGTH);
    async move {
        match message {
            ParsedMessage::Message(message) => {
                request.extensions_mut().insert(Envelope::of(&message));
                *request.body_mut() = serde_json::to_vec(&message).unwrap_or_default().into();
                next.run(request).await
            }
            ParsedMessage::Refused(refusal) => answer(&refusal),
            ParsedMessage::Ignored => StatusCode::ACCEPTED.into_response(),
        }
    }
}

/// A whole answer; `None` for a notification.
async fn json(response: Response) -> Option<Value> {
    let body = response.into_body().collect().await.ok()?.to_bytes();
    serde_json::from_slice(&body).ok()
}

/// The events of one answer; those of several answers mix.
fn events(response: Response) -> BoxStream<'static, Bytes> {
    if response.headers().get(header::CONTENT_TYPE) == Some(&EVENT_STREAM) {
        let data = response.into_body().into_data_stream();
        let mut events = Events::default();
        let whole = data.map(move |piece| events.push(&piece.unwrap_or_default()));
        return whole.flat_map(stream::iter).boxed();
    }
    let event = async {
        let message = json(response).await?;
        Some(Bytes::from(format!("data: {message}\n\n")))
    };
    stream::once(event).filter_map(async |event| event).boxed()
}

/// A stream, unless it is empty: then no message was a request.
async fn together(mut events: BoxStream<'static, Result<Bytes, axum::Error>>) -> Response {
    let Some(first) = events.next().await else {
        return StatusCode::ACCEPTED.into_response();
    };
    let events = stream::once(async { first }).chain(events);
    let head = [
        (header::CONTENT_TYPE, EVENT_STREAM),
        (
            header::CACHE_CONTROL,
            header::HeaderValue::from_static("no-cache"),
        ),
    ];
    (head, Body::from_stream(events)).into_response()
}
