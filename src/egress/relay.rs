//! One connection: reads how it begins, dials, and copies in both directions until the sandbox has
//! everything, or one side breaks it off.
//!
//! ```text
//!  sandbox ──first handshake──► gate ──its server name is the host's──► dial ──► copy
//!             │ another one, none, not TLS: refused, and nothing was dialled
//! ```
//!
//! At most one piece waits in each direction here, besides what HTTP/2 and the kernel hold.

mod copy;

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use casemate_egress::Reason;
use casemate_egress::tls::{HELLO_TIMEOUT, HelloGate, Verdict};
use casemate_protocol::MAX_PIECE;
use casemate_protocol::egress::outcome::Kind;
use casemate_protocol::egress::{Outcome, SandboxPiece, ServerPiece, sandbox_piece, server_piece};
use parking_lot::Mutex;
use rustix::net::sockopt::set_socket_linger;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_stream::{Stream, StreamExt as _};
use tonic::Status;

use super::budget::DayBudget;
use super::dial::Connected;

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
    /// Whether a connection was made.
    pub is_made: bool,
    /// The address that was dialled; `None`: no connection was made, or the proxy has resolved the
    /// name.
    pub address: Option<IpAddr>,
    /// Bytes that were written to the target.
    pub sent: u64,
    /// Bytes that were read from the target.
    pub received: u64,
}

/// What both directions share.
struct Connection<'a> {
    budget: &'a DayBudget,
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
    budget: &DayBudget,
    dial: impl FnOnce() -> D + Send,
    ended: impl Future<Output = RelayEnd> + Send,
) -> RelayReport
where
    S: Stream<Item = Result<SandboxPiece, Status>> + Unpin + Send,
    D: Future<Output = Result<Connected, Reason>> + Send,
{
    let connection = Connection {
        budget,
        gate: Mutex::new(gate),
        last_byte: Mutex::new(Instant::now()),
        sent: AtomicU64::new(0),
        received: AtomicU64::new(0),
    };
    let mut made = None;
    let end = tokio::select! {
        biased;
        end = ended => end,
        () = connection.expired() => RelayEnd::Reset,
        end = connection.serve(&mut sandbox, dial, &mut made) => end,
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
        is_made: made.is_some(),
        address: made.flatten(),
        sent: connection.sent.load(Ordering::Relaxed),
        received: connection.received.load(Ordering::Relaxed),
    }
}

impl Connection<'_> {
    async fn serve<S, D>(
        &self,
        sandbox: &mut SandboxStream<S>,
        dial: impl FnOnce() -> D + Send,
        made: &mut Option<Option<IpAddr>>,
    ) -> RelayEnd
    where
        S: Stream<Item = Result<SandboxPiece, Status>> + Unpin + Send,
        D: Future<Output = Result<Connected, Reason>> + Send,
    {
        let hello = match timeout(HELLO_TIMEOUT, self.hello(&mut sandbox.pieces)).await {
            Ok(Ok(hello)) => hello,
            Ok(Err(end)) => return end,
            Err(_) => return RelayEnd::Refused(Reason::HandshakeTimeout),
        };
        let Connected {
            stream: mut target,
            address,
            early,
        } = match dial().await {
            Ok(connected) => connected,
            Err(reason) => return RelayEnd::Refused(reason),
        };
        *made = Some(address);
        // Small packets wait for nothing.
        let _ = target.set_nodelay(true);
        // Wherever this is broken off, the target sees an error and not an end.
        let _ = set_socket_linger(&target, Some(Duration::ZERO));
        let end = self.copy((&mut target, early), sandbox, hello).await;
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
        if self.gate.lock().is_none() {
            return Ok(Vec::new());
        }
        loop {
            match next(pieces).await? {
                Some(data) => {
                    self.passed();
                    let mut gate = self.gate.lock();
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

    /// Resolves when it has been open, or without a byte, for too long.
    async fn expired(&self) {
        let end = Instant::now() + CONNECTION_TIMEOUT;
        loop {
            let idle = *self.last_byte.lock() + IDLE_TIMEOUT;
            let next = idle.min(end);
            if next <= Instant::now() {
                return;
            }
            sleep_until(next).await;
        }
    }

    fn passed(&self) {
        *self.last_byte.lock() = Instant::now();
    }
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
            Some(sandbox_piece::Piece::Data(data)) if data.len() <= MAX_PIECE => {
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

fn wrapped(piece: server_piece::Piece) -> ServerPiece {
    ServerPiece { piece: Some(piece) }
}

#[cfg(test)]
mod tests;
