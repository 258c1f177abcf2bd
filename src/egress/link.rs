//! The calls of `egress.proto`, as the server makes them.

use bytes::Bytes;
use casemate_protocol::egress::egress_client::EgressClient;
use casemate_protocol::egress::{CarrierMessage, SandboxMessage, SandboxPiece, ServerPiece};
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::body::Body;
use tonic::client::GrpcService;
use tonic::codegen::{Body as HttpBody, StdError};
use tonic::{Status, Streaming};

/// casemate-init of one sandbox.
pub trait Link: Clone + Send + Sync + 'static {
    /// Calls `Carry`; `messages` has its first message already.
    ///
    /// # Errors
    /// `UNIMPLEMENTED`: this casemate-init knows no egress.
    fn carry(
        &self,
        messages: mpsc::Receiver<CarrierMessage>,
    ) -> impl Future<Output = Result<Streaming<SandboxMessage>, Status>> + Send;

    /// Calls `Connect`; `pieces` has its first piece already.
    ///
    /// # Errors
    /// `NOT_FOUND`: the program waits no longer.
    fn connect(
        &self,
        pieces: impl Stream<Item = ServerPiece> + Send + 'static,
    ) -> impl Future<Output = Result<Streaming<SandboxPiece>, Status>> + Send;
}

impl<T> Link for EgressClient<T>
where
    T: GrpcService<Body, Error: Into<StdError>, Future: Send> + Clone + Send + Sync + 'static,
    T::ResponseBody: HttpBody<Data = Bytes, Error: Into<StdError> + Send> + Send + 'static,
{
    async fn carry(
        &self,
        messages: mpsc::Receiver<CarrierMessage>,
    ) -> Result<Streaming<SandboxMessage>, Status> {
        let mut client = self.clone();
        let answer = EgressClient::carry(&mut client, ReceiverStream::new(messages)).await?;
        Ok(answer.into_inner())
    }

    async fn connect(
        &self,
        pieces: impl Stream<Item = ServerPiece> + Send + 'static,
    ) -> Result<Streaming<SandboxPiece>, Status> {
        let mut client = self.clone();
        let answer = EgressClient::connect(&mut client, pieces).await?;
        Ok(answer.into_inner())
    }
}
