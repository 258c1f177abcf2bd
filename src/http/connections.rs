//! Connections: accepting them, their limits, their end.
//!
//! ```text
//!           ┌── request ──► busy ── answer sent ──┐
//! accepted ─► waiting ◄───────────────────────────┘
//!           └── too long, or the longest when there is no room ──► closed
//! ```
//!
//! Invariants:
//! - Whoever only holds connections open keeps nobody out: the one that waits longest
//!   for its request makes room.
//! - A client that is gone, with or without a word, drops the future and the body of
//!   its request, and so ends what runs for it.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
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

use super::limits::{
    ACCEPT_PAUSE, CONNECTIONS, HEAD_BYTES, HEAD_LINES, HEAD_TIMEOUT, LAST_HEADS, OTHER_DESCRIPTORS,
    SILENT_CLIENT,
};

/// All connections of a server.
#[derive(Debug)]
pub struct Connections {
    service: TowerToHyperService<Router>,
    places: Arc<Semaphore>,
    waiting: Waiting,
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
            service: TowerToHyperService::new(service),
            places: Arc::new(Semaphore::new(places)),
            waiting: Waiting::default(),
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
        if timeout(LAST_HEADS, self.open.wait()).await.is_err() {
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
                    sleep(ACCEPT_PAUSE).await;
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
            // It was closed meanwhile.
            debug!(%error, "a connection without its options");
        }
        let closed = CancellationToken::new();
        let turn = Turn::new(self.waiting.clone(), closed.clone());
        let service = self.service.clone();
        let answer = service_fn(move |request: hyper::Request<Incoming>| {
            let busy = turn.begin();
            let answer = service.call(request);
            async move { Ok::<_, Infallible>(answer.await?.map(|body| busy.until_sent(body))) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_headers(HEAD_LINES)
            .max_header_size(HEAD_BYTES)
            .serve_connection(TokioIo::new(stream), answer);
        let stop = self.stop.clone();
        self.open.spawn(async move {
            let _place = place;
            tokio::pin!(connection);
            let served = tokio::select! {
                served = &mut connection => served,
                () = closed.cancelled() => return,
                () = stop.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
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

/// Small answers leave at once; a client that vanished is noticed.
fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let silent = u32::try_from(SILENT_CLIENT.as_millis()).unwrap_or(u32::MAX);
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

/// Connections that wait for a request, in the order in which they began to.
#[derive(Debug, Clone, Default)]
struct Waiting(Arc<Mutex<Queue>>);

#[derive(Debug, Default)]
struct Queue {
    next: u64,
    by_age: BTreeMap<u64, CancellationToken>,
}

impl Waiting {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close_oldest(&self) {
        if let Some((_, closed)) = self.queue().by_age.pop_first() {
            closed.cancel();
        }
    }

    fn close_all(&self) {
        for closed in std::mem::take(&mut self.queue().by_age).into_values() {
            closed.cancel();
        }
    }
}

/// What one connection does: wait, or serve a request. HTTP/1 serves one at a time.
#[derive(Debug, Clone)]
struct Turn(Arc<OneTurn>);

#[derive(Debug)]
struct OneTurn {
    waiting: Waiting,
    closed: CancellationToken,
    ticket: Mutex<Option<u64>>,
}

impl Turn {
    fn new(waiting: Waiting, closed: CancellationToken) -> Self {
        let turn = Self(Arc::new(OneTurn {
            waiting,
            closed,
            ticket: Mutex::default(),
        }));
        turn.wait();
        turn
    }

    fn wait(&self) {
        let mut queue = self.0.waiting.queue();
        let ticket = queue.next;
        queue.next += 1;
        queue.by_age.insert(ticket, self.0.closed.clone());
        *self.ticket() = Some(ticket);
    }

    fn begin(&self) -> Busy {
        self.0.leave();
        Busy(self.clone())
    }

    fn ticket(&self) -> MutexGuard<'_, Option<u64>> {
        self.0.ticket.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OneTurn {
    fn leave(&self) {
        let ticket = self
            .ticket
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(ticket) = ticket {
            self.waiting.queue().by_age.remove(&ticket);
        }
    }
}

impl Drop for OneTurn {
    fn drop(&mut self) {
        self.leave();
    }
}

/// A request is being served, until this is dropped.
#[derive(Debug)]
struct Busy(Turn);

impl Busy {
    fn until_sent(self, body: Body) -> BusyBody {
        BusyBody { body, _busy: self }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.wait();
    }
}

/// The body of an answer; its connection is busy until it is dropped.
#[derive(Debug)]
struct BusyBody {
    body: Body,
    _busy: Busy,
}

impl HttpBody for BusyBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::sync::Notify;

    use super::*;

    const SLOW: &[u8] = b"GET /slow HTTP/1.1\r\nhost: a\r\n\r\n";
    const FAST: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";

    struct Served {
        address: std::net::SocketAddr,
        /// A slow request is being served.
        begun: Arc<Notify>,
        /// Lets it end.
        go_on: Arc<Notify>,
    }

    async fn serve(places: usize) -> Served {
        let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (begins, goes_on) = (begun.clone(), go_on.clone());
        let slow = async move || {
            begins.notify_one();
            goes_on.notified().await;
        };
        let router = Router::new()
            .route("/", get(async || "fast"))
            .route("/slow", get(slow));
        let connections = Connections::at_most(places, router, CancellationToken::new());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move { connections.accept(listener).await });
        Served {
            address,
            begun,
            go_on,
        }
    }

    impl Served {
        async fn connect(&self) -> TcpStream {
            TcpStream::connect(self.address)
                .await
                .expect("a connection")
        }

        /// The status of a fast request on a connection of its own.
        async fn ask(&self) -> String {
            let mut stream = self.connect().await;
            stream.write_all(FAST).await.expect("sent");
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.expect("an answer");
            answer.lines().next().unwrap_or_default().to_owned()
        }
    }

    #[tokio::test]
    async fn the_connection_that_waits_longest_makes_room() {
        let served = serve(2).await;
        let (mut older, mut younger) = (served.connect().await, served.connect().await);
        younger.write_all(b"GET /").await.expect("sent");
        assert_eq!(served.ask().await, "HTTP/1.1 200 OK");
        assert_eq!(older.read(&mut [0]).await.ok(), Some(0), "it was closed");
        younger.write_all(&FAST[5..]).await.expect("sent");
        let mut answer = [0; 15];
        younger.read_exact(&mut answer).await.expect("it was not");
        assert_eq!(&answer, b"HTTP/1.1 200 OK");
    }

    #[tokio::test]
    async fn a_connection_that_serves_a_request_is_never_closed_for_another() {
        let served = serve(1).await;
        let mut busy = served.connect().await;
        busy.write_all(SLOW).await.expect("sent");
        served.begun.notified().await;
        let mut asked = Box::pin(served.ask());
        let waits = timeout(ACCEPT_PAUSE, &mut asked).await;
        assert!(waits.is_err(), "there is no room: {waits:?}");
        served.go_on.notify_one();
        let mut answer = [0; 15];
        busy.read_exact(&mut answer).await.expect("an answer");
        assert_eq!(&answer, b"HTTP/1.1 200 OK");
        drop(busy);
        assert_eq!(asked.await, "HTTP/1.1 200 OK");
    }
}
