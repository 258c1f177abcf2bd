//! The egress of a sandbox: questions and verdicts on its channel, and the bytes of its connections
//! on a second one, so that a download delays no command.

use std::sync::Arc;

use casemate_protocol::MAX_EGRESS_MESSAGE;
use casemate_protocol::egress::egress_client::EgressClient;
use casemate_protocol::egress::{CarrierMessage, SandboxMessage, SandboxPiece, ServerPiece};
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::{Status, Streaming};

use super::connection::{Connection, Windows};
use super::{Channel, ChannelError, ORIGIN, stream};
use crate::engine::ExecStream;

impl Channel {
    /// Calls `Carry`; `messages` has its first message already.
    ///
    /// # Errors
    /// `UNIMPLEMENTED`: this casemate-init knows no egress.
    pub async fn carry(
        &self,
        messages: mpsc::Receiver<CarrierMessage>,
    ) -> Result<Streaming<SandboxMessage>, Status> {
        carry(&self.connection, messages).await
    }
}

/// An open channel for the bytes of one sandbox's connections. Cheap to clone; the last clone
/// closes it.
#[derive(Debug, Clone)]
pub struct EgressChannel {
    connection: Connection,
    closed: CancellationToken,
    _open: Arc<DropGuard>,
}

impl EgressChannel {
    /// Opens one over the streams of a bridge. Waits for no answer: a bridge that gives none is
    /// closed by the pings of the connection.
    ///
    /// # Errors
    /// The stream breaks at once.
    pub async fn open(stream: ExecStream) -> Result<Self, ChannelError> {
        let (open, closed) = (CancellationToken::new(), CancellationToken::new());
        let guard = open.clone().drop_guard();
        let stream = stream::join(stream);
        let connection =
            Connection::start(stream, Windows::CONNECTIONS, open, closed.clone()).await?;
        Ok(Self {
            connection,
            closed,
            _open: Arc::new(guard),
        })
    }

    /// Whether connections can still be made over it.
    pub fn is_open(&self) -> bool {
        !self.closed.is_cancelled()
    }

    /// Calls `Carry`, where the sandbox's channel is gone; `messages` has its first message already.
    ///
    /// # Errors
    /// As [`Channel::carry`].
    pub async fn carry(
        &self,
        messages: mpsc::Receiver<CarrierMessage>,
    ) -> Result<Streaming<SandboxMessage>, Status> {
        carry(&self.connection, messages).await
    }

    /// Calls `Connect`; `pieces` has its first piece already.
    ///
    /// # Errors
    /// `NOT_FOUND`: the program waits no longer.
    pub async fn connect(
        &self,
        pieces: impl Stream<Item = ServerPiece> + Send + 'static,
    ) -> Result<Streaming<SandboxPiece>, Status> {
        let mut client = client(self.connection.clone());
        let answer = client.connect(pieces).await?;
        Ok(answer.into_inner())
    }
}

async fn carry(
    connection: &Connection,
    messages: mpsc::Receiver<CarrierMessage>,
) -> Result<Streaming<SandboxMessage>, Status> {
    let mut client = client(connection.clone());
    let answer = client.carry(ReceiverStream::new(messages)).await?;
    Ok(answer.into_inner())
}

fn client(connection: Connection) -> EgressClient<Connection> {
    EgressClient::with_origin(connection, http::Uri::from_static(ORIGIN))
        .max_decoding_message_size(MAX_EGRESS_MESSAGE)
        .max_encoding_message_size(MAX_EGRESS_MESSAGE)
}
