//! `notifications/cancelled`, for the versions of the protocol where it is how a client of
//! Streamable HTTP ends a request: up to 2025-11-25. Later it closes the request's stream.
//!
//! The notification comes in a separate POST, perhaps to another server of the instance. There are
//! no sessions, so `initialize` is answered with a random `Mcp-Session-Id` that is not stored: it
//! distinguishes the requests of one conversation from those of the user's others, which all count
//! their ids from 0.
//!
//! ```text
//! POST request ──► tag = hash(workspace, session, id) ──► here, and with the command to PID 1
//! POST cancelled ─► the same tag ─┬─ under way here: it ends, as if its client had left
//!                                 └─ else ─► PID 1 of each running container of the user
//! ```
//!
//! Invariants:
//! - User and workspace are part of the tag: no user can end another's request, and no conversation
//!   that of another workspace.
//! - Without a session id a notification counts only while exactly one request without one
//!   has that id.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::StreamExt as _;
use parking_lot::Mutex;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::envelope::{Envelope, MessageKind, MessagePermit, error_message};
use super::event_stream::{EVENT_STREAM, takes_a_stream};
use crate::identity::{Principal, User, WorkspaceId};
use crate::sandbox::{CancelScope, Manager};
use crate::tools::RequestAddress;

/// Distinguishes conversations of one user (transports, 2025-03-26 to 2025-11-25).
const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");

const VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");

/// The first version without this notification over HTTP.
const CLOSES_ITS_STREAM: &str = "2026";

/// JSON-RPC 2.0 keeps -32000 to -32099 for the server's own errors.
const CANCELLED: i32 = -32000;

/// The requests under way that may be cancelled, by tag. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Requests {
    /// Reaches the commands of other servers; `None` without sandboxes.
    elsewhere: Option<Manager>,
    under_way: Arc<Mutex<HashMap<Bytes, Vec<InFlightRequest>>>>,
}

/// One request under way.
#[derive(Debug, Clone)]
struct InFlightRequest {
    cancelled: CancellationToken,
    /// PID 1 may know it by its tag.
    runs_a_command: bool,
}

/// A request is under way until this is dropped.
struct RequestGuard {
    requests: Requests,
    tag: Bytes,
    cancelled: CancellationToken,
}

impl Requests {
    pub fn new(elsewhere: Option<Manager>) -> Self {
        Self {
            elsewhere,
            under_way: Arc::default(),
        }
    }

    fn list(&self, tag: &Bytes, runs_a_command: bool) -> RequestGuard {
        let cancelled = CancellationToken::new();
        let request = InFlightRequest {
            cancelled: cancelled.clone(),
            runs_a_command,
        };
        let mut under_way = self.under_way.lock();
        under_way.entry(tag.clone()).or_default().push(request);
        RequestGuard {
            requests: self.clone(),
            tag: tag.clone(),
            cancelled,
        }
    }

    fn here(&self, tag: &Bytes) -> Vec<InFlightRequest> {
        self.under_way.lock().get(tag).cloned().unwrap_or_default()
    }

    /// Ends the request with the tag, here or on another server.
    async fn cancel(&self, user: &User, tag: Bytes, aim: CancelScope) {
        let here = self.here(&tag);
        match (aim, &here[..]) {
            (CancelScope::Sure, [_, ..]) => here.iter().for_each(|one| one.cancelled.cancel()),
            (CancelScope::IfAlone, [one]) if !one.runs_a_command => one.cancelled.cancel(),
            (CancelScope::IfAlone, [_, more @ ..]) if !more.is_empty() => {
                ignored(user, u32::try_from(here.len()).unwrap_or(u32::MAX));
            }
            // Another server may have it, or have another one.
            (CancelScope::Sure, []) | (CancelScope::IfAlone, _) => {
                if self.cancel_elsewhere(user, tag, aim).await == 0 {
                    here.iter().for_each(|one| one.cancelled.cancel());
                }
            }
        }
    }

    /// How many requests had the tag.
    async fn cancel_elsewhere(&self, user: &User, tag: Bytes, aim: CancelScope) -> u32 {
        let Some(manager) = &self.elsewhere else {
            return 0;
        };
        match manager.cancel(user, tag, aim).await {
            Ok(commands) => {
                if aim == CancelScope::IfAlone && commands > 1 {
                    ignored(user, commands);
                }
                commands
            }
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                warn!(%user, error, "could not look for a request that was cancelled");
                0
            }
        }
    }
}

fn ignored(user: &User, requests: u32) {
    let why = "a cancellation without Mcp-Session-Id fits several requests: ignored";
    info!(%user, requests, "{why}");
}

impl Drop for RequestGuard {
    fn drop(&mut self) {
        let mut under_way = self.requests.under_way.lock();
        if let Some(requests) = under_way.get_mut(&self.tag) {
            let this = &self.cancelled;
            let at = requests.iter().position(|one| one.cancelled == *this);
            at.map(|at| requests.swap_remove(at));
            if requests.is_empty() {
                under_way.remove(&self.tag);
            }
        }
    }
}

/// The layer. Inside `message::whole`, outside of the layers that begin an answer.
pub async fn layer(State(requests): State<Requests>, mut request: Request, next: Next) -> Response {
    let extensions = request.extensions();
    let (Some(envelope), Some(principal)) = (
        extensions.get::<Envelope>().cloned(),
        extensions.get::<Principal>().cloned(),
    ) else {
        return next.run(request).await;
    };
    let (workspace, headers) = (principal.identity.workspace_id(), request.headers());
    if is_modern(headers) {
        return next.run(request).await;
    }
    let session = headers.get(SESSION).map(|id| id.as_bytes().to_owned());
    match envelope.kind {
        MessageKind::Initialize => with_session(next.run(request).await),
        MessageKind::Cancelled(id) => {
            let tag = tag(&workspace, session.as_deref(), &id);
            let aim = session.map_or(CancelScope::IfAlone, |_| CancelScope::Sure);
            let permit = extensions.get::<MessagePermit>().cloned();
            let response = next.run(request).await;
            if response.status() == StatusCode::ACCEPTED {
                tokio::spawn(async move {
                    // Until it has taken effect, it is part of the user's load.
                    let _permit = permit;
                    requests.cancel(&workspace.user, tag, aim).await;
                });
            }
            response
        }
        MessageKind::Call { runs_a_command } => {
            let tag = tag(&workspace, session.as_deref(), &envelope.id);
            let listed = requests.list(&tag, runs_a_command);
            let addressed = RequestAddress {
                tag,
                cancelled: listed.cancelled.clone(),
            };
            request.extensions_mut().insert(addressed);
            until_cancelled(listed, &envelope.id, request, next).await
        }
        MessageKind::Other => next.run(request).await,
    }
}

fn is_modern(headers: &HeaderMap) -> bool {
    let version = headers.get(VERSION).and_then(|value| value.to_str().ok());
    version.is_some_and(|version| version >= CLOSES_ITS_STREAM)
}

/// SHA-256 over workspace, session and id of a request: each part after its length, and the id as
/// JSON, where 1 and "1" differ.
fn tag(workspace: &WorkspaceId, session: Option<&[u8]>, id: &Value) -> Bytes {
    let mut hash = Sha256::new();
    let id = id.to_string();
    let given = [u8::from(session.is_some())];
    let parts = [
        workspace.user.issuer.as_str().as_bytes(),
        workspace.user.subject.as_str().as_bytes(),
        &given,
        session.unwrap_or_default(),
        id.as_bytes(),
    ];
    let name = workspace.name_str().map(str::as_bytes);
    for part in parts.into_iter().chain(name) {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    Bytes::copy_from_slice(&hash.finalize())
}

/// Adds a session id to the answer that begins a conversation.
fn with_session(mut response: Response) -> Response {
    if response.status().is_success() {
        let id = uuid::Uuid::new_v4().simple().to_string();
        if let Ok(id) = HeaderValue::try_from(id) {
            response.headers_mut().insert(SESSION, id);
        }
    }
    response
}

/// The answer, until the request is cancelled. Then the inner future is dropped, as when a client
/// leaves: the call ends with everything it started.
async fn until_cancelled(
    listed: RequestGuard,
    id: &Value,
    request: Request,
    next: Next,
) -> Response {
    let takes_a_stream = takes_a_stream(request.headers());
    let cancelled = listed.cancelled.clone();
    let response = tokio::select! {
        response = next.run(request) => response,
        () = cancelled.cancelled() => return unanswered(takes_a_stream, id),
    };
    let streams = response.headers().get(header::CONTENT_TYPE) == Some(&EVENT_STREAM);
    if !streams {
        return response;
    }
    let (parts, body) = response.into_parts();
    let body = body.into_data_stream();
    let body = body.take_until(cancelled.cancelled_owned());
    let body = body.map(move |data| {
        let _until_the_end = &listed;
        data
    });
    Response::from_parts(parts, Body::from_stream(body))
}

/// A request that was cancelled has no answer (cancellation, 2025-11-25), but HTTP has one.
fn unanswered(takes_a_stream: bool, id: &Value) -> Response {
    if takes_a_stream {
        return ([(header::CONTENT_TYPE, EVENT_STREAM)], Body::empty()).into_response();
    }
    let message = "the request was cancelled, as its client asked";
    Json(error_message(id, CANCELLED, message)).into_response()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::identity::{Issuer, Subject};

    fn user(issuer: &str, subject: &str) -> WorkspaceId {
        WorkspaceId::from(User {
            issuer: issuer.parse::<Issuer>().expect("an issuer"),
            subject: subject.parse::<Subject>().expect("a subject"),
        })
    }

    #[test]
    fn whatever_differs_makes_another_tag() {
        let ada = user("local", "ada");
        let chat = WorkspaceId {
            name: Some("chat".parse().expect("a name")),
            ..ada.clone()
        };
        let all = [
            tag(&chat, Some(b"s"), &json!(1)),
            tag(&ada, Some(b"s"), &json!(1)),
            tag(&ada, Some(b"s"), &json!("1")),
            tag(&ada, Some(b"s"), &json!(11)),
            tag(&ada, Some(b""), &json!(1)),
            tag(&ada, None, &json!(1)),
            tag(&ada, Some(b"t"), &json!(1)),
            tag(&user("locala", "da"), Some(b"s"), &json!(1)),
            tag(&user("https://a.test", "ada"), Some(b"s"), &json!(1)),
        ];
        let different: std::collections::HashSet<_> = all.iter().collect();
        assert_eq!(different.len(), all.len());
        assert_eq!(tag(&ada, Some(b"s"), &json!(1)), all[1]);
        assert_eq!(all[0].len(), casemate_protocol::TAG_BYTES);
    }

    #[test]
    fn the_newest_version_closes_its_stream_instead() {
        let of = |version: &'static str| {
            let headers = [(VERSION, HeaderValue::from_static(version))];
            is_modern(&headers.into_iter().collect())
        };
        assert!(of("2026-07-28") && !of("2025-11-25") && !of("2024-11-05"));
        assert!(!is_modern(&HeaderMap::new()));
    }
}
