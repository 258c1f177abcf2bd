//! The server's side: its two calls, over one HTTP/2 connection.

use std::os::unix::net::UnixStream as StdUnixStream;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use casemate_protocol::egress::egress_client::EgressClient;
use casemate_protocol::egress::egress_server::EgressServer;
use casemate_protocol::egress::{
    Allowed, CarrierMessage, Failed, Opened, Refused, RulesChanged, SandboxMessage, SandboxPiece,
    ServerPiece, Verdict, carrier_message, sandbox_message, sandbox_piece, server_piece, verdict,
};
use casemate_protocol::{CONNECTION_WINDOW, MAX_EGRESS_MESSAGE, STREAM_WINDOW};
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tonic::Streaming;
use tonic::body::Body;
use tonic::codegen::{Service, http};

use super::PATIENCE;
use crate::egress::Egress;

/// The server's side of `Carry`.
pub struct TestCarrier {
    out: mpsc::Sender<CarrierMessage>,
    messages: Option<Streaming<SandboxMessage>>,
}

impl TestCarrier {
    /// Not answered yet.
    pub fn new(out: mpsc::Sender<CarrierMessage>) -> Self {
        Self {
            out,
            messages: None,
        }
    }

    pub fn answered(mut self, messages: Streaming<SandboxMessage>) -> Self {
        self.messages = Some(messages);
        self
    }

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

/// One HTTP/2 connection, with the windows of the real one.
pub async fn connect(egress: Egress) -> (EgressClient<Connection>, StdUnixStream) {
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
pub struct Connection(SendRequest<Body>);

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
