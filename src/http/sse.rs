//! MCP over the transport of 2024-11-05: a stream from `GET /sse`, messages to
//! `POST /messages?sessionId=…`.
//!
//! ```text
//! GET /sse ──► event `endpoint`, then `message` events ◄── outbox ◄─┐
//! POST /messages?sessionId=… ──► 202           └──► inbox ──► a server of the tools
//! ```
//!
//! Invariants:
//! - A session belongs to one user: for all others it does not exist.
//! - A session gives no rights: each message has the caller of its POST.
//! - A session ends with its stream, and its commands end with it.

mod session;

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderName, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router, middleware};
use futures_util::stream::{self, Stream, StreamExt as _};
use http_body_util::BodyExt as _;
use parking_lot::Mutex;
use rmcp::ServiceExt as _;
use rmcp::model::{ClientJsonRpcMessage, GetExtensions as _, JsonRpcMessage, ServerJsonRpcMessage};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::{CancellationToken, DropGuard, PollSender};
use tracing::debug;

use super::envelope::Envelope;
use super::limits::{KEEP_ALIVE_INTERVAL, SESSION_OUTBOX, SESSION_QUEUE};
use super::message;
use super::quotas::{QuotaPermit, QuotaUsage, UserQuotas};
use crate::identity::{Principal, User};
use crate::tools::Tools;
use session::{EnqueueError, PendingRequests, Session};

/// All sessions, and the parts that a new one needs. Cheap to clone.
#[derive(Debug, Clone)]
struct Sessions {
    tools: Tools,
    quotas: UserQuotas,
    stop: CancellationToken,
    open: Arc<Mutex<HashMap<String, Session>>>,
}

/// The routes. After `stop`, a session ends when its running calls are answered.
pub fn routes(tools: Tools, quotas: &UserQuotas, stop: &CancellationToken) -> Router {
    let sessions = Sessions {
        tools,
        quotas: quotas.clone(),
        stop: stop.clone(),
        open: Arc::default(),
    };
    let whole = middleware::from_fn_with_state(quotas.clone(), message::whole);
    Router::new()
        .route("/sse", get(open))
        .route("/messages", post(take).layer(whole))
        .with_state(sessions)
}

/// `GET /sse`.
async fn open(
    State(sessions): State<Sessions>,
    Extension(principal): Extension<Principal>,
) -> Response {
    let Some(permit) = sessions
        .quotas
        .take(&principal.identity.user, QuotaUsage::session())
    else {
        let why = "too many sessions are open; close some\n";
        return (StatusCode::TOO_MANY_REQUESTS, why).into_response();
    };
    let (id, conversation) = sessions.begin(principal.identity.user, permit);
    let endpoint = Event::default()
        .event("endpoint")
        .data(format!("/messages?sessionId={id}"));
    let events = stream::once(async { endpoint }).chain(conversation.events());
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE_INTERVAL);
    let stream = Sse::new(events.map(Ok::<_, Infallible>)).keep_alive(keep_alive);
    // nginx otherwise collects the stream before it passes it on.
    let unbuffered = [(HeaderName::from_static("x-accel-buffering"), "no")];
    (unbuffered, stream).into_response()
}

/// `POST /messages`: 202, and the answer comes on the stream.
async fn take(
    State(sessions): State<Sessions>,
    Extension(principal): Extension<Principal>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let Some(id) = session_id(parts.uri.query().unwrap_or_default()) else {
        let why = "a message names its session, as the event `endpoint` of the stream gave it\n";
        return (StatusCode::BAD_REQUEST, why).into_response();
    };
    let Some(session) = sessions.of(id, &principal.identity.user) else {
        return unknown();
    };
    if parts.extensions.get::<Envelope>().is_none() {
        let why = "Content-Type must be application/json\n";
        return (StatusCode::UNSUPPORTED_MEDIA_TYPE, why).into_response();
    }
    let text = body.collect().await.map(|body| body.to_bytes());
    // It was parsed before, so it is a message.
    let parsed = serde_json::from_slice::<ClientJsonRpcMessage>(&text.unwrap_or_default());
    let Ok(mut message) = parsed else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    match &mut message {
        JsonRpcMessage::Request(request) => {
            request.request.extensions_mut().insert(parts);
        }
        JsonRpcMessage::Notification(notification) => {
            notification.notification.extensions_mut().insert(parts);
        }
        JsonRpcMessage::Response(_) | JsonRpcMessage::Error(_) => {}
    }
    match session.put(message) {
        Ok(()) => (StatusCode::ACCEPTED, "accepted\n").into_response(),
        Err(EnqueueError::Full) => {
            let why = "too many messages of this session wait; read its stream\n";
            (StatusCode::TOO_MANY_REQUESTS, why).into_response()
        }
        Err(EnqueueError::Ended) => unknown(),
    }
}

/// As [`Sessions::begin`] wrote it, without escapes.
fn session_id(query: &str) -> Option<&str> {
    let mut pairs = query.split('&');
    pairs.find_map(|pair| pair.strip_prefix("sessionId="))
}

/// The same for a session that never was, one that ended, and another user's.
fn unknown() -> Response {
    (StatusCode::NOT_FOUND, "there is no such session\n").into_response()
}

impl Sessions {
    fn of(&self, id: &str, user: &User) -> Option<Session> {
        let open = self.open.lock();
        open.get(id).filter(|session| session.is_of(user)).cloned()
    }

    fn begin(&self, owner: User, permit: QuotaPermit) -> (String, Conversation) {
        // 122 random bits: an id cannot be guessed, and a guess would not help.
        let id = uuid::Uuid::new_v4().simple().to_string();
        let (inbox, messages) = mpsc::channel(SESSION_QUEUE);
        let (answers, outbox) = mpsc::channel(SESSION_OUTBOX);
        let ended = CancellationToken::new();
        let transport = (PollSender::new(answers), ReceiverStream::new(messages));
        tokio::spawn(serve(self.tools.clone(), transport, ended.clone()));
        let unanswered = PendingRequests::default();
        let session = Session::new(owner, inbox, unanswered.clone());
        self.open.lock().insert(id.clone(), session);
        let conversation = Conversation {
            outbox,
            unanswered,
            stop: self.stop.clone(),
            _listed: SessionGuard {
                sessions: self.clone(),
                id: id.clone(),
            },
            _permit: permit,
            _ended: ended.drop_guard(),
        };
        (id, conversation)
    }
}

type Transport = (
    PollSender<ServerJsonRpcMessage>,
    ReceiverStream<ClientJsonRpcMessage>,
);

async fn serve(tools: Tools, transport: Transport, ended: CancellationToken) {
    match tools.serve_with_ct(transport, ended).await {
        Ok(service) => drop(service.waiting().await),
        Err(error) => debug!(error = &error as &dyn std::error::Error, "no conversation"),
    }
}

/// The stream's side of a session. Dropped with it, when the client leaves.
struct Conversation {
    outbox: mpsc::Receiver<ServerJsonRpcMessage>,
    unanswered: PendingRequests,
    stop: CancellationToken,
    _listed: SessionGuard,
    _permit: QuotaPermit,
    _ended: DropGuard,
}

/// A session can be found, until this is dropped.
struct SessionGuard {
    sessions: Sessions,
    id: String,
}

impl Drop for SessionGuard {
    fn drop(&mut self) {
        self.sessions.open.lock().remove(&self.id);
    }
}

impl Conversation {
    fn events(self) -> impl Stream<Item = Event> + Send {
        stream::unfold(self, |mut conversation| async {
            let message = conversation.next().await?;
            let text = serde_json::to_string(&message).ok()?;
            Some((Event::default().event("message").data(text), conversation))
        })
    }

    /// `None` when the server of the tools has ended, or when it should stop and all requests are
    /// answered.
    async fn next(&mut self) -> Option<ServerJsonRpcMessage> {
        let mut stopping = false;
        let message = loop {
            tokio::select! {
                biased;
                message = self.outbox.recv() => break message?,
                () = self.stop.cancelled(), if !stopping => {
                    if self.unanswered.are_none() {
                        return None;
                    }
                    stopping = true;
                }
            }
        };
        self.unanswered.note(&message);
        Some(message)
    }
}
