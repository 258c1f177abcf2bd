//! The calls of `egress.proto`.

use casemate_protocol::egress::carrier_message::Message;
use casemate_protocol::egress::server_piece::Piece;
use casemate_protocol::egress::{CarrierMessage, SandboxMessage, ServerPiece, egress_server};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::Egress;
use super::carrier::{CarrierId, Rank};
use super::connections::Pieces;

#[tonic::async_trait]
impl egress_server::Egress for Egress {
    type CarryStream = ReceiverStream<Result<SandboxMessage, Status>>;
    type ConnectStream = Pieces;

    async fn carry(
        &self,
        request: Request<Streaming<CarrierMessage>>,
    ) -> Result<Response<Self::CarryStream>, Status> {
        let mut messages = request.into_inner();
        let first = messages.message().await?.and_then(|first| first.message);
        let Some(Message::Carrier(carrier)) = first else {
            let detail = "a call that does not begin with who carries";
            return Err(Status::invalid_argument(detail));
        };
        let rank = Rank::of(&carrier);
        let rank = rank.ok_or_else(|| Status::invalid_argument("not MAJOR.MINOR.PATCH"))?;
        let (id, answer) = match self.carriers.adopt(rank, carrier.rules_hash) {
            Ok(adopted) => adopted,
            Err(superseded) => {
                let (sender, answer) = mpsc::channel(1);
                // The channel has room.
                let _ = sender.try_send(Ok(superseded));
                return Ok(Response::new(ReceiverStream::new(answer)));
            }
        };
        self.start();
        self.resolver.carrier_changed();
        tokio::spawn(self.clone().follow(id, messages));
        Ok(Response::new(ReceiverStream::new(answer)))
    }

    async fn connect(
        &self,
        request: Request<Streaming<ServerPiece>>,
    ) -> Result<Response<Self::ConnectStream>, Status> {
        let mut pieces = request.into_inner();
        let first = pieces.message().await?.and_then(|first| first.piece);
        let Some(Piece::Begin(begin)) = first else {
            let detail = "a connection that does not begin with its id";
            return Err(Status::invalid_argument(detail));
        };
        let answer = self.connections.begin(begin.connection, pieces);
        let answer = answer.ok_or_else(|| Status::not_found("no such connection waits"))?;
        Ok(Response::new(answer))
    }
}

impl Egress {
    /// Does what the carrier says, for as long as it carries.
    async fn follow(self, id: CarrierId, mut messages: Streaming<CarrierMessage>) {
        loop {
            let message = tokio::select! {
                biased;
                () = self.carriers.gone(id) => return,
                message = messages.message() => message,
            };
            let Ok(Some(message)) = message else {
                return self.carriers.release(id);
            };
            match message.message {
                Some(Message::Verdict(verdict)) => self.resolver.decide(verdict),
                Some(Message::RulesChanged(changed)) => {
                    self.carriers.set_rules_hash(id, changed.rules_hash);
                    self.resolver.forget();
                }
                // Of a newer server, or a second beginning.
                Some(Message::Carrier(_)) | None => {}
            }
        }
    }
}
