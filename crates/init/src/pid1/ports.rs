//! Connections of the server to a port of the sandbox: what a preview shows.
//!
//! ```text
//!  server ──port, bytes──► 127.0.0.1:port, else [::1]:port ──► the user's program
//!         ◄──connected, bytes────────────────────────────────
//! ```
//!
//! The server decides who may see the program's answers. This module makes sure that a connection
//! reaches only loopback, and never the port that PID 1 itself listens on. Egress has other addresses
//! (`127.64.0.0/10`).

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use casemate_protocol::failure::Code;
use casemate_protocol::port_input::Input;
use casemate_protocol::port_output::Output;
use casemate_protocol::{DNS_PORT, Failure, FailureExt as _, PortConnected, PortInput, PortOutput};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::lifecycle::ActivityGuard;
use crate::pieces::{read_piece, reset, write};

/// Connections at once, of all servers: each is a descriptor of PID 1, which needs the others for
/// commands and files. A server opens 64 for a user.
const CONNECTIONS: usize = 256;

/// How long a program with a full queue may take to accept.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Pieces that wait for the server: 32 KiB.
const PIECE_BUFFER: usize = 2;

/// The answer to a call.
pub type PortOutputs = ReceiverStream<Result<PortOutput, Status>>;

type Sender = mpsc::Sender<Result<PortOutput, Status>>;

/// The connections to ports of the sandbox.
#[derive(Debug)]
pub struct Ports(Arc<Semaphore>);

/// How a connection ended.
enum Ending {
    /// Both sides had sent what they had, or the program its part.
    Closed,
    /// The program broke it off.
    BrokenByProgram,
    /// The server is gone, or broke it off.
    BrokenByServer,
}

impl Default for Ports {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(CONNECTIONS)))
    }
}

impl Ports {
    /// Connects to `port`, and passes on the bytes until the end. It is use of the sandbox as long
    /// as `busy` lives.
    ///
    /// # Errors
    /// `INVALID` for a number that is not a port, or PID 1's port, `NOT_LISTENING`, `BUSY` at the limit.
    pub async fn connect(
        &self,
        port: u32,
        inputs: Streaming<PortInput>,
        busy: ActivityGuard,
    ) -> Result<PortOutputs, Failure> {
        let port = u16::try_from(port).unwrap_or_default();
        if port == 0 || port == DNS_PORT {
            let detail = "no program of the user can have this port";
            return Err(Failure::new(Code::Invalid, detail));
        }
        let permit = self.0.clone().try_acquire_owned();
        let permit = permit.map_err(|_| Failure::new(Code::Busy, "too many connections"))?;
        let stream = open(port).await?;
        let (sender, outputs) = mpsc::channel(PIECE_BUFFER);
        // The channel has room.
        let _ = sender.try_send(Ok(wrapped(Output::Connected(PortConnected {}))));
        tokio::spawn(pass(stream, inputs, sender, busy, permit));
        Ok(ReceiverStream::new(outputs))
    }
}

/// IPv4 first: many programs listen there alone. Others listen at `localhost`, which is `::1` where
/// the image has IPv6.
async fn open(port: u16) -> Result<TcpStream, Failure> {
    let v4 = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let v6 = SocketAddr::from((Ipv6Addr::LOCALHOST, port));
    for address in [v4, v6] {
        if let Ok(Ok(stream)) = timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await
            && !is_self(&stream)
        {
            // Small packets wait for nothing.
            let _ = stream.set_nodelay(true);
            return Ok(stream);
        }
    }
    let detail = "no program accepts connections on this port";
    Err(Failure::new(Code::NotListening, detail))
}

/// A connection to a free port of one's own machine can meet itself (simultaneous open).
fn is_self(stream: &TcpStream) -> bool {
    matches!((stream.local_addr(), stream.peer_addr()), (Ok(own), Ok(peer)) if own == peer)
}

async fn pass(
    mut stream: TcpStream,
    inputs: Streaming<PortInput>,
    out: Sender,
    _busy: ActivityGuard,
    _permit: OwnedSemaphorePermit,
) {
    let (reader, writer) = stream.split();
    let ending = tokio::select! {
        ending = send(&reader, &out) => ending,
        ending = receive(writer, inputs) => ending,
        // A program that does not read would hide that the server is gone.
        () = out.closed() => Ending::BrokenByServer,
    };
    match ending {
        Ending::Closed => {}
        Ending::BrokenByServer => reset(stream),
        Ending::BrokenByProgram => {
            reset(stream);
            let broken = Status::aborted("the program broke the connection off");
            let _ = out.send(Err(broken)).await;
        }
    }
}

/// Sends what the program sends, until it ends.
async fn send(reader: &ReadHalf<'_>, out: &Sender) -> Ending {
    loop {
        let Ok(permit) = out.reserve().await else {
            return Ending::BrokenByServer;
        };
        match read_piece(reader).await {
            Ok(data) if data.is_empty() => return Ending::Closed,
            Ok(data) => permit.send(Ok(wrapped(Output::Data(data)))),
            Err(_) => return Ending::BrokenByProgram,
        }
    }
}

/// Writes what the server sends. When it sends no more, the program may still answer.
async fn receive(mut writer: WriteHalf<'_>, mut inputs: Streaming<PortInput>) -> Ending {
    loop {
        match inputs.message().await {
            Ok(Some(PortInput {
                input: Some(Input::Data(data)),
            })) => {
                if write(&mut writer, data).await.is_err() {
                    return Ending::BrokenByProgram;
                }
            }
            // Of a newer server, or a second beginning.
            Ok(Some(_)) => {}
            Ok(None) => break,
            Err(_) => return Ending::BrokenByServer,
        }
    }
    if writer.shutdown().await.is_err() {
        return Ending::BrokenByProgram;
    }
    std::future::pending().await
}

fn wrapped(output: Output) -> PortOutput {
    PortOutput {
        output: Some(output),
    }
}
