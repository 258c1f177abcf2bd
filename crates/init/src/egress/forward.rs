//! The bytes of one connection, between a program in the sandbox and the server.
//!
//! ```text
//!  program ──bytes, end──► Data, Finish ──► server
//!          ◄──bytes, end── Data, Finish ◄──
//!  both have ended: PID 1 sends Outcome CLOSED. A break of one direction ends the other.
//! ```
//!
//! Each direction ends by itself (half-close). Neither reads further than the other side
//! takes: at most some pieces wait here, and what HTTP/2 allows on the way.

use casemate_protocol::egress::outcome::Kind;
use casemate_protocol::egress::{
    Finish, Outcome, SandboxPiece, ServerPiece, sandbox_piece, server_piece,
};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::{mpsc, oneshot};
use tonic::{Status, Streaming};

use super::carrier::{CarrierId, Carriers};
use super::traffic::Traffic;
use crate::pieces::{read_piece, reset, write};

/// The server's call for one connection.
#[derive(Debug)]
pub struct Call {
    /// The carrier when it came.
    pub carrier: CarrierId,
    pub pieces: Streaming<ServerPiece>,
    pub out: mpsc::Sender<Result<SandboxPiece, Status>>,
}

/// Why it is over.
#[derive(Debug, Clone, Copy)]
enum Ending {
    /// Both sides have ended their direction.
    Closed,
    /// The server says that both sides have sent what they had.
    ClosedByServer,
    /// The server broke it off, refused it, or is gone.
    BrokenByServer,
    /// The program broke it off.
    BrokenByProgram,
}

/// Copies until the connection ends.
pub async fn forward(mut stream: TcpStream, call: Call, carriers: &Carriers, traffic: &Traffic) {
    let _open = traffic.open();
    let Call {
        carrier,
        pieces,
        out,
    } = call;
    // Small packets wait for nothing.
    let _ = stream.set_nodelay(true);
    let (reader, writer) = stream.split();
    let (finished, server_finished) = oneshot::channel();
    let both_ended = async {
        match send(&reader, &out, traffic).await {
            // An error cannot be: the other side of the select has ended then.
            Ok(()) => server_finished
                .await
                .map_or(Ending::BrokenByServer, |()| Ending::Closed),
            Err(ending) => ending,
        }
    };
    let ending = tokio::select! {
        ending = receive(writer, pieces, finished, traffic) => ending,
        ending = both_ended => ending,
        // A program that does not read would hide that the channel is gone.
        () = out.closed() => Ending::BrokenByServer,
        () = carriers.gone(carrier) => Ending::BrokenByServer,
    };
    // The descriptor is closed first: the server may take its time.
    let kind = match ending {
        Ending::ClosedByServer => return,
        Ending::BrokenByServer => return reset(stream),
        Ending::Closed => {
            drop(stream);
            Kind::Closed
        }
        Ending::BrokenByProgram => {
            reset(stream);
            Kind::Reset
        }
    };
    let outcome = sandbox_piece::Piece::Outcome(Outcome {
        kind: kind.into(),
        reason: String::new(),
    });
    let _ = out.send(Ok(wrapped(outcome))).await;
}

/// Sends what the program sends, until it ends its direction.
async fn send(
    reader: &ReadHalf<'_>,
    out: &mpsc::Sender<Result<SandboxPiece, Status>>,
    traffic: &Traffic,
) -> Result<(), Ending> {
    loop {
        let permit = out.reserve().await.map_err(|_| Ending::BrokenByServer)?;
        let data = read_piece(reader).await;
        let data = data.map_err(|_| Ending::BrokenByProgram)?;
        if data.is_empty() {
            permit.send(Ok(wrapped(sandbox_piece::Piece::Finish(Finish {}))));
            return Ok(());
        }
        traffic.sent(data.len());
        permit.send(Ok(wrapped(sandbox_piece::Piece::Data(data))));
    }
}

/// Writes what the server sends, until the connection is over. Says in between when the host has
/// ended its direction.
async fn receive(
    mut writer: WriteHalf<'_>,
    mut pieces: Streaming<ServerPiece>,
    finished: oneshot::Sender<()>,
    traffic: &Traffic,
) -> Ending {
    let mut finished = Some(finished);
    while let Ok(Some(piece)) = pieces.message().await {
        let written = match piece.piece {
            Some(server_piece::Piece::Data(data)) => {
                traffic.received(data.len());
                write(&mut writer, data).await
            }
            Some(server_piece::Piece::Finish(_)) => {
                let shut = writer.shutdown().await;
                if let Some(finished) = finished.take() {
                    let _ = finished.send(());
                }
                shut
            }
            Some(server_piece::Piece::Outcome(outcome)) => {
                return match outcome.kind() {
                    Kind::Closed => Ending::ClosedByServer,
                    _ => Ending::BrokenByServer,
                };
            }
            // Of a newer server, or a second beginning.
            Some(server_piece::Piece::Begin(_)) | None => Ok(()),
        };
        if written.is_err() {
            return Ending::BrokenByProgram;
        }
    }
    Ending::BrokenByServer
}

fn wrapped(piece: sandbox_piece::Piece) -> SandboxPiece {
    SandboxPiece { piece: Some(piece) }
}
