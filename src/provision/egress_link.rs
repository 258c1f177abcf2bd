//! The calls to a sandbox's casemate-init for its egress.

use std::sync::Arc;

use casemate_protocol::egress::{CarrierMessage, SandboxMessage, SandboxPiece, ServerPiece};
use tokio::sync::{Mutex, mpsc};
use tokio_stream::Stream;
use tonic::{Status, Streaming};

use super::error::SandboxError;
use crate::channel::{Channel, EgressChannel};
use crate::egress::Link;
use crate::engine::Engine;

/// One sandbox: its channel, and a second one for bytes, which is opened at its first connection.
#[derive(Debug, Clone)]
pub struct EgressLink {
    channel: Channel,
    engine: Engine,
    container: Arc<str>,
    bytes: Arc<Mutex<Option<EgressChannel>>>,
}

impl EgressLink {
    /// To the container that `channel` leads to.
    pub fn new(engine: &Engine, container: &Arc<str>, channel: &Channel) -> Self {
        Self {
            channel: channel.clone(),
            engine: engine.clone(),
            container: container.clone(),
            bytes: Arc::default(),
        }
    }

    async fn bytes(&self) -> Result<EgressChannel, Status> {
        let bytes = self.open_bytes().await;
        bytes.map_err(|error| Status::unavailable(error.to_string()))
    }

    async fn open_bytes(&self) -> Result<EgressChannel, SandboxError> {
        let mut bytes = self.bytes.lock().await;
        if let Some(open) = bytes.as_ref().filter(|channel| channel.is_open()) {
            return Ok(open.clone());
        }
        let stream = self.engine.open_channel(&self.container).await?;
        let opened = EgressChannel::open(stream).await?;
        *bytes = Some(opened.clone());
        Ok(opened)
    }
}

impl Link for EgressLink {
    async fn carry(
        &self,
        messages: mpsc::Receiver<CarrierMessage>,
    ) -> Result<Streaming<SandboxMessage>, Status> {
        // The next call opens another; programs in the background need the network before that.
        if !self.channel.is_open() {
            return self.bytes().await?.carry(messages).await;
        }
        self.channel.carry(messages).await
    }

    async fn connect(
        &self,
        pieces: impl Stream<Item = ServerPiece> + Send + 'static,
    ) -> Result<Streaming<SandboxPiece>, Status> {
        self.bytes().await?.connect(pieces).await
    }
}
