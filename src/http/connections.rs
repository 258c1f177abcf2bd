//! Connections: accepting them, their limits, their end.
//!
//! ```text
//!           ┌── request ──► busy ── answer sent ──┐
//! accepted ─► waiting ◄───────────────────────────┘
//!           └── too long, or the longest when there is no room ──► closed
//! ```
//!
//! Invariants:
//! - A client that only holds connections open keeps no other client out: the connection that
//!   waits longest for a request is closed for a new one.
//! - Every answer has the headers of [`guard::HEADERS`], which are added here.
//! - When a client is gone, with or without a FIN, the future and the body of its request are
//!   dropped, which ends its commands.

mod state;

#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::io;
use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustix::net::sockopt;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use super::guard;
use super::limits::{
    ACCEPT_RETRY_INTERVAL, CONNECTIONS, HEAD_BYTES, HEAD_LINES, HEAD_TIMEOUT, LAST_HEAD_TIMEOUT,
    OTHER_DESCRIPTORS, PROBE_INTERVAL, SILENT_CLIENT_TIMEOUT,
};
use state::{ConnectionState, IdleConnections};

/// All connections of a server.
#[derive(Debug)]
pub struct Connections {
    service: TowerToHyperService<Router>,
    places: Arc<Semaphore>,
    waiting: IdleConnections,
    open: TaskTracker,
    stop: CancellationToken,
}

impl Connections {
    /// None yet. When `stop` comes, each ends after the request that it then serves.
    pub fn new(service: Router, stop: CancellationToken) -> Self {
        Self::at_most(places(), service, stop)
    }

    fn at_most(places: usize, service: Router, stop: CancellationToken) -> Self {
        Self {
            service: TowerToHyperService::new(service.layer(from_fn(guard::close))),
            places: Arc::new(Semaphore::new(places)),
            waiting: IdleConnections::default(),
            open: TaskTracker::new(),
            stop,
        }
    }

    /// Accepts until the stop, then lets go of the listener.
    pub async fn accept(&self, listener: TcpListener) {
        let stop = self.stop.clone();
        tokio::select! {
            never = self.accept_always(&listener) => match never {},
            () = stop.cancelled() => {}
        }
        self.open.close();
    }

    /// Waits until all are closed. Those that still have sent no whole request after a
    /// second are not waited for.
    pub async fn ended(&self) {
        if timeout(LAST_HEAD_TIMEOUT, self.open.wait()).await.is_err() {
            self.waiting.close_all();
            self.open.wait().await;
        }
    }

    async fn accept_always(&self, listener: &TcpListener) -> Infallible {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => self.serve(stream, self.place().await),
                Err(error) if is_of_one_connection(&error) => debug!(%error, "not accepted"),
                Err(error) => {
                    warn!(%error, "no connection can be accepted now");
                    sleep(ACCEPT_RETRY_INTERVAL).await;
                }
            }
        }
    }

    /// For one connection more; the longest waiting one goes for it.
    async fn place(&self) -> OwnedSemaphorePermit {
        if self.places.available_permits() == 0 {
            self.waiting.close_oldest();
        }
        match self.places.clone().acquire_owned().await {
            Ok(place) => place,
            Err(_) => unreachable!("the semaphore is never closed"),
        }
    }

    fn serve(&self, stream: TcpStream, place: OwnedSemaphorePermit) {
        if let Err(error) = prepare(&stream) {
            // It was closed in the meantime.
            debug!(%error, "a connection without its options");
        }
        let closed = CancellationToken::new();
        let state = ConnectionState::new(self.waiting.clone(), closed.clone());
        let service = self.service.clone();
        let answer = service_fn(move |request: hyper::Request<Incoming>| {
            let busy = state.begin();
            let answer = service.call(request);
            async move { Ok::<_, Infallible>(answer.await?.map(|body| busy.until_sent(body))) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_headers(HEAD_LINES)
            .max_header_size(HEAD_BYTES)
            .serve_connection(TokioIo::new(stream), answer)
            // Of previews alone: a WebSocket leaves the connection.
            .with_upgrades();
        let stop = self.stop.clone();
        self.open.spawn(async move {
            let _place = place;
            tokio::pin!(connection);
            let served = tokio::select! {
                served = &mut connection => served,
                () = closed.cancelled() => return,
                () = stop.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    tokio::select! {
                        served = &mut connection => served,
                        () = closed.cancelled() => return,
                    }
                }
            };
            if let Err(error) = served {
                debug!(
                    error = &error as &dyn std::error::Error,
                    "a connection broke"
                );
            }
        });
    }
}

/// Small answers leave at once; a client that vanished is noticed, also if nothing is sent to it: the
/// timeout holds for unanswered probes too.
fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    sockopt::set_tcp_keepidle(stream, PROBE_INTERVAL)?;
    sockopt::set_tcp_keepintvl(stream, PROBE_INTERVAL)?;
    sockopt::set_socket_keepalive(stream, true)?;
    let silent = u32::try_from(SILENT_CLIENT_TIMEOUT.as_millis()).unwrap_or(u32::MAX);
    Ok(sockopt::set_tcp_user_timeout(stream, silent)?)
}

/// How many connections there may be: as many as there are descriptors for, after
/// asking for all that this process may have.
fn places() -> usize {
    let mut limit = getrlimit(Resource::Nofile);
    let wanted = CONNECTIONS as u64 + OTHER_DESCRIPTORS;
    let enough = limit.maximum.map_or(wanted, |most| most.min(wanted));
    if limit.current.is_some_and(|current| current < enough) {
        limit.current = Some(enough);
        match setrlimit(Resource::Nofile, Rlimit { ..limit }) {
            Ok(()) => {}
            Err(error) => warn!(%error, "the limit of open files stays as it was"),
        }
    }
    let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(wanted);
    let left = descriptors.saturating_sub(OTHER_DESCRIPTORS);
    // With very few descriptors half of them.
    let most = left.max(descriptors / 2);
    usize::try_from(most).map_or(CONNECTIONS, |most| most.min(CONNECTIONS))
}

/// Errors of accept(2) that say nothing about the next connection.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}
