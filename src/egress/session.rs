//! Carries for one sandbox: answers its questions and makes its connections, until its call ends.
//!
//! Nothing that casemate-init says is trusted: each name and each connection is judged here, and
//! what it may ask for at a time is bounded.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use casemate_egress::rules::{Protocol, Rule};
use casemate_egress::tls::HelloGate;
use casemate_egress::{HostName, Reason};
use casemate_protocol::egress::not_listening::Cause;
use casemate_protocol::egress::outcome::Kind;
use casemate_protocol::egress::{
    Allowed, Begin, Carrier, CarrierMessage, Failed, Opened, Outcome, Question, Refused,
    RulesChanged, SandboxMessage, ServerPiece, Verdict, carrier_message, sandbox_message,
    server_piece, verdict,
};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

use super::denials::Refusal;
use super::dial::dial;
use super::limits::{ConnectionLimits, PermittedStream, QuestionLimits};
use super::link::Link;
use super::names::{Names, QuestionError};
use super::relay::{OUTCOME_TIMEOUT, RelayEnd, RelayReport, SandboxStream, relay};
use super::resolver::Resolve;

/// Questions and connections of a sandbox that are in work or wait.
const WORK_LIMIT: usize = 1024;

/// Messages that wait for casemate-init.
const OUTBOX_LIMIT: usize = 16;

/// The records of a sandbox's egress: for audit, metrics and results.
pub trait Record: Send + Sync + 'static {
    /// Held while a connection is open.
    type Open: Send + Sync + 'static;

    /// The sandbox asks for a name or a connection.
    fn asked(&self);

    /// A connection is about to be judged.
    ///
    /// # Errors
    /// It cannot be recorded, and must not be made.
    fn admit(&self) -> impl Future<Output = Result<Self::Open, Reason>> + Send;

    /// A name was refused, or casemate-init cannot listen for it (then with the port).
    fn name_refused(&self, refusal: &Refusal, is_quiet: bool) -> impl Future<Output = ()> + Send;

    /// A connection has ended, or was refused.
    fn connection_ended(&self, connection: &ConnectionRecord) -> impl Future<Output = ()> + Send;
}

/// One connection, at its end.
#[derive(Clone, Debug)]
pub struct ConnectionRecord {
    /// The host that it was allowed to, or refused.
    pub host: HostName,
    /// Its port.
    pub port: u16,
    /// The rule that allowed it.
    pub rule: Option<Rule>,
    /// How long it took, from the program's connection.
    pub duration: Duration,
    /// Whether the operator wants no report of its refusals.
    pub is_quiet: bool,
    /// The rest.
    pub report: RelayReport,
}

/// Which server carries.
#[derive(Clone, Debug)]
pub struct CarrierIdentity {
    /// Its version: `MAJOR.MINOR.PATCH`.
    pub version: String,
    /// When it started: milliseconds since 1970.
    pub since_ms: i64,
}

/// The egress of one user, in all of their sandboxes.
#[derive(Debug)]
pub struct UserEgress<R> {
    names: watch::Sender<Arc<Names<R>>>,
    limits: ConnectionLimits,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CarryEnd {
    /// A newer server carries.
    Superseded,
    /// casemate-init ended it: its sandbox ends.
    Ended,
    /// This server has stopped it.
    Stopped,
}

impl<R: Resolve> UserEgress<R> {
    /// Under the rules of `names`.
    pub fn new(names: Names<R>) -> Self {
        Self {
            names: watch::Sender::new(Arc::new(names)),
            limits: ConnectionLimits::default(),
        }
    }

    /// What counts now.
    pub fn names(&self) -> Arc<Names<R>> {
        self.names.borrow().clone()
    }

    /// Other rules count from now on. What they do not allow any more ends at once.
    pub fn change_rules(&self, names: Names<R>) {
        self.names.send_replace(Arc::new(names));
    }

    /// Begins to carry for one sandbox: returns when its casemate-init has accepted that, so that a
    /// command which starts next finds the DNS server.
    ///
    /// # Errors
    /// As [`Link::carry`].
    pub async fn begin<H: Record, L: Link>(
        self: &Arc<Self>,
        link: L,
        record: H,
        carrier: CarrierIdentity,
    ) -> Result<Carriage<R, H, L>, Status> {
        let (out, messages) = mpsc::channel(OUTBOX_LIMIT);
        let mut rules = self.names.subscribe();
        let rules_hash = hash(&rules.borrow_and_update());
        let carrier = carrier_message::Message::Carrier(Carrier {
            version: carrier.version,
            since_ms: carrier.since_ms,
            rules_hash,
        });
        // The channel has room.
        let _ = out.try_send(wrapped(carrier));
        let messages = link.carry(messages).await?;
        let session = Session {
            user: self.clone(),
            link,
            record: Arc::new(record),
            out,
            is_over: CancellationToken::new(),
            work: Arc::new(Semaphore::new(WORK_LIMIT)),
        };
        Ok(Carriage {
            session,
            messages,
            rules,
        })
    }
}

/// Carries for one sandbox, which has accepted it.
pub struct Carriage<R, H, L> {
    session: Session<R, H, L>,
    messages: Streaming<SandboxMessage>,
    rules: watch::Receiver<Arc<Names<R>>>,
}

impl<R: Resolve, H: Record, L: Link> Carriage<R, H, L> {
    /// Answers until the sandbox ends, a newer server carries, or `stop`. The connections end with
    /// it, and each is recorded.
    ///
    /// # Errors
    /// When the channel breaks.
    pub async fn run(self, stop: &CancellationToken) -> Result<CarryEnd, Status> {
        let Self {
            session,
            mut messages,
            mut rules,
        } = self;
        let mut questions = QuestionLimits::default();
        let mut tasks = JoinSet::new();
        let end = loop {
            tokio::select! {
                message = messages.message() => match message {
                    Ok(Some(message)) => match session.begin(message, &mut questions, &mut tasks) {
                        Some(end) => break Ok(end),
                        None => continue,
                    },
                    Ok(None) => break Ok(CarryEnd::Ended),
                    Err(status) => break Err(status),
                },
                Ok(()) = rules.changed() => {
                    let rules_hash = hash(&rules.borrow_and_update());
                    let changed = RulesChanged { rules_hash };
                    session.send(carrier_message::Message::RulesChanged(changed)).await;
                }
                Some(_) = tasks.join_next() => {}
                () = stop.cancelled() => break Ok(CarryEnd::Stopped),
            }
        };
        session.is_over.cancel();
        // Each ends by itself, and is recorded.
        while tasks.join_next().await.is_some() {}
        end
    }
}

struct Session<R, H, L> {
    user: Arc<UserEgress<R>>,
    link: L,
    record: Arc<H>,
    out: mpsc::Sender<CarrierMessage>,
    is_over: CancellationToken,
    work: Arc<Semaphore>,
}

impl<R, H, L: Clone> Clone for Session<R, H, L> {
    fn clone(&self) -> Self {
        Self {
            user: self.user.clone(),
            link: self.link.clone(),
            record: self.record.clone(),
            out: self.out.clone(),
            is_over: self.is_over.clone(),
            work: self.work.clone(),
        }
    }
}

impl<R: Resolve, H: Record, L: Link> Session<R, H, L> {
    /// Begins what casemate-init asks for. Too much of it is not answered: casemate-init gives up
    /// by itself.
    fn begin(
        &self,
        message: SandboxMessage,
        questions: &mut QuestionLimits,
        tasks: &mut JoinSet<()>,
    ) -> Option<CarryEnd> {
        use sandbox_message::Message;
        self.record.asked();
        match message.message? {
            Message::Question(question) => {
                if questions.admit()
                    && let Ok(work) = self.work.clone().try_acquire_owned()
                {
                    let session = self.clone();
                    tasks.spawn(async move {
                        let _work = work;
                        session.answer(question).await;
                    });
                }
            }
            Message::Opened(opened) => {
                if let Ok(work) = self.work.clone().try_acquire_owned() {
                    let session = self.clone();
                    tasks.spawn(async move {
                        let _work = work;
                        session.connect(opened).await;
                    });
                }
            }
            Message::NotListening(told) => {
                let reason = match told.cause() {
                    Cause::PortInUse => Reason::PortInUse,
                    _ => Reason::Limit,
                };
                // It may be anything: recorded only where it is a name.
                if HostName::parse(&told.host).is_ok()
                    && let Ok(work) = self.work.clone().try_acquire_owned()
                {
                    let session = self.clone();
                    tasks.spawn(async move {
                        let _work = work;
                        let port = u16::try_from(told.port).ok();
                        session.refused(&told.host, port, reason).await;
                    });
                }
            }
            Message::Superseded(_) => return Some(CarryEnd::Superseded),
        }
        None
    }

    async fn send(&self, message: carrier_message::Message) {
        // An error: the call is over.
        let _ = self.out.send(wrapped(message)).await;
    }

    async fn refused(&self, name: &str, port: Option<u16>, reason: Reason) {
        let host = HostName::parse(name);
        let is_quiet = |host: &HostName| self.user.names().rules().is_quiet(host);
        let is_quiet = host.as_ref().is_ok_and(is_quiet);
        let host = host.map_or_else(|_| name.to_owned(), |host| host.as_str().to_owned());
        let refusal = Refusal { host, port, reason };
        self.record.name_refused(&refusal, is_quiet).await;
    }

    async fn answer(&self, question: Question) {
        let answer = tokio::select! {
            answer = async { self.user.names().ask(&question.name).await } => answer,
            () = self.is_over.cancelled() => return,
        };
        let verdict = match answer {
            Ok(allowed) => verdict::Verdict::Allowed(Allowed {
                host: allowed.host.as_str().to_owned(),
                ports: allowed.ports.into_iter().map(u32::from).collect(),
            }),
            Err(QuestionError::Refused(reason)) => {
                self.refused(&question.name, None, reason).await;
                let reason = reason.as_str().to_owned();
                verdict::Verdict::Refused(Refused { reason })
            }
            Err(QuestionError::Failed) => verdict::Verdict::Failed(Failed {}),
        };
        let verdict = Verdict {
            name: question.name,
            verdict: Some(verdict),
        };
        tokio::select! {
            () = self.send(carrier_message::Message::Verdict(verdict)) => {}
            () = self.is_over.cancelled() => {}
        }
    }

    async fn connect(&self, opened: Opened) {
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
                let permit = self.user.limits.admit().await?;
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
            let connected = dial(&target.addresses, port).await;
            dialled.send_replace(connected.as_ref().ok().map(|(_, address)| *address));
            connected
        };
        let rule = &target.rule;
        let ended = self.ended(&mut rules, |names| {
            names.still_allows(host, port, rule, *dialled.borrow())
        });
        let report = relay(SandboxStream { pieces, out }, gate, dial, ended).await;
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
        address: None,
        sent: 0,
        received: 0,
    }
}

fn hash<R: Resolve>(names: &Names<R>) -> Bytes {
    Bytes::copy_from_slice(names.rules().hash().as_bytes())
}

fn wrapped(message: carrier_message::Message) -> CarrierMessage {
    CarrierMessage {
        message: Some(message),
    }
}

#[cfg(test)]
mod tests;
