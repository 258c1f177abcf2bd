//! Requests for files are calls too: each gets an audit line with the hashes of the bytes received
//! and sent.
//!
//! The last bytes of an answer are sent after the line is written. A transfer that breaks off
//! before that is recorded as broken off.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt as _;
use parking_lot::Mutex;
use tokio_util::task::TaskTracker;

use super::error::{ErrorCodeExt, FileRejection};
use crate::api::ToolError;
use crate::audit::{AuditSubject, AuditWriteError, CallStart, Digest};
use crate::identity::{Identity, Principal};
use crate::sandbox::{LastContainer, Manager};

/// The outcome of a transfer that broke off.
const BROKEN_OFF: &str = "broken_off";

/// The layer around the routes of files, inside of authentication.
pub async fn layer(State(manager): State<Manager>, request: Request, next: Next) -> Response {
    let principal = request.extensions().get::<Principal>();
    let Some(identity) = principal.map(|principal| principal.identity.clone()) else {
        // The routes refuse it themselves.
        return next.run(request).await;
    };
    let (method, uri) = (request.method(), request.uri());
    let target = uri.path_and_query().map_or("", |target| target.as_str());
    let path = uri.path().strip_prefix("/v1").unwrap_or(uri.path());
    let (tool, arguments) = (tool(method, path), target.as_bytes().to_vec());
    recorded(&manager, &identity, tool, arguments, request, |request| {
        next.run(request)
    })
    .await
}

/// Answers a request about this user's files, and records that as a call of `tool`.
pub async fn recorded<F>(
    manager: &Manager,
    identity: &Identity,
    tool: &'static str,
    arguments: Vec<u8>,
    mut request: Request,
    answer: impl FnOnce(Request) -> F,
) -> Response
where
    F: Future<Output = Response>,
{
    let subject = || AuditSubject::from(identity);
    let begun = match manager.audit().begin(subject, tool, || arguments).await {
        Ok(Some(begun)) => begun,
        Ok(None) => return answer(request).await,
        Err(error) => return FileRejection::from(ToolError::not_recorded(&error)).into_response(),
    };
    let call = AuditedCall {
        sent: Arc::new(Mutex::new(begun.digest())),
        received: begun.digest(),
        begun,
        used: LastContainer::default(),
        outcome: BROKEN_OFF.to_owned(),
        tracker: manager.calls().clone(),
    };
    request.extensions_mut().insert(call.used.clone());
    let sent = call.sent.clone();
    let request = request.map(|body| hashed(body, sent));
    let mut guard = AuditOnDrop(Some(call));
    let response = answer(request).await;
    let Some(call) = guard.0.take() else {
        return response;
    };
    answered(response, call).await
}

/// The name of the request in the audit.
fn tool(method: &Method, path: &str) -> &'static str {
    match *method {
        Method::POST if path == "/files/move" => "http_move",
        Method::POST if path == "/files/folder" => "http_folder",
        Method::POST | Method::PUT => "http_upload",
        Method::DELETE => "http_delete",
        Method::HEAD => "http_stat",
        _ if path == "/files/list" => "http_list",
        _ => "http_download",
    }
}

fn hashed(body: Body, sent: Arc<Mutex<Digest>>) -> Body {
    Body::new(body.map_frame(move |frame: Frame<Bytes>| {
        if let Some(data) = frame.data_ref() {
            let mut sent = sent.lock();
            sent.add(data);
        }
        frame
    }))
}

/// A call that is under way.
struct AuditedCall {
    begun: CallStart,
    sent: Arc<Mutex<Digest>>,
    received: Digest,
    used: LastContainer,
    outcome: String,
    /// The server waits for the line when it ends.
    tracker: TaskTracker,
}

impl AuditedCall {
    async fn end(self) -> Result<(), AuditWriteError> {
        let sent = {
            let sent = self.sent.lock();
            sent.clone()
        };
        let container = self.used.container();
        let written = self
            .begun
            .end(sent, self.received, &self.outcome, container);
        written.await
    }

    /// Records a call whose client is gone.
    fn broken_off(mut self) {
        BROKEN_OFF.clone_into(&mut self.outcome);
        if tokio::runtime::Handle::try_current().is_ok() {
            let tracker = self.tracker.clone();
            tracker.spawn(async move {
                // The audit itself counts and logs a failed line.
                let _ = self.end().await;
            });
        }
    }
}

/// A call whose client may leave at any time.
struct AuditOnDrop(Option<AuditedCall>);

impl Drop for AuditOnDrop {
    fn drop(&mut self) {
        if let Some(call) = self.0.take() {
            call.broken_off();
        }
    }
}

async fn answered(response: Response, mut call: AuditedCall) -> Response {
    let (parts, body) = response.into_parts();
    call.outcome = match parts.extensions.get::<ErrorCodeExt>() {
        Some(ErrorCodeExt(code)) => (*code).to_owned(),
        None if parts.status.is_client_error() || parts.status.is_server_error() => {
            format!("http_{}", parts.status.as_u16())
        }
        None => "ok".to_owned(),
    };
    if body.size_hint().exact().is_some() {
        // A short answer of ours, such as a listing.
        let bytes = body
            .collect()
            .await
            .map(http_body_util::Collected::to_bytes);
        let bytes = bytes.unwrap_or_default();
        call.received.add(&bytes);
        return match call.end().await {
            Ok(()) => Response::from_parts(parts, Body::from(bytes)),
            Err(error) => FileRejection::from(ToolError::unrecorded(&error)).into_response(),
        };
    }
    let length = parts.headers.get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
    let body = AuditedBody {
        body,
        left: length,
        guard: AuditOnDrop(Some(call)),
        last: None,
        writing: None,
    };
    Response::from_parts(parts, Body::new(body))
}

type Writing = Pin<Box<dyn Future<Output = Result<(), AuditWriteError>> + Send>>;

/// The content of an answer.
struct AuditedBody {
    body: Body,
    /// Bytes until the end, if known: hyper does not poll after them.
    left: Option<u64>,
    guard: AuditOnDrop,
    /// The last bytes, held back until the line is written.
    last: Option<Frame<Bytes>>,
    writing: Option<Writing>,
}

impl AuditedBody {
    /// The next frame, and whether it is the last.
    fn passes(&mut self, data: &Bytes) -> bool {
        if let Some(call) = &mut self.guard.0 {
            call.received.add(data);
        }
        let Some(left) = &mut self.left else {
            return false;
        };
        *left = left.saturating_sub(data.len().try_into().unwrap_or(u64::MAX));
        *left == 0
    }

    fn write(&mut self) {
        if let Some(call) = self.guard.0.take() {
            self.writing = Some(Box::pin(call.end()));
        }
    }
}

impl http_body::Body for AuditedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        loop {
            if let Some(writing) = &mut self.writing {
                let written = ready!(writing.as_mut().poll(context));
                self.writing = None;
                let last = self.last.take();
                return Poll::Ready(match written {
                    Ok(()) => last.map(Ok),
                    Err(error) => Some(Err(axum::Error::new(error))),
                });
            }
            let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
            let Some(frame) = frame.transpose()? else {
                if self.guard.0.is_none() {
                    return Poll::Ready(None);
                }
                self.write();
                continue;
            };
            let is_last = frame.data_ref().is_some_and(|data| self.passes(data));
            if !is_last {
                return Poll::Ready(Some(Ok(frame)));
            }
            self.last = Some(frame);
            self.write();
        }
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
