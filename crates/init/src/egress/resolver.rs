//! Answers questions: alone where no server is needed, else with the server's verdict.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use casemate_egress::dns::{Answer, Question, local_answer};
use casemate_egress::sandbox::{ANSWER_TTL, Ask, QUESTION_TIMEOUT, Questions};
use casemate_protocol::egress::sandbox_message::Message;
use casemate_protocol::egress::{self, Allowed, NotListening, verdict};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use super::carrier::Carriers;
use super::listeners::OpenListeners;

/// Questions of programs that wait for the same verdict.
const WAITER_LIMIT: usize = 256;

/// The server's verdict on a name, as it is kept.
#[derive(Debug, Clone)]
enum Verdict {
    Allowed { host: Arc<str>, ports: Arc<[u16]> },
    Refused,
}

/// What a question comes to.
#[derive(Debug)]
pub enum Progress {
    Answered(Answer),
    /// The server is asked: [`Resolver::wait`].
    Waiting(oneshot::Receiver<Answer>),
}

/// Answers questions.
#[derive(Debug)]
pub struct Resolver {
    own_host_name: String,
    carriers: Arc<Carriers>,
    listeners: Arc<OpenListeners>,
    /// Grows with each call of the server that uses the sandbox.
    uses: Arc<AtomicU64>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// At the last question.
    uses: u64,
    questions: Questions<Verdict>,
    waiters: HashMap<Box<str>, Vec<oneshot::Sender<Answer>>>,
}

impl State {
    fn expire(&mut self, now: Instant) {
        for name in self.questions.expire(now.into_std()) {
            // Those that wait learn of it by the end of the channel.
            self.waiters.remove(&name);
        }
    }

    fn wait(&mut self, name: &str) -> Progress {
        let waiters = self.waiters.entry(name.into()).or_default();
        if waiters.len() >= WAITER_LIMIT {
            return Progress::Answered(Answer::ServerFailure);
        }
        let (sender, answer) = oneshot::channel();
        waiters.push(sender);
        Progress::Waiting(answer)
    }

    fn answer_waiters(&mut self, name: &str, answer: Answer) {
        for waiter in self.waiters.remove(name).into_iter().flatten() {
            let _ = waiter.send(answer);
        }
    }
}

impl Resolver {
    /// Nothing was asked yet.
    pub fn new(
        carriers: Arc<Carriers>,
        listeners: Arc<OpenListeners>,
        uses: Arc<AtomicU64>,
    ) -> Self {
        let own_host_name = std::fs::read_to_string("/proc/sys/kernel/hostname");
        Self {
            own_host_name: own_host_name.unwrap_or_default().trim_end().to_owned(),
            carriers,
            listeners,
            uses,
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers, or asks the server. Without a carrier the question waits for one.
    pub fn ask(&self, question: &Question) -> Progress {
        let Some(name) = question.name() else {
            return Progress::Answered(Answer::NoSuchName);
        };
        if let Some(answer) = local_answer(name, &self.own_host_name) {
            return Progress::Answered(answer);
        }
        // Whether the name exists is what the question for its address says.
        if !question.wants_address() {
            return Progress::Answered(Answer::NoRecords);
        }
        let now = Instant::now();
        let mut state = self.state();
        state.expire(now);
        // Each command is told what it was refused, so the server has to be asked for each.
        let uses = self.uses.load(Ordering::Relaxed);
        if state.uses != uses {
            state.uses = uses;
            let is_refusal = |verdict: &Verdict| matches!(verdict, Verdict::Refused);
            state.questions.forget_where(is_refusal);
        }
        match state.questions.ask(name, now.into_std()) {
            Ask::Known(verdict, left) => Progress::Answered(self.answer(&verdict, left).0),
            Ask::Send => {
                self.send_question(name);
                state.wait(name)
            }
            Ask::Wait => state.wait(name),
            Ask::TooMany => Progress::Answered(Answer::ServerFailure),
        }
    }

    /// Waits for the answer to a question that has gone up.
    pub async fn wait(&self, answer: oneshot::Receiver<Answer>) -> Answer {
        match timeout(QUESTION_TIMEOUT, answer).await {
            Ok(answer) => answer.unwrap_or(Answer::ServerFailure),
            Err(_) => {
                self.state().expire(Instant::now());
                Answer::ServerFailure
            }
        }
    }

    fn send_question(&self, name: &str) {
        self.carriers.send(Message::Question(egress::Question {
            name: name.to_owned(),
        }));
    }

    /// The carrier's verdict on a name. It is dropped if no question waits for it.
    pub fn decide(&self, told: egress::Verdict) {
        let mut state = self.state();
        let name = &*told.name;
        if !state.waiters.contains_key(name) {
            return;
        }
        let verdict = match told.verdict {
            Some(verdict::Verdict::Allowed(allowed)) => checked(allowed),
            Some(verdict::Verdict::Refused(_)) => Some(Verdict::Refused),
            Some(verdict::Verdict::Failed(_)) | None => None,
        };
        let Some(verdict) = verdict else {
            state.questions.failed(name);
            return state.answer_waiters(name, Answer::ServerFailure);
        };
        let (answer, is_open) = self.answer(&verdict, ANSWER_TTL);
        // So that a port that is in use is tried, and reported, once for each command.
        let kept = if is_open { verdict } else { Verdict::Refused };
        let now = Instant::now().into_std();
        state.questions.answered(name, kept, now);
        state.answer_waiters(name, answer);
    }

    /// The answer by a verdict that counts for `left`, and whether it is as the verdict says.
    fn answer(&self, verdict: &Verdict, left: Duration) -> (Answer, bool) {
        let Verdict::Allowed { host, ports } = verdict else {
            return (Answer::NoSuchName, true);
        };
        match self.listeners.open(host, ports) {
            Ok(address) => {
                let ttl = u32::try_from(left.as_secs()).unwrap_or(u32::MAX);
                (Answer::Address(address, ttl), true)
            }
            Err(error) => {
                self.carriers.send(Message::NotListening(NotListening {
                    host: host.to_string(),
                    port: error.port.into(),
                    cause: error.cause.into(),
                }));
                (Answer::NoSuchName, false)
            }
        }
    }

    /// The carrier's rules are others now.
    pub fn forget(&self) {
        self.state().questions.forget();
    }

    /// Another server carries: what the one before it said is forgotten, and what it has not
    /// answered is asked again.
    pub fn carrier_changed(&self) {
        let mut state = self.state();
        state.expire(Instant::now());
        state.questions.forget();
        for name in state.waiters.keys() {
            self.send_question(name);
        }
    }
}

/// `None` where a port is no port: no server sends that.
fn checked(allowed: Allowed) -> Option<Verdict> {
    let port = |port: u32| u16::try_from(port).ok().filter(|port| *port != 0);
    let ports: Option<Arc<[u16]>> = allowed.ports.into_iter().map(port).collect();
    Some(Verdict::Allowed {
        host: allowed.host.into(),
        ports: ports?,
    })
}
