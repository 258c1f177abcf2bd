//! What the tests of egress use: PID 1's side served over HTTP/2, the server's side as its client,
//! and a program that asks the DNS server. Every socket is a real one, on loopback.

use std::io::ErrorKind;
use std::net::{
    Ipv4Addr, Shutdown, SocketAddrV4, TcpListener as StdListener, UdpSocket as StdUdpSocket,
};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use casemate_protocol::egress::egress_client::EgressClient;
use casemate_protocol::egress::egress_server::EgressServer;
use casemate_protocol::egress::{
    Allowed, Begin, Carrier, CarrierMessage, Failed, Opened, Refused, RulesChanged, SandboxMessage,
    SandboxPiece, ServerPiece, Verdict, carrier_message, sandbox_message, sandbox_piece,
    server_piece, verdict,
};
use casemate_protocol::{CONNECTION_WINDOW, MAX_EGRESS_MESSAGE, STREAM_WINDOW};
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{UdpSocket, UnixStream};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::body::Body;
use tonic::codegen::{Service, http};
use tonic::{Status, Streaming};

use super::Egress;

/// For what comes at once unless something is wrong, on a busy machine too.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A response code of DNS.
pub const NO_ERROR: u8 = 0;
pub const SERVER_FAILURE: u8 = 2;
pub const NO_SUCH_NAME: u8 = 3;

pub const TYPE_A: u16 = 1;
pub const TYPE_AAAA: u16 = 28;

/// PID 1's side, and the server's connection to it.
pub struct Sandbox {
    pub egress: Egress,
    pub dns: SocketAddrV4,
    client: EgressClient<Connection>,
    socket: StdUnixStream,
}

impl Sandbox {
    pub async fn new() -> Self {
        Self::with_descriptors(1000).await
    }

    pub async fn with_descriptors(descriptors: usize) -> Self {
        let dns = free_port();
        let egress = Egress::with(dns, descriptors, Arc::default());
        let (client, socket) = connect(egress.clone()).await;
        Self {
            egress,
            dns,
            client,
            socket,
        }
    }

    /// Another server's connection to the same PID 1.
    pub async fn another(&self) -> Self {
        let (client, socket) = connect(self.egress.clone()).await;
        Self {
            egress: self.egress.clone(),
            dns: self.dns,
            client,
            socket,
        }
    }

    /// The server's process is gone, or its bridge.
    pub fn cut(&self) {
        self.socket.shutdown(Shutdown::Both).expect("shut down");
    }

    /// Calls `Carry`, as a server that started at `since`.
    pub async fn carry(&self, version: &str, since_ms: i64) -> TestCarrier {
        let carrier = carrier_message::Message::Carrier(Carrier {
            version: version.to_owned(),
            since_ms,
            rules_hash: vec![1; 32].into(),
        });
        self.carry_with(carrier).await.expect("carries")
    }

    pub async fn carry_with(&self, first: carrier_message::Message) -> Result<TestCarrier, Status> {
        let (out, messages) = mpsc::channel(16);
        let carrier = TestCarrier {
            out,
            messages: None,
        };
        carrier.send(first).await;
        let mut client = self.client.clone();
        let answer = client.carry(ReceiverStream::new(messages)).await?;
        let messages = Some(answer.into_inner());
        Ok(TestCarrier {
            messages,
            ..carrier
        })
    }

    /// Calls `Connect`.
    pub async fn begin(&self, connection: u64) -> Result<TestConnection, Status> {
        let (out, pieces) = mpsc::channel(1);
        let begin = server_piece::Piece::Begin(Begin { connection });
        let begin = ServerPiece { piece: Some(begin) };
        out.send(begin).await.expect("there is room");
        let mut client = self.client.clone();
        let answer = client.connect(ReceiverStream::new(pieces)).await?;
        let pieces = answer.into_inner();
        Ok(TestConnection { out, pieces })
    }

    /// What the DNS server answers over UDP.
    pub async fn ask(&self, name: &str, kind: u16) -> Reply {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .expect("bind");
        self.ask_from(&socket, &query(name, kind)).await
    }

    pub async fn ask_from(&self, socket: &UdpSocket, query: &[u8]) -> Reply {
        socket.send_to(query, self.dns).await.expect("sent");
        let mut buffer = [0; 600];
        let answer = timeout(PATIENCE, socket.recv(&mut buffer)).await;
        let length = answer.expect("an answer").expect("received");
        Reply(buffer[..length].to_vec())
    }

    /// The address of a name that the server allows.
    pub async fn resolve(&self, carrier: &mut TestCarrier, name: &str, ports: &[u16]) -> Ipv4Addr {
        let asked = self.ask(name, TYPE_A);
        let decided = async {
            assert_eq!(carrier.question().await, name);
            carrier.allow(name, name, ports).await;
        };
        let (reply, ()) = tokio::join!(asked, decided);
        reply.address().expect("an address")
    }
}

/// The server's side of `Carry`.
pub struct TestCarrier {
    out: mpsc::Sender<CarrierMessage>,
    messages: Option<Streaming<SandboxMessage>>,
}

impl TestCarrier {
    pub async fn send(&self, message: carrier_message::Message) {
        let message = Some(message);
        self.out
            .send(CarrierMessage { message })
            .await
            .expect("sent");
    }

    /// The next message; `None` at the end.
    pub async fn next(&mut self) -> Option<sandbox_message::Message> {
        let messages = self.messages.as_mut().expect("answered");
        let message = timeout(PATIENCE, messages.message())
            .await
            .expect("in time");
        message
            .expect("no error")
            .map(|message| message.message.expect("a known one"))
    }

    /// Whether nothing comes for a while.
    pub async fn is_silent(&mut self) -> bool {
        let messages = self.messages.as_mut().expect("answered");
        timeout(Duration::from_millis(200), messages.message())
            .await
            .is_err()
    }

    pub async fn question(&mut self) -> String {
        match self.next().await {
            Some(sandbox_message::Message::Question(question)) => question.name,
            other => panic!("no question but {other:?}"),
        }
    }

    pub async fn opened(&mut self) -> Opened {
        match self.next().await {
            Some(sandbox_message::Message::Opened(opened)) => opened,
            other => panic!("no connection but {other:?}"),
        }
    }

    async fn decide(&self, name: &str, verdict: verdict::Verdict) {
        let verdict = Verdict {
            name: name.to_owned(),
            verdict: Some(verdict),
        };
        self.send(carrier_message::Message::Verdict(verdict)).await;
    }

    pub async fn allow(&self, name: &str, host: &str, ports: &[u16]) {
        let allowed = Allowed {
            host: host.to_owned(),
            ports: ports.iter().copied().map(u32::from).collect(),
        };
        self.decide(name, verdict::Verdict::Allowed(allowed)).await;
    }

    /// As [`Self::allow`], of a server that may have been told to stop.
    pub async fn allow_if_open(&self, name: &str) {
        let allowed = Allowed {
            host: name.to_owned(),
            ports: Vec::new(),
        };
        let verdict = Verdict {
            name: name.to_owned(),
            verdict: Some(verdict::Verdict::Allowed(allowed)),
        };
        let message = Some(carrier_message::Message::Verdict(verdict));
        let _ = self.out.send(CarrierMessage { message }).await;
    }

    pub async fn refuse(&self, name: &str) {
        let reason = "not_allowed".to_owned();
        self.decide(name, verdict::Verdict::Refused(Refused { reason }))
            .await;
    }

    pub async fn fail(&self, name: &str) {
        self.decide(name, verdict::Verdict::Failed(Failed {})).await;
    }

    pub async fn change_rules(&self) {
        let changed = RulesChanged {
            rules_hash: vec![2; 32].into(),
        };
        self.send(carrier_message::Message::RulesChanged(changed))
            .await;
    }
}

/// The server's side of `Connect`.
pub struct TestConnection {
    pub out: mpsc::Sender<ServerPiece>,
    pub pieces: Streaming<SandboxPiece>,
}

impl TestConnection {
    pub async fn send(&self, piece: server_piece::Piece) {
        let piece = ServerPiece { piece: Some(piece) };
        timeout(PATIENCE, self.out.send(piece))
            .await
            .expect("in time")
            .expect("sent");
    }

    /// The next piece; `None` at the end.
    pub async fn next(&mut self) -> Option<sandbox_piece::Piece> {
        let piece = timeout(PATIENCE, self.pieces.message())
            .await
            .expect("in time");
        piece
            .expect("no error")
            .map(|piece| piece.piece.expect("a known one"))
    }
}

/// An answer of the DNS server.
pub struct Reply(pub Vec<u8>);

impl Reply {
    pub fn code(&self) -> u8 {
        self.0[3] & 0x0f
    }

    pub fn records(&self) -> u8 {
        self.0[7]
    }

    pub fn address(&self) -> Option<Ipv4Addr> {
        let bytes = self.0.last_chunk::<4>()?;
        (self.code() == NO_ERROR && self.records() == 1).then(|| Ipv4Addr::from(*bytes))
    }

    /// Seconds for which it may be kept.
    pub fn ttl(&self) -> u32 {
        let end = self.0.len() - 6;
        u32::from_be_bytes(self.0[end - 4..end].try_into().expect("four bytes"))
    }
}

/// A port of no other test.
pub fn port() -> u16 {
    free_port().port()
}

/// A question on the wire.
pub fn query(name: &str, kind: u16) -> Vec<u8> {
    let mut message = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        message.push(u8::try_from(label.len()).expect("a short label"));
        message.extend_from_slice(label.as_bytes());
    }
    message.push(0);
    message.extend_from_slice(&kind.to_be_bytes());
    message.extend_from_slice(&[0, 1]);
    message
}

/// A port of 127.0.0.1 that is free for UDP and TCP.
pub fn free_port() -> SocketAddrV4 {
    loop {
        let tcp = StdListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("bind");
        let port = tcp.local_addr().expect("an address").port();
        match StdUdpSocket::bind((Ipv4Addr::LOCALHOST, port)) {
            Ok(_) => return SocketAddrV4::new(Ipv4Addr::LOCALHOST, port),
            Err(error) => assert_eq!(error.kind(), ErrorKind::AddrInUse),
        }
    }
}

/// One HTTP/2 connection, with the windows of the real one.
async fn connect(egress: Egress) -> (EgressClient<Connection>, StdUnixStream) {
    let (ours, theirs) = StdUnixStream::pair().expect("a pair");
    let socket = ours.try_clone().expect("a clone");
    let [ours, theirs] = [ours, theirs].map(|stream| {
        stream.set_nonblocking(true).expect("set");
        UnixStream::from_std(stream).expect("a stream")
    });
    let server = EgressServer::new(egress).max_decoding_message_size(MAX_EGRESS_MESSAGE);
    let served = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .serve_connection(TokioIo::new(theirs), TowerToHyperService::new(server));
    tokio::spawn(served);
    let (sender, connection) = Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .handshake(TokioIo::new(ours))
        .await
        .expect("a handshake");
    tokio::spawn(connection);
    let origin = http::Uri::from_static("http://casemate");
    (
        EgressClient::with_origin(Connection(sender), origin),
        socket,
    )
}

#[derive(Clone)]
struct Connection(SendRequest<Body>);

impl Service<http::Request<Body>> for Connection {
    type Response = http::Response<Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(self.0.send_request(request))
    }
}
