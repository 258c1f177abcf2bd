//! Connections of the user's programs, from their acceptance until the server calls for them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use casemate_protocol::egress::sandbox_message::Message;
use casemate_protocol::egress::{Opened, SandboxPiece, ServerPiece};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::carrier::Carriers;
use super::forward::{self, Call};
use super::traffic::Traffic;
use crate::pieces;

/// How long a connection waits until the server calls for it. The server has limits too, and
/// lets a connection wait where one is reached.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Pieces that wait for the server: 32 KiB.
const PIECE_BUFFER: usize = 2;

/// The answer to the server's call for a connection.
pub type Pieces = ReceiverStream<Result<SandboxPiece, Status>>;

/// The connections that wait.
#[derive(Debug)]
pub struct WaitingConnections {
    carriers: Arc<Carriers>,
    traffic: Traffic,
    next: AtomicU64,
    waiting: Mutex<HashMap<u64, oneshot::Sender<Call>>>,
}

/// One that waits, until it is dropped.
struct WaitingGuard<'a> {
    connections: &'a WaitingConnections,
    id: u64,
}

impl Drop for WaitingGuard<'_> {
    fn drop(&mut self) {
        self.connections.waiting().remove(&self.id);
    }
}

impl WaitingConnections {
    /// None waits.
    pub fn new(carriers: Arc<Carriers>) -> Self {
        Self {
            carriers,
            traffic: Traffic::default(),
            next: AtomicU64::new(1),
            waiting: Mutex::default(),
        }
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<u64, oneshot::Sender<Call>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How much has passed.
    pub fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    /// Serves a connection to `host` until its end.
    pub async fn serve(&self, stream: TcpStream, host: &str, port: u16) {
        match timeout(CONNECT_TIMEOUT, self.called(host, port)).await {
            Ok(Some(call)) => {
                forward::forward(stream, call, &self.carriers, &self.traffic).await;
            }
            _ => pieces::reset(stream),
        }
    }

    /// Tells the carrier, and waits until it calls.
    async fn called(&self, host: &str, port: u16) -> Option<Call> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, call) = oneshot::channel();
        self.waiting().insert(id, sender);
        let _guard = WaitingGuard {
            connections: self,
            id,
        };
        let opened = Message::Opened(Opened {
            connection: id,
            host: host.to_owned(),
            port: port.into(),
        });
        tokio::select! {
            call = call => call.ok(),
            () = self.carriers.keep_sending(opened) => None,
        }
    }

    /// The server calls for a connection. `None`: no connection of that id waits.
    pub fn begin(&self, id: u64, pieces: Streaming<ServerPiece>) -> Option<Pieces> {
        let carrier = self.carriers.current()?;
        let waiting = self.waiting().remove(&id)?;
        let (out, answer) = mpsc::channel(PIECE_BUFFER);
        let call = Call {
            carrier,
            pieces,
            out,
        };
        waiting.send(call).ok()?;
        Some(ReceiverStream::new(answer))
    }
}
