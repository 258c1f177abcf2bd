//! PID 1's socket: abstract, so that there is nothing to unlink, and no other process can bind the
//! name while PID 1 lives. Only the bridge's user is served, or who shows the bridge's key.

use std::convert::Infallible;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener as StdListener};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use casemate_protocol::egress::egress_server::{EgressServer, SERVICE_NAME as EGRESS_SERVICE};
use casemate_protocol::sandbox_server::SandboxServer;
use casemate_protocol::{
    MAX_EGRESS_MESSAGE, MAX_MESSAGE, SANDBOX_CONNECTION_WINDOW, SOCKET_NAME, STREAM_WINDOW,
};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;
use tonic::body::Body;
use tonic::codegen::{BoxFuture, http};

use super::bridges::{Bridges, greet, is_own_user};
use super::lifecycle::Lifecycle;
use super::link::Link;
use super::service::Service;
use crate::egress::Egress;
use crate::peer;

/// Bridges served at once: several servers, each with a standing one and some
/// transfers.
const MAX_BRIDGES: usize = 16;

/// Connections whose first byte is awaited. User code can connect too; it is
/// turned away with its first byte, or after [`GREET_TIMEOUT`].
const MAX_STRANGERS: usize = 256;

/// How long a peer may take to show that it is a bridge: that sends its first byte at once, and the
/// key as soon as it has it from the server.
const GREET_TIMEOUT: Duration = Duration::from_secs(2);

/// A stream that is silent for this long is asked for a sign of life.
const PING_INTERVAL: Duration = Duration::from_secs(10);

/// A server that gives none is treated as gone: 90 s of silence in all.
const PING_TIMEOUT: Duration = Duration::from_secs(80);

/// Calls at once over one bridge.
const MAX_STREAMS: u32 = 512;

/// How long an end waits for what was said last to be taken.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// The services on each connection.
#[derive(Debug, Clone)]
struct Services {
    /// The connection.
    link: Link,
    sandbox: SandboxServer<Service>,
    egress: EgressServer<Egress>,
}

impl tonic::codegen::Service<http::Request<Incoming>> for Services {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    /// Paths are `/package.Service/Call`. A service answers a call that it does not know.
    fn call(&mut self, mut request: http::Request<Incoming>) -> Self::Future {
        request.extensions_mut().insert(self.link.clone());
        let service = request.uri().path().split('/').nth(1);
        if service == Some(EGRESS_SERVICE) {
            self.egress.call(request)
        } else {
            self.sandbox.call(request)
        }
    }
}

/// The connections that are served.
#[derive(Debug, Clone)]
pub struct Connections(watch::Sender<usize>);

/// One that is served, until it is dropped.
struct ConnectionGuard(watch::Sender<usize>);

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        self.0.send_modify(|served| *served -= 1);
    }
}

impl Connections {
    /// Counts one more connection, unless the limit is reached.
    fn serve(&self) -> Option<ConnectionGuard> {
        let room = |served: &mut usize| {
            let room = *served < MAX_BRIDGES;
            *served += usize::from(room);
            room
        };
        let served = self.0.send_if_modified(room);
        served.then(|| ConnectionGuard(self.0.clone()))
    }

    /// Waits until none is left, for as long as last words may take.
    pub async fn drained(&self) {
        let mut served = self.0.subscribe();
        let _ = timeout(FLUSH_TIMEOUT, served.wait_for(|served| *served == 0)).await;
    }

    /// Resolves after `ttl` without a connection; never without a `ttl`.
    pub async fn orphaned(&self, ttl: Option<Duration>) {
        let Some(ttl) = ttl else {
            return std::future::pending().await;
        };
        let mut served = self.0.subscribe();
        loop {
            // An error: this is the sender, and it is there.
            let _ = served.wait_for(|served| *served == 0).await;
            let came = served.wait_for(|served| *served > 0);
            if timeout(ttl, came).await.is_err() {
                return;
            }
        }
    }
}

/// Starts to serve.
///
/// # Errors
/// When the socket's name is taken: there is another PID 1 in this network
/// namespace.
pub fn serve(
    service: Service,
    egress: Egress,
    lifecycle: Arc<Lifecycle>,
    bridges: Bridges,
) -> io::Result<Connections> {
    let listener = StdListener::bind_addr(&SocketAddr::from_abstract_name(SOCKET_NAME)?)?;
    listener.set_nonblocking(true)?;
    peer::ask(&listener)?;
    let listener = UnixListener::from_std(listener)?;
    let services = Services {
        link: Link::default(),
        sandbox: SandboxServer::new(service)
            .max_decoding_message_size(MAX_MESSAGE)
            .max_encoding_message_size(MAX_MESSAGE),
        egress: EgressServer::new(egress).max_decoding_message_size(MAX_EGRESS_MESSAGE),
    };
    let connections = Connections(watch::Sender::new(0));
    let served = connections.clone();
    tokio::spawn(accept(listener, services, lifecycle, served, bridges));
    Ok(connections)
}

async fn accept(
    listener: UnixListener,
    services: Services,
    lifecycle: Arc<Lifecycle>,
    connections: Connections,
    bridges: Bridges,
) {
    let strangers = Arc::new(Semaphore::new(MAX_STRANGERS));
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors: some will be given back.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let stranger = strangers.clone().try_acquire_owned().ok();
        if stranger.is_none() && (bridges != Bridges::OfBridgeUser || is_own_user(&stream)) {
            // User code holds all the places: it gets no more, the bridge does. One that is
            // marked by its key tries again when this user's code lets a place go.
            continue;
        }
        let (services, lifecycle, connections) =
            (services.clone(), lifecycle.clone(), connections.clone());
        tokio::spawn(async move {
            let known = matches!(
                timeout(GREET_TIMEOUT, greet(&stream, bridges)).await,
                Ok(Ok(true))
            );
            drop(stranger);
            if !known {
                return;
            }
            if let Some(_served) = connections.serve() {
                converse(stream, services, &lifecycle).await;
            }
        });
    }
}

async fn converse(stream: UnixStream, services: Services, lifecycle: &Lifecycle) {
    let link = Link::default();
    let services = Services {
        link: link.clone(),
        ..services
    };
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(SANDBOX_CONNECTION_WINDOW)
        .max_concurrent_streams(MAX_STREAMS)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(services));
    tokio::pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => {}
        _ = lifecycle.ended() => {
            connection.as_mut().graceful_shutdown();
            let _ = timeout(FLUSH_TIMEOUT, connection).await;
        }
    }
    link.end();
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_orphan_is_who_had_no_connection_for_its_time() {
        let connections = Connections(watch::Sender::new(0));
        let ttl = Some(Duration::from_secs(30));
        let orphaned = connections.orphaned(ttl);
        tokio::pin!(orphaned);
        let early = timeout(Duration::from_secs(29), orphaned.as_mut());
        assert!(early.await.is_err());
        let served = connections.serve().expect("room");
        let connected = timeout(Duration::from_secs(3600), orphaned.as_mut());
        assert!(connected.await.is_err());
        drop(served);
        let alone = Instant::now();
        orphaned.await;
        assert_eq!(alone.elapsed().as_secs(), 30);
    }

    #[test]
    fn there_are_only_so_many_bridges() {
        let connections = Connections(watch::Sender::new(0));
        let mut served: Vec<_> = (0..MAX_BRIDGES).map(|_| connections.serve()).collect();
        assert!(served.iter().all(Option::is_some));
        assert!(connections.serve().is_none());
        served.pop();
        assert!(connections.serve().is_some());
    }
}
