//! One connection: reads how it begins, dials, and copies in both directions until both have ended.
//!
//! ```text
//!  sandbox ──first handshake──► gate ──its server name is the host's──► dial ──► copy
//!             │ another one, none, not TLS: refused, and nothing was dialled
//! ```
//!
//! At most one piece waits in each direction here, besides what HTTP/2 and the kernel hold.

use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use casemate_egress::Reason;
use casemate_egress::tls::{HELLO_TIMEOUT, HelloGate, Verdict};
use casemate_protocol::egress::outcome::Kind;
use casemate_protocol::egress::{
    Finish, Outcome, SandboxPiece, ServerPiece, sandbox_piece, server_piece,
};
use rustix::net::sockopt::set_socket_linger;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_stream::{Stream, StreamExt as _};
use tonic::Status;

/// Bytes of one piece at most: the protocol's bound.
pub const PIECE_LIMIT: usize = 64 << 10;

/// Bytes that are read at once: as much as a frame of HTTP/2 has. More would only wait, several
/// times over, where the sandbox does not read.
const READ_SIZE: usize = 16 << 10;

/// A connection that passes no byte in either direction for this long is broken off.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(300);

/// The longest connection.
pub const CONNECTION_TIMEOUT: Duration = Duration::from_secs(3600);

/// How long the last word to the sandbox may take: unread bytes may be ahead of it.
pub(super) const OUTCOME_TIMEOUT: Duration = Duration::from_secs(1);

/// The sandbox's side of a connection.
#[derive(Debug)]
pub struct SandboxStream<S> {
    /// What casemate-init sends.
    pub pieces: S,
    /// What it is sent.
    pub out: mpsc::Sender<ServerPiece>,
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelayEnd {
    /// Both sides had sent what they had.
    Closed,
    /// One side broke it off, or it was idle or open for too long.
    Reset,
    /// It was refused, or its rule went.
    Refused(Reason),
}

/// The facts about a connection for its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RelayReport {
    /// How it ended.
    pub end: RelayEnd,
    /// The address that was dialled, where a connection was made.
    pub address: Option<IpAddr>,
    /// Bytes that were written to the target.
    pub sent: u64,
    /// Bytes that were read from the target.
    pub received: u64,
}

/// What both directions share.
struct Connection {
    /// For TLS, until the peer has answered.
    gate: Mutex<Option<HelloGate>>,
    last_byte: Mutex<Instant>,
    sent: AtomicU64,
    received: AtomicU64,
}

/// Serves one connection until its end. `gate` is there for a rule of TLS; `dial` is called once,
/// after the first handshake message has named the host; `ended` resolves when something else ends
/// it: its rule went, or the sandbox.
pub async fn relay<S, D>(
    mut sandbox: SandboxStream<S>,
    gate: Option<HelloGate>,
    dial: impl FnOnce() -> D + Send,
    ended: impl Future<Output = RelayEnd> + Send,
) -> RelayReport
where
    S: Stream<Item = Result<SandboxPiece, Status>> + Unpin + Send,
    D: Future<Output = Result<(TcpStream, IpAddr), Reason>> + Send,
{
    let connection = Connection {
        gate: Mutex::new(gate),
        last_byte: Mutex::new(Instant::now()),
        sent: AtomicU64::new(0),
        received: AtomicU64::new(0),
    };
    let mut address = None;
    let end = tokio::select! {
        biased;
        end = ended => end,
        () = connection.expired() => RelayEnd::Reset,
        end = connection.serve(&mut sandbox, dial, &mut address) => end,
    };
    let kind = match end {
        RelayEnd::Closed => Kind::Closed,
        RelayEnd::Reset => Kind::Reset,
        RelayEnd::Refused(_) => Kind::Refused,
    };
    let reason = match end {
        RelayEnd::Refused(reason) => reason.as_str().to_owned(),
        RelayEnd::Closed | RelayEnd::Reset => String::new(),
    };
    let kind = kind.into();
    let outcome = server_piece::Piece::Outcome(Outcome { kind, reason });
    let _ = timeout(OUTCOME_TIMEOUT, sandbox.out.send(wrapped(outcome))).await;
    RelayReport {
        end,
        address,
        sent: connection.sent.load(Ordering::Relaxed),
        received: connection.received.load(Ordering::Relaxed),
    }
}

impl Connection {
    async fn serve<S, D>(
        &self,
        sandbox: &mut SandboxStream<S>,
        dial: impl FnOnce() -> D + Send,
        address: &mut Option<IpAddr>,
    ) -> RelayEnd
    where
        S: Stream<Item = Result<SandboxPiece, Status>> + Unpin + Send,
        D: Future<Output = Result<(TcpStream, IpAddr), Reason>> + Send,
    {
        let hello = match timeout(HELLO_TIMEOUT, self.hello(&mut sandbox.pieces)).await {
            Ok(Ok(hello)) => hello,
            Ok(Err(end)) => return end,
            Err(_) => return RelayEnd::Refused(Reason::HandshakeTimeout),
        };
        let (mut target, dialled) = match dial().await {
            Ok(connected) => connected,
            Err(reason) => return RelayEnd::Refused(reason),
        };
        *address = Some(dialled);
        // Small packets wait for nothing.
        let _ = target.set_nodelay(true);
        // Wherever this is broken off, the target sees an error and not an end.
        let _ = set_socket_linger(&target, Some(Duration::ZERO));
        let end = self.copy(&mut target, sandbox, hello).await;
        if end == RelayEnd::Closed {
            let _ = set_socket_linger(&target, None);
        }
        end
    }

    /// Reads until the first handshake message is whole and names the host. Returns the bytes for
    /// the target; none without a gate.
    async fn hello(
        &self,
        pieces: &mut (impl Stream<Item = Result<SandboxPiece, Status>> + Unpin),
    ) -> Result<Vec<u8>, RelayEnd> {
        if self.gate().is_none() {
            return Ok(Vec::new());
        }
        loop {
            match next(pieces).await? {
                Some(data) => {
                    self.passed();
                    let mut gate = self.gate();
                    let Some(gate) = gate.as_mut() else { continue };
                    match gate.client(&data) {
                        Verdict::NeedMore => {}
                        Verdict::Pass => return Ok(gate.take()),
                        Verdict::Refuse(reason) => return Err(RelayEnd::Refused(reason)),
                    }
                }
                None => return Err(RelayEnd::Refused(Reason::NotTls)),
            }
        }
    }

    async fn copy<S>(
        &self,
        target: &mut TcpStream,
        sandbox: &mut SandboxStream<S>,
        hello: Vec<u8>,
    ) -> RelayEnd
    where
        S: Stream<Item = Result<SandboxPiece, Status>> + Unpin,
    {
        let (reader, mut writer) = target.split();
        let (finished, target_finished) = oneshot::channel();
        let (program_finished, may_close) = oneshot::channel();
        let out = sandbox.out.clone();
        let up = async {
            if let Err(end) = self.write(&mut writer, &hello).await {
                return end;
            }
            drop(hello);
            self.send(&mut sandbox.pieces, &mut writer, program_finished)
                .await
        };
        let down = async {
            if let Err(end) = self.receive(reader, &out).await {
                return end;
            }
            // The program may send on; the end of the other direction ends the connection.
            let _ = finished.send(());
            std::future::pending().await
        };
        let both_ended = async {
            // An error: `up` or `down` has ended, and says how.
            if tokio::try_join!(target_finished, may_close).is_err() {
                return std::future::pending().await;
            }
            RelayEnd::Closed
        };
        tokio::select! {
            end = up => end,
            end = down => end,
            end = both_ended => end,
        }
    }

    /// Writes what the program sends, after the gate has read it.
    async fn send(
        &self,
        pieces: &mut (impl Stream<Item = Result<SandboxPiece, Status>> + Unpin),
        writer: &mut WriteHalf<'_>,
        finished: oneshot::Sender<()>,
    ) -> RelayEnd {
        let mut finished = Some(finished);
        loop {
            match next(pieces).await {
                Err(end) => return end,
                Ok(Some(data)) => {
                    let written = match self.read_by_gate(&data) {
                        Ok(None) => self.write(writer, &data).await,
                        Ok(Some(taken)) => self.write(writer, &taken).await,
                        Err(end) => Err(end),
                    };
                    if let Err(end) = written {
                        return end;
                    }
                }
                Ok(None) => {
                    if writer.shutdown().await.is_err() {
                        return RelayEnd::Reset;
                    }
                    // The stream goes on until the last message.
                    if let Some(finished) = finished.take() {
                        let _ = finished.send(());
                    }
                }
            }
        }
    }

    /// The part of `data` that may be written; `None`: all of it, as it is.
    fn read_by_gate(&self, data: &[u8]) -> Result<Option<Vec<u8>>, RelayEnd> {
        let mut held = self.gate();
        let Some(gate) = held.as_mut() else {
            return Ok(None);
        };
        if let Verdict::Refuse(reason) = gate.client(data) {
            return Err(RelayEnd::Refused(reason));
        }
        let taken = gate.take();
        if gate.is_open() {
            *held = None;
        }
        Ok(Some(taken))
    }

    async fn write(&self, writer: &mut WriteHalf<'_>, data: &[u8]) -> Result<(), RelayEnd> {
        let mut left = data;
        while !left.is_empty() {
            let written = writer.write(left).await.map_err(|_| RelayEnd::Reset)?;
            left = &left[written..];
            self.sent.fetch_add(written as u64, Ordering::Relaxed);
            self.passed();
        }
        Ok(())
    }

    /// Passes on what the target sends, until it has ended its direction.
    async fn receive(
        &self,
        mut reader: ReadHalf<'_>,
        out: &mpsc::Sender<ServerPiece>,
    ) -> Result<(), RelayEnd> {
        loop {
            let data = read_piece(&mut reader).await.map_err(|_| RelayEnd::Reset)?;
            self.received
                .fetch_add(data.len() as u64, Ordering::Relaxed);
            self.passed();
            if let Some(gate) = self.gate().as_mut()
                && !data.is_empty()
                && let Verdict::Refuse(reason) = gate.peer(&data)
            {
                return Err(RelayEnd::Refused(reason));
            }
            let is_end = data.is_empty();
            let piece = match is_end {
                true => server_piece::Piece::Finish(Finish {}),
                false => server_piece::Piece::Data(data),
            };
            out.send(wrapped(piece))
                .await
                .map_err(|_| RelayEnd::Reset)?;
            self.passed();
            if is_end {
                return Ok(());
            }
        }
    }

    /// Resolves when it has been open, or without a byte, for too long.
    async fn expired(&self) {
        let end = Instant::now() + CONNECTION_TIMEOUT;
        loop {
            let idle = *lock(&self.last_byte) + IDLE_TIMEOUT;
            let next = idle.min(end);
            if next <= Instant::now() {
                return;
            }
            sleep_until(next).await;
        }
    }

    fn passed(&self) {
        *lock(&self.last_byte) = Instant::now();
    }

    fn gate(&self) -> MutexGuard<'_, Option<HelloGate>> {
        lock(&self.gate)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The next bytes of the program; `None`: it sends no more.
async fn next(
    pieces: &mut (impl Stream<Item = Result<SandboxPiece, Status>> + Unpin),
) -> Result<Option<Bytes>, RelayEnd> {
    loop {
        let Some(Ok(piece)) = pieces.next().await else {
            return Err(RelayEnd::Reset);
        };
        match piece.piece {
            Some(sandbox_piece::Piece::Data(data)) if data.len() <= PIECE_LIMIT => {
                return Ok(Some(data));
            }
            Some(sandbox_piece::Piece::Finish(_)) => return Ok(None),
            Some(sandbox_piece::Piece::Outcome(outcome)) => {
                return Err(match outcome.kind() {
                    Kind::Closed => RelayEnd::Closed,
                    _ => RelayEnd::Reset,
                });
            }
            // Over the bound: no casemate-init of ours.
            Some(sandbox_piece::Piece::Data(_)) => return Err(RelayEnd::Reset),
            // Of a newer version.
            None => {}
        }
    }
}

/// The next bytes of the target; empty at its end. Holds no memory while there are none.
async fn read_piece(reader: &mut ReadHalf<'_>) -> io::Result<Bytes> {
    reader.readable().await?;
    let mut buffer = BytesMut::with_capacity(READ_SIZE);
    reader.read_buf(&mut buffer).await?;
    Ok(buffer.freeze())
}

fn wrapped(piece: server_piece::Piece) -> ServerPiece {
    ServerPiece { piece: Some(piece) }
}

#[cfg(test)]
mod tests;
