//! What the tests of egress use: PID 1's side served over HTTP/2, the server's side as its client,
//! and a program that asks the DNS server. Every socket is a real one, on loopback.

mod server_side;

use std::io::ErrorKind;
use std::net::{
    Ipv4Addr, Shutdown, SocketAddrV4, TcpListener as StdListener, UdpSocket as StdUdpSocket,
};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::sync::Arc;
use std::time::Duration;

use casemate_protocol::egress::egress_client::EgressClient;
use casemate_protocol::egress::{Begin, Carrier, ServerPiece, carrier_message, server_piece};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use server_side::{Connection, connect};
pub use server_side::{TestCarrier, TestConnection};

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
        let carrier = TestCarrier::new(out);
        carrier.send(first).await;
        let mut client = self.client.clone();
        let answer = client.carry(ReceiverStream::new(messages)).await?;
        Ok(carrier.answered(answer.into_inner()))
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
