use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

/// How long an answer of the server counts. casemate-init forgets a refusal earlier: when the server
/// next uses the sandbox.
pub const ANSWER_TTL: Duration = Duration::from_secs(60);

/// Answers that are kept; the oldest goes first.
pub const ANSWER_LIMIT: usize = 1024;

/// Questions that go up to the server in any one second.
pub const QUESTION_RATE: usize = 50;

/// How long the server may take to answer, and how long a carrier may be missing.
pub const QUESTION_TIMEOUT: Duration = Duration::from_secs(3);

/// The window of [`QUESTION_RATE`].
const WINDOW: Duration = Duration::from_secs(1);

/// The questions to the server, and its answers of type `A`.
///
/// ```text
///  ask ─► kept ──► Known(answer)
///      ─► asked already ──► Wait
///      ─► too many lately ──► TooMany
///      ─► else ──► Send ──answered──► kept for ANSWER_TTL
///                       └─failed, QUESTION_TIMEOUT──► forgotten
/// ```
#[derive(Debug)]
pub struct Questions<A> {
    answers: HashMap<Box<str>, (Instant, A)>,
    /// The names of `answers`, the oldest first.
    order: VecDeque<Box<str>>,
    waiting: HashMap<Box<str>, Instant>,
    /// When questions were sent lately.
    sent: VecDeque<Instant>,
}

/// What to do about a question for a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask<A> {
    /// Answer with this, which counts for so much longer.
    Known(A, Duration),
    /// Send it to the server, and wait for its answer.
    Send,
    /// It was sent already: wait for the same answer.
    Wait,
    /// Answer that the server failed.
    TooMany,
}

impl<A> Default for Questions<A> {
    fn default() -> Self {
        Self {
            answers: HashMap::new(),
            order: VecDeque::new(),
            waiting: HashMap::new(),
            sent: VecDeque::new(),
        }
    }
}

impl<A: Clone> Questions<A> {
    /// A program asks for `name`. `now` never goes back.
    pub fn ask(&mut self, name: &str, now: Instant) -> Ask<A> {
        if let Some((at, answer)) = self.answers.get(name) {
            let age = now.saturating_duration_since(*at);
            if age < ANSWER_TTL {
                return Ask::Known(answer.clone(), ANSWER_TTL - age);
            }
        }
        if self.waiting.contains_key(name) {
            return Ask::Wait;
        }
        let is_old = |at: &Instant| now.saturating_duration_since(*at) >= WINDOW;
        while self.sent.front().is_some_and(is_old) {
            self.sent.pop_front();
        }
        if self.sent.len() >= QUESTION_RATE {
            return Ask::TooMany;
        }
        self.sent.push_back(now);
        self.waiting.insert(name.into(), now);
        Ask::Send
    }

    /// The server answered. An answer to a name for which no question waits is dropped: no
    /// program asked for it, or it came too late. Returns whether it was kept.
    pub fn answered(&mut self, name: &str, answer: A, now: Instant) -> bool {
        if self.waiting.remove(name).is_none() {
            return false;
        }
        if self.answers.insert(name.into(), (now, answer)).is_some() {
            self.order.retain(|known| **known != *name);
        }
        self.order.push_back(name.into());
        if self.order.len() > ANSWER_LIMIT
            && let Some(oldest) = self.order.pop_front()
        {
            self.answers.remove(&oldest);
        }
        true
    }

    /// The server could not tell: nothing is kept, and the next question for `name` is sent again.
    /// Returns whether somebody waits for it.
    pub fn failed(&mut self, name: &str) -> bool {
        self.waiting.remove(name).is_some()
    }

    /// Gives up the questions that have waited for [`QUESTION_TIMEOUT`], and returns their names:
    /// they are answered that the server failed.
    pub fn expire(&mut self, now: Instant) -> Vec<Box<str>> {
        let late = self
            .waiting
            .extract_if(|_, at| now.saturating_duration_since(*at) >= QUESTION_TIMEOUT);
        late.map(|(name, _)| name).collect()
    }

    /// Forgets the answers that `is_over` is true for.
    pub fn forget_where(&mut self, is_over: impl Fn(&A) -> bool) {
        self.answers.retain(|_, (_, answer)| !is_over(answer));
        self.order.retain(|name| self.answers.contains_key(name));
    }

    /// Forgets every answer: the carrier is another server, or its rules changed.
    pub fn forget(&mut self) {
        self.answers.clear();
        self.order.clear();
    }
}

#[cfg(test)]
mod tests;
