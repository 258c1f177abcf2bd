//! Carries for one sandbox: answers its questions and makes its connections, until its call ends.
//!
//! Nothing that casemate-init says is trusted: each name and each connection is judged here, and
//! what it may ask for at a time is bounded.

mod connection;

use std::sync::Arc;

use bytes::Bytes;
use casemate_egress::{HostName, Reason};
use casemate_protocol::egress::not_listening::Cause;
use casemate_protocol::egress::{
    Allowed, Carrier, CarrierMessage, Failed, Question, Refused, RulesChanged, SandboxMessage,
    Verdict, carrier_message, sandbox_message, verdict,
};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

use super::denials::Refusal;
use super::limits::{QuestionLimits, UserLimits};
use super::link::Link;
use super::names::{Names, QuestionError};
use super::record::Record;
use super::resolver::Resolve;

/// Questions and connections of a sandbox that are in work or wait.
const WORK_LIMIT: usize = 1024;

/// Messages that wait for casemate-init.
const OUTBOX_LIMIT: usize = 16;

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
    limits: Arc<UserLimits>,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CarryEnd {
    /// A newer server carries.
    Superseded {
        /// Its rules for this user are others than these.
        has_other_rules: bool,
    },
    /// casemate-init ended it: its sandbox ends.
    Ended,
    /// This server has stopped it.
    Stopped,
}

impl<R: Resolve> UserEgress<R> {
    /// Under the rules of `names`, within `limits`.
    pub fn new(names: Names<R>, limits: Arc<UserLimits>) -> Self {
        Self {
            names: watch::Sender::new(Arc::new(names)),
            limits,
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
                    let changed = carrier_message::Message::RulesChanged(changed);
                    // It may read nothing.
                    tokio::select! {
                        () = session.send(changed) => {}
                        () = stop.cancelled() => break Ok(CarryEnd::Stopped),
                    }
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
            Message::Superseded(told) => {
                let known = hash(&self.user.names());
                // An older casemate-init does not say.
                let has_other_rules = !told.rules_hash.is_empty() && told.rules_hash != known;
                return Some(CarryEnd::Superseded { has_other_rules });
            }
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
