//! What became of the changes to files that were asked for lately, by the id that
//! the server chose for the call: asked again, because a channel broke before the
//! answer, a change is answered with what the first try did and is not made twice.
//!
//! ```text
//!  id ─► not known ─► running ──settled──► kept ─► forgotten, the oldest first
//!            ▲           │
//!            └───────────┘ given up before it changed anything
//! ```
//!
//! An id whose first try still runs waits for it, and becomes the first where that
//! one is given up.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use casemate_protocol::{Failure, FailureExt as _, failure::Code};
use tokio::sync::watch;
use tokio::time::Instant;

/// Replies kept of each kind of call: 256 calls of one user at once are the most that a server can be set
/// to. The largest reply, of an edit, has 8 KiB of text: 2 MiB in all.
const REPLY_LIMIT: usize = 256;

/// How long each is kept even so: a server asks again within the 30 s of its call, and others may make
/// many changes meanwhile.
const ASKED_AGAIN: Duration = Duration::from_secs(60);

/// Replies kept at most, however young: 32 MiB of the largest ones.
const YOUNG_REPLY_LIMIT: usize = 4096;

/// Longest id in bytes.
const MAX_ID: usize = 64;

/// The replies to one kind of call.
#[derive(Debug)]
pub struct IdempotencyCache<T>(Arc<Mutex<Table<T>>>);

#[derive(Debug)]
struct Table<T> {
    slots: HashMap<String, Slot<T>>,
    /// In the order they were settled.
    kept: VecDeque<(String, Instant)>,
}

#[derive(Debug)]
enum Slot<T> {
    /// Closed when it is settled or given up.
    Running(watch::Receiver<()>),
    Kept(Result<T, Failure>),
}

/// What a call with an id is to do.
#[derive(Debug)]
pub enum Claim<T> {
    /// The change.
    First(ClaimTicket<T>),
    /// Nothing: this is what the first try did.
    Again(Result<T, Failure>),
}

/// The right to make the change. If it is dropped without a reply, no change was made.
#[derive(Debug)]
pub struct ClaimTicket<T> {
    table: Arc<Mutex<Table<T>>>,
    /// Empty: the request is not repeated.
    id: String,
    settled: bool,
    _running: watch::Sender<()>,
}

impl<T> Default for IdempotencyCache<T> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Table {
            slots: HashMap::new(),
            kept: VecDeque::new(),
        })))
    }
}

impl<T> Table<T> {
    fn forget_old(&mut self) {
        while let Some((oldest, settled)) = self.kept.front() {
            let is_needed = self.kept.len() <= YOUNG_REPLY_LIMIT && settled.elapsed() < ASKED_AGAIN;
            if self.kept.len() <= REPLY_LIMIT || is_needed {
                return;
            }
            self.slots.remove(oldest);
            self.kept.pop_front();
        }
    }
}

impl<T: Clone> IdempotencyCache<T> {
    /// Waits for a first try that still runs.
    ///
    /// # Errors
    /// `INVALID` for an id of over 64 bytes.
    pub async fn turn(&self, id: &str) -> Result<Claim<T>, Failure> {
        if id.len() > MAX_ID {
            return Err(Failure::new(Code::Invalid, "an id of more than 64 bytes"));
        }
        loop {
            let mut running = match self.look(id) {
                Ok(turn) => return Ok(turn),
                Err(running) => running,
            };
            // Nothing is ever sent: it ends when the ticket is dropped.
            while running.changed().await.is_ok() {}
        }
    }

    fn look(&self, id: &str) -> Result<Claim<T>, watch::Receiver<()>> {
        let mut table = lock(&self.0);
        match table.slots.get(id) {
            Some(Slot::Running(running)) => Err(running.clone()),
            Some(Slot::Kept(reply)) => Ok(Claim::Again(reply.clone())),
            None => {
                let (sender, running) = watch::channel(());
                if !id.is_empty() {
                    table.slots.insert(id.to_owned(), Slot::Running(running));
                }
                Ok(Claim::First(ClaimTicket {
                    table: self.0.clone(),
                    id: id.to_owned(),
                    settled: false,
                    _running: sender,
                }))
            }
        }
    }
}

impl<T: Clone> ClaimTicket<T> {
    /// Keeps what was done. A call that was given up has changed nothing, and a
    /// second try may do it.
    pub fn settle(mut self, reply: &Result<T, Failure>) {
        let given_up = matches!(reply, Err(failure) if failure.code() == Code::Cancelled);
        if given_up || self.id.is_empty() {
            return;
        }
        self.settled = true;
        let mut table = lock(&self.table);
        let id = std::mem::take(&mut self.id);
        table.kept.push_back((id.clone(), Instant::now()));
        table.slots.insert(id, Slot::Kept(reply.clone()));
        table.forget_old();
    }
}

impl<T> Drop for ClaimTicket<T> {
    fn drop(&mut self) {
        if !self.settled {
            lock(&self.table).slots.remove(&self.id);
        }
    }
}

fn lock<T>(table: &Mutex<Table<T>>) -> MutexGuard<'_, Table<T>> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn first(replies: &IdempotencyCache<u32>, id: &str) -> ClaimTicket<u32> {
        match replies.turn(id).await {
            Ok(Claim::First(ticket)) => ticket,
            other => panic!("not the first: {other:?}"),
        }
    }

    async fn again(replies: &IdempotencyCache<u32>, id: &str) -> Result<u32, Failure> {
        match replies.turn(id).await {
            Ok(Claim::Again(reply)) => reply,
            other => panic!("not known: {other:?}"),
        }
    }

    fn failed(code: Code) -> Result<u32, Failure> {
        Err(Failure::new(code, "it failed"))
    }

    #[tokio::test]
    async fn who_asks_again_gets_what_the_first_try_did() {
        let replies = IdempotencyCache::default();
        first(&replies, "done").await.settle(&Ok(7));
        first(&replies, "failed")
            .await
            .settle(&failed(Code::NoSpace));
        for _ in 0..2 {
            assert_eq!(again(&replies, "done").await, Ok(7));
            assert_eq!(again(&replies, "failed").await, failed(Code::NoSpace));
        }
    }

    #[tokio::test]
    async fn who_asks_while_the_first_try_runs_waits_for_it() {
        let replies = IdempotencyCache::default();
        let ticket = first(&replies, "a").await;
        let waiting = again(&replies, "a");
        tokio::pin!(waiting);
        tokio::select! {
            biased;
            early = &mut waiting => panic!("answered early: {early:?}"),
            () = tokio::task::yield_now() => {}
        }
        ticket.settle(&Ok(7));
        assert_eq!(waiting.await, Ok(7));
    }

    #[tokio::test]
    async fn what_was_given_up_is_done_by_one_of_those_who_wait() {
        let replies = IdempotencyCache::default();
        let ticket = first(&replies, "a").await;
        let next = async {
            let ticket = first(&replies, "a").await;
            ticket.settle(&Ok(8));
        };
        tokio::join!(next, async { drop(ticket) });
        assert_eq!(again(&replies, "a").await, Ok(8));

        first(&replies, "b").await.settle(&failed(Code::Cancelled));
        first(&replies, "b").await.settle(&Ok(9));
        assert_eq!(again(&replies, "b").await, Ok(9));
    }

    #[tokio::test]
    async fn without_an_id_every_call_is_the_first_and_nothing_is_kept() {
        let replies = IdempotencyCache::default();
        let one = first(&replies, "").await;
        let two = first(&replies, "").await;
        one.settle(&Ok(1));
        two.settle(&Ok(2));
        drop(first(&replies, "").await);
        assert!(lock(&replies.0).slots.is_empty());
        assert!(replies.turn(&"x".repeat(65)).await.is_err());
    }

    async fn settle_many(replies: &IdempotencyCache<u32>, numbers: std::ops::Range<usize>) {
        for number in numbers {
            let ticket = first(replies, &number.to_string()).await;
            ticket.settle(&Ok(0));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_replies_are_forgotten_when_no_server_asks_for_them_any_more() {
        let replies = IdempotencyCache::default();
        let running = first(&replies, "running").await;
        settle_many(&replies, 0..2 * REPLY_LIMIT).await;
        assert_eq!(again(&replies, "0").await, Ok(0), "it is young");
        tokio::time::advance(ASKED_AGAIN).await;
        settle_many(&replies, 2 * REPLY_LIMIT..2 * REPLY_LIMIT + 1).await;
        let oldest = REPLY_LIMIT + 1;
        drop(first(&replies, &(oldest - 1).to_string()).await);
        assert_eq!(again(&replies, &oldest.to_string()).await, Ok(0));
        running.settle(&Ok(7));
        assert_eq!(again(&replies, "running").await, Ok(7));
        let table = lock(&replies.0);
        assert_eq!(
            (table.slots.len(), table.kept.len()),
            (REPLY_LIMIT, REPLY_LIMIT)
        );
    }

    #[tokio::test]
    async fn of_a_flood_of_changes_a_bounded_number_is_kept() {
        let replies = IdempotencyCache::default();
        settle_many(&replies, 0..YOUNG_REPLY_LIMIT + 1).await;
        drop(first(&replies, "0").await);
        assert_eq!(again(&replies, "1").await, Ok(0));
        assert_eq!(lock(&replies.0).kept.len(), YOUNG_REPLY_LIMIT);
    }
}
