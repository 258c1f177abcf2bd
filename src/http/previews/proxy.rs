//! A request to a program that listens in a container.
//!
//! ```text
//! share's file ─► connection ─► head of the request ─► head of the answer ─► bytes, both ways
//!       └──────────── looked at again, every ten seconds ────────────────────────┘
//! ```
//!
//! Each request has its own connection: the program's bytes on one reach no other request. The
//! slower side sets the pace, in both directions, and no body is held.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderValue, Method, StatusCode, Uri, Version, header};
use axum::response::Response;
use casemate_protocol::failure::Code;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::upgrade::{self, OnUpgrade};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncWriteExt as _, copy, split};
use tokio::time::{sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::connection::{CountedStream, PreviewConnection, ProxiedPort};
use super::headers::{self, Addresses};
use super::hosts::PreviewHosts;
use super::refusal::PreviewRefusal;
use crate::channel::PortStream;
use crate::http::files;
use crate::sandbox::{ContainerPorts, Manager, ObservedEnd, SandboxError};
use crate::shares::{self, ShareTarget, Visibility};

/// How long a program may take to begin its answer. Some compute for minutes before they do.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(300);

/// Between two looks at the share while a connection is open: a user who ends a share sees that it
/// has ended.
const SHARE_CHECK_INTERVAL: Duration = Duration::from_secs(10);

/// How long one side of a WebSocket may go on after the other has ended.
const LINGER_TIMEOUT: Duration = Duration::from_secs(5);

/// Headers of an answer that are read: as many as of a request.
const ANSWER_HEADERS_LIMIT: usize = 100;

/// A connection that a task drives until this is dropped.
struct DrivenConnection {
    _sender: SendRequest<Body>,
    _until_dropped: DropGuard,
}

/// Passes the request on, and the answer back.
pub async fn answer(
    hosts: &PreviewHosts,
    of: ProxiedPort,
    request: Request,
) -> Result<Response, PreviewRefusal> {
    let manager = hosts.0.manager.clone();
    let (container, port) = (of.container.clone(), of.addresses.port);
    let answered = passed_on(hosts, of, request).await;
    let answered = answered.map_err(|refused| match refused {
        PreviewRefusal::Ended(None) => {
            PreviewRefusal::Ended(Some(manager.port_end(&container, port)))
        }
        refused => refused,
    });
    manager.meter().preview_requested(match &answered {
        Ok(_) => "answered",
        Err(refused) => refused.outcome(),
    });
    answered
}

async fn passed_on(
    hosts: &PreviewHosts,
    of: ProxiedPort,
    mut request: Request,
) -> Result<Response, PreviewRefusal> {
    let manager = &hosts.0.manager;
    if [Method::CONNECT, Method::TRACE].contains(request.method()) {
        return Err(PreviewRefusal::Gone);
    }
    let permit = hosts.0.loads.take(&of.workspace.user);
    let permit = permit.ok_or(PreviewRefusal::Busy)?;
    let ports = manager.ports(&of.container).await?;
    if !is_shared(&ports, &of).await? {
        return Err(PreviewRefusal::Gone);
    }
    // A server that cannot write its audit passes nothing on.
    let admitted = manager.audit().admit().await;
    admitted.map_err(|error| PreviewRefusal::later(&error))?;
    let connection = PreviewConnection::new(manager, &of, permit);
    let wants_websocket = headers::is_websocket(request.headers());
    let browser = request.extensions_mut().remove::<OnUpgrade>();
    let (request, too_long) = to_program(request, &of.addresses);
    let sent = sent(manager, &of, &ports, &connection, request).await;
    let (mut answer, driven) =
        sent.inspect_err(|refused| connection.ends_as(refused.outcome().to_owned()))?;
    connection.ends_as(format!("http_{}", answer.status().as_u16()));
    let is_switch = answer.status() == StatusCode::SWITCHING_PROTOCOLS;
    match (is_switch, browser) {
        (true, Some(browser)) if wants_websocket => {
            let program = upgrade::on(&mut answer);
            let joined = join(browser, program);
            let ends = ended(ports, of.clone());
            manager.spawn(async move {
                // The driver first hands over the stream.
                let _held = (connection, driven);
                tokio::select! {
                    () = joined => {}
                    () = ends => {}
                }
            });
            *answer.body_mut() = Body::empty();
        }
        // The browser did not ask for another protocol.
        (true, _) => return Err(PreviewRefusal::Broken),
        (false, _) => answer = files::held(answer, (connection, driven)),
    }
    *answer.version_mut() = Version::HTTP_11;
    headers::to_browser(answer.headers_mut(), &of.addresses, is_switch);
    headers::delete_cookies(answer.headers_mut(), &too_long, &of.addresses);
    Ok(answer)
}

/// Sends the request over a new connection: the head of the answer, and what keeps the connection.
async fn sent(
    manager: &Manager,
    of: &ProxiedPort,
    ports: &ContainerPorts,
    connection: &Arc<PreviewConnection>,
    request: Request,
) -> Result<(Response, DrivenConnection), PreviewRefusal> {
    let stream = connected(ports, of.addresses.port).await?;
    let stream = CountedStream::new(stream, connection.clone(), ports.clone());
    let handshake = http1::Builder::new()
        .max_headers(ANSWER_HEADERS_LIMIT)
        .handshake::<_, Body>(TokioIo::new(stream));
    let (mut sender, driver) = handshake.await.map_err(|_| PreviewRefusal::Broken)?;
    let (over, ends) = (CancellationToken::new(), ended(ports.clone(), of.clone()));
    let until_dropped = over.clone().drop_guard();
    manager.spawn(async move {
        tokio::select! {
            driven = driver.with_upgrades() => {
                if let Err(error) = driven {
                    let error = &error as &dyn std::error::Error;
                    tracing::debug!(error, "a connection of a preview broke");
                }
            }
            () = over.cancelled() => {}
            () = ends => {}
        }
    });
    let answer = answer_in_time(sender.send_request(request), connection).await?;
    let driven = DrivenConnection {
        _sender: sender,
        _until_dropped: until_dropped,
    };
    Ok((answer.map(Body::new), driven))
}

/// The program's answer, within [`ANSWER_TIMEOUT`] of the last byte that it was sent.
async fn answer_in_time<T>(
    answering: impl Future<Output = hyper::Result<T>>,
    connection: &PreviewConnection,
) -> Result<T, PreviewRefusal> {
    tokio::pin!(answering);
    loop {
        let before = connection.sent();
        match timeout(ANSWER_TIMEOUT, &mut answering).await {
            Ok(answer) => return answer.map_err(|_| PreviewRefusal::Broken),
            Err(_) if connection.sent() > before => {}
            Err(_) => return Err(PreviewRefusal::Silent),
        }
    }
}

/// Whether the share is still there, for this port and this viewer.
async fn is_shared(ports: &ContainerPorts, of: &ProxiedPort) -> Result<bool, SandboxError> {
    let record = shares::find_in(ports, &of.share.share).await?;
    Ok(record.is_some_and(|record| {
        let is_for_viewer = !of.must_be_open || record.visibility == Visibility::Link;
        let is_this_port = record.target == ShareTarget::Port(of.addresses.port);
        !record.is_expired() && is_this_port && is_for_viewer
    }))
}

/// Resolves when the share has ended, by its time or by its user. Errors on the way are ignored:
/// without its container the connection ends by itself.
async fn ended(ports: ContainerPorts, of: ProxiedPort) {
    let left = of.share.expires.saturating_sub(shares::now());
    let gone = async {
        loop {
            sleep(SHARE_CHECK_INTERVAL).await;
            if let Ok(false) = is_shared(&ports, &of).await {
                return;
            }
        }
    };
    tokio::select! {
        () = gone => {}
        () = sleep(Duration::from_secs(left)) => {}
    }
}

async fn connected(ports: &ContainerPorts, port: u16) -> Result<PortStream, PreviewRefusal> {
    ports.connect(port).await.map_err(|error| match &error {
        SandboxError::Failed(failure) if failure.code() == Code::NotListening => {
            match ports.refused(port) {
                Some(end) => PreviewRefusal::Ended(Some(ObservedEnd::Program(end))),
                None => PreviewRefusal::NotListening(port),
            }
        }
        _ => error.into(),
    })
}

/// The request as the program gets it, and the names of its cookies if they are too long for that.
fn to_program(request: Request, addresses: &Addresses) -> (Request, Vec<String>) {
    let (mut parts, body) = request.into_parts();
    let target = parts.uri.path_and_query().cloned();
    let target = target.unwrap_or(PathAndQuery::from_static("/"));
    parts.uri = Uri::from(target);
    parts.version = Version::HTTP_11;
    parts.extensions.clear();
    let is_websocket = headers::is_websocket(&parts.headers);
    let too_long = headers::to_program(&mut parts.headers, addresses);
    if !is_websocket {
        // One request for each connection: the program ends it after its answer.
        let close = HeaderValue::from_static("close");
        parts.headers.insert(header::CONNECTION, close);
    }
    (Request::from_parts(parts, body), too_long)
}

/// The bytes of a WebSocket. When one side ends, the other may still answer for a while.
async fn join(browser: OnUpgrade, program: OnUpgrade) {
    let (Ok(browser), Ok(program)) = (browser.await, program.await) else {
        return;
    };
    let (mut from_browser, mut to_browser) = split(TokioIo::new(browser));
    let (mut from_program, mut to_program) = split(TokioIo::new(program));
    let up = async {
        // How it ended, both sides see.
        let _ = copy(&mut from_browser, &mut to_program).await;
        let _ = to_program.shutdown().await;
    };
    let down = async {
        let _ = copy(&mut from_program, &mut to_browser).await;
        let _ = to_browser.shutdown().await;
    };
    tokio::pin!(up, down);
    tokio::select! {
        () = &mut up => {
            let _ = timeout(LINGER_TIMEOUT, down).await;
        }
        () = &mut down => {
            let _ = timeout(LINGER_TIMEOUT, up).await;
        }
    }
}
