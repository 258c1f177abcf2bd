//! A call that sends nothing for a second is answered with the head of a stream.
//!
//! A call of 2026-07-28 sends no byte, not even a head, before the tool's first
//! message, and proxies and clients time out during long commands. So:
//!
//! ```text
//! inner answers within 1 s ──► its answer, untouched
//! else ──► 200 text/event-stream, comments ──► inner answers ─┬─ a stream ──► forwarded
//!                                                             └─ else ──► one event
//! ```
//!
//! Invariant: the inner future, and then its body, lives as long as the answer's body:
//! a client that leaves drops it.

use std::pin::Pin;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, Stream, StreamExt as _};
use http_body_util::BodyExt as _;
use serde_json::Value;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep};

use super::envelope::{Envelope, error_message};
use super::event_stream::{EVENT_STREAM, takes_a_stream};
use super::limits::{COMMIT_TIMEOUT, KEEP_ALIVE_INTERVAL};

/// A comment of server-sent events (WHATWG HTML, section 9.2.6): clients skip it.
const COMMENT: Bytes = Bytes::from_static(b":\n\n");

/// JSON-RPC 2.0, section 5.1.
const INTERNAL_ERROR: i32 = -32603;

type AnswerFuture = Pin<Box<dyn Future<Output = Response> + Send>>;

/// The layer, inside authentication, so that a refusal still has a status.
pub async fn layer(request: Request, next: Next) -> Response {
    if request.method() != Method::POST || !takes_a_stream(request.headers()) {
        return next.run(request).await;
    }
    let envelope = request.extensions().get::<Envelope>().cloned();
    let mut answer: AnswerFuture = Box::pin(next.run(request));
    tokio::select! {
        answered = &mut answer => answered,
        () = sleep(COMMIT_TIMEOUT) => committed(answer, envelope.unwrap_or_default().id),
    }
}

fn committed(answer: AnswerFuture, id: Value) -> Response {
    let head = [
        (header::CONTENT_TYPE, EVENT_STREAM),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        // nginx otherwise collects the stream before it passes it on.
        (
            header::HeaderName::from_static("x-accel-buffering"),
            HeaderValue::from_static("no"),
        ),
    ];
    let stream = Body::from_stream(comments_until(answer).flat_map(move |part| {
        let id = id.clone();
        match part {
            ResponsePart::Comment => stream::once(async { Ok(COMMENT) }).boxed(),
            ResponsePart::Answer(answered) => forwarded(answered, id),
        }
    }));
    (StatusCode::OK, head, stream).into_response()
}

enum ResponsePart {
    Comment,
    Answer(Response),
}

/// A comment at once, so that the head is sent, and then one after each interval until the answer.
fn comments_until(answer: AnswerFuture) -> impl Stream<Item = ResponsePart> + Send {
    let mut ticks = interval_at(Instant::now(), KEEP_ALIVE_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    stream::unfold(Some((answer, ticks)), |state| async move {
        let (mut answer, mut ticks): (AnswerFuture, Interval) = state?;
        tokio::select! {
            answered = &mut answer => Some((ResponsePart::Answer(answered), None)),
            _ = ticks.tick() => Some((ResponsePart::Comment, Some((answer, ticks)))),
        }
    })
}

type ChunkStream = Pin<Box<dyn Stream<Item = Result<Bytes, axum::Error>> + Send>>;

fn forwarded(answered: Response, id: Value) -> ChunkStream {
    let content_type = answered.headers().get(header::CONTENT_TYPE);
    if answered.status() == StatusCode::OK && content_type == Some(&EVENT_STREAM) {
        return Box::pin(answered.into_body().into_data_stream());
    }
    stream::once(async move { Ok(event(answered, &id).await) }).boxed()
}

/// An answer that is not a stream, as the only event of one, because the head has been sent.
async fn event(answered: Response, id: &Value) -> Bytes {
    let status = answered.status();
    let body = answered.into_body().collect().await;
    let text = body.map(|body| body.to_bytes()).unwrap_or_default();
    let message = match serde_json::from_slice::<Value>(&text) {
        Ok(message) if message.get("jsonrpc").is_some() => message,
        _ => {
            let reason = status.canonical_reason().unwrap_or("no reason");
            let said = format!("the server could not answer: {} {reason}", status.as_u16());
            error_message(id, INTERNAL_ERROR, &said)
        }
    };
    format!("data: {message}\n\n").into()
}
