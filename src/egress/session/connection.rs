//! One connection: admitted, judged, dialled and copied, and recorded at its end.

use std::sync::Arc;

use casemate_egress::rules::{Protocol, Rule};
use casemate_egress::tls::HelloGate;
use casemate_egress::{HostName, Reason};
use casemate_protocol::egress::outcome::Kind;
use casemate_protocol::egress::{Begin, Opened, Outcome, ServerPiece, server_piece};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout};
use tokio_stream::wrappers::ReceiverStream;

use super::Session;
use crate::egress::limits::PermittedStream;
use crate::egress::link::Link;
use crate::egress::names::Names;
use crate::egress::record::{ConnectionRecord, Record};
use crate::egress::relay::{OUTCOME_TIMEOUT, RelayEnd, RelayReport, SandboxStream, relay};
use crate::egress::resolver::Resolve;

impl<R: Resolve, H: Record, L: Link> Session<R, H, L> {
    pub(super) async fn connect(&self, opened: Opened) {
        let port = u16::try_from(opened.port).ok();
        let (Ok(host), Some(port)) = (HostName::parse(&opened.host), port) else {
            return;
        };
        let begin = Instant::now();
        let (rule, report) = self.serve(opened.connection, &host, port).await;
        let ended = ConnectionRecord {
            is_quiet: self.user.names().rules().is_quiet(&host),
            host,
            port,
            rule,
            duration: begin.elapsed(),
            report,
        };
        self.record.connection_ended(&ended).await;
    }

    async fn serve(&self, id: u64, host: &HostName, port: u16) -> (Option<Rule>, RelayReport) {
        let mut rules = self.user.names.subscribe();
        let names = rules.borrow_and_update().clone();
        let (out, pieces) = mpsc::channel(1);
        let begin = server_piece::Piece::Begin(Begin { connection: id });
        // The channel has room.
        let _ = out.try_send(ServerPiece { piece: Some(begin) });
        let prepared = async {
            let target = async {
                let open = self.record.admit().await?;
                if !self.user.limits.budget.has_left() {
                    return Err(Reason::BytesPerDay);
                }
                let permit = self.user.limits.connections.admit().await?;
                let target = names.target(host, port).await?;
                Ok::<_, Reason>((Arc::new((permit, open)), target))
            };
            let target = target.await;
            let permit = target.as_ref().ok().map(|(permit, _)| permit.clone());
            let stream = ReceiverStream::new(pieces);
            let pieces = self.link.connect(PermittedStream::new(stream, permit));
            (target, pieces.await)
        };
        let (target, pieces) = tokio::select! {
            prepared = prepared => prepared,
            () = self.is_over.cancelled() => return (None, unmade(RelayEnd::Reset)),
        };
        let (permit, target) = match target {
            Ok(target) => target,
            Err(reason) => {
                refuse(&out, reason).await;
                return (None, unmade(RelayEnd::Refused(reason)));
            }
        };
        // The program has given up, or the channel is gone.
        let Ok(pieces) = pieces else {
            return (Some(target.rule), unmade(RelayEnd::Reset));
        };
        let is_tls = target.rule.protocol == Protocol::Tls;
        let gate = is_tls.then(|| HelloGate::new(host.clone()));
        let dialled = watch::Sender::new(None);
        let dial = || async {
            let connected = names.dial(host, port, &target).await;
            let address = connected.as_ref().ok().and_then(|made| made.address);
            dialled.send_replace(address);
            connected
        };
        let rule = &target.rule;
        let ended = self.ended(&mut rules, |names| {
            names.still_allows(host, port, rule, *dialled.borrow())
        });
        let sandbox = SandboxStream { pieces, out };
        let report = relay(sandbox, gate, &self.user.limits.budget, dial, ended).await;
        drop(permit);
        (Some(target.rule), report)
    }

    /// Resolves when the call is over, or the rules are others that do not allow the connection.
    async fn ended(
        &self,
        rules: &mut watch::Receiver<Arc<Names<R>>>,
        is_allowed: impl Fn(&Names<R>) -> bool,
    ) -> RelayEnd {
        let is_gone = rules.wait_for(|names| !is_allowed(names));
        tokio::select! {
            // An error cannot be: this user's egress is there.
            _ = is_gone => RelayEnd::Refused(Reason::RulesChanged),
            () = self.is_over.cancelled() => RelayEnd::Reset,
        }
    }
}

/// Resets the program's connection.
async fn refuse(out: &mpsc::Sender<ServerPiece>, reason: Reason) {
    let outcome = server_piece::Piece::Outcome(Outcome {
        kind: Kind::Refused.into(),
        reason: reason.as_str().to_owned(),
    });
    let piece = ServerPiece {
        piece: Some(outcome),
    };
    let _ = timeout(OUTCOME_TIMEOUT, out.send(piece)).await;
}

/// The report on a connection that was not made.
const fn unmade(end: RelayEnd) -> RelayReport {
    RelayReport {
        end,
        is_made: false,
        address: None,
        sent: 0,
        received: 0,
    }
}
