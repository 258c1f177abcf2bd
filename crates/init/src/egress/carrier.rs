//! The server that answers questions and makes connections: one at a time, the newest.
//!
//! ```text
//!  no one ──Carry──► a server carries ──Carry of a newer one──► that one carries
//!    ▲                  │     └──Carry of an older one──► that one is told `Superseded`
//!    └──its call ends───┘
//! ```

use std::cmp::Ordering;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use bytes::Bytes;
use casemate_protocol::egress::sandbox_message::Message;
use casemate_protocol::egress::{Carrier, SandboxMessage, Superseded};
use tokio::sync::{mpsc, watch};
use tonic::Status;

/// Messages that wait for the carrier: more than the questions of the 3 s for which each waits.
const OUTBOX_LIMIT: usize = 256;

/// Of two servers the one with the greater rank carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank {
    /// Before the version: a verb, which lives for one command, takes nothing over from a server.
    is_server: bool,
    version: [u64; 3],
    since_ms: i64,
}

impl Rank {
    /// `None` where the version is not MAJOR.MINOR.PATCH.
    pub fn of(carrier: &Carrier) -> Option<Self> {
        let parts: Result<Vec<_>, _> = carrier.version.split('.').map(str::parse).collect();
        Some(Self {
            is_server: carrier.since_ms != 0,
            version: parts.ok()?.try_into().ok()?,
            since_ms: carrier.since_ms,
        })
    }
}

/// Messages for one carrier.
pub type Outbox = mpsc::Sender<Result<SandboxMessage, Status>>;

/// The other end, which is the answer to its call.
pub type Messages = mpsc::Receiver<Result<SandboxMessage, Status>>;

/// One call of `Carry`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CarrierId(u64);

#[derive(Debug)]
struct Current {
    id: CarrierId,
    rank: Rank,
    rules_hash: Bytes,
    outbox: Outbox,
}

/// The server that carries.
#[derive(Debug)]
pub struct Carriers {
    current: watch::Sender<Option<Current>>,
    next: AtomicU64,
    is_closed: AtomicBool,
}

impl Default for Carriers {
    fn default() -> Self {
        Self {
            current: watch::Sender::new(None),
            next: AtomicU64::new(0),
            is_closed: AtomicBool::new(false),
        }
    }
}

impl Carriers {
    /// Lets a server carry, and tells the one before it. Refused while a newer one carries, and when
    /// PID 1 ends. Of two calls of the same rank the later one carries if it is of a server: that calls
    /// again when it has lost its first call, even where PID 1 has not noticed yet. Two verbs would
    /// take over from each other without end.
    ///
    /// # Errors
    /// The message that ends the call of the other.
    pub fn adopt(
        &self,
        rank: Rank,
        rules_hash: Bytes,
    ) -> Result<(CarrierId, Messages), SandboxMessage> {
        if self.is_closed.load(Relaxed) {
            return Err(superseded_by(&Bytes::new()));
        }
        let (outbox, messages) = mpsc::channel(OUTBOX_LIMIT);
        let id = CarrierId(self.next.fetch_add(1, Relaxed));
        let mut superseded = None;
        let mut newer = None;
        let hash = rules_hash.clone();
        self.current.send_if_modified(|current| {
            let is_newer = |known: &&Current| match known.rank.cmp(&rank) {
                Ordering::Less => false,
                Ordering::Equal => !rank.is_server,
                Ordering::Greater => true,
            };
            newer = current
                .as_ref()
                .filter(is_newer)
                .map(|known| superseded_by(&known.rules_hash));
            if newer.is_some() {
                return false;
            }
            superseded = current.replace(Current {
                id,
                rank,
                rules_hash,
                outbox,
            });
            true
        });
        if let Some(newer) = newer {
            return Err(newer);
        }
        if let Some(known) = superseded {
            // Where it has not read for long, its call ends without the message; if it calls
            // again, it is told then.
            let _ = known.outbox.try_send(Ok(superseded_by(&hash)));
        }
        Ok((id, messages))
    }

    /// The rules of a carrier changed.
    pub fn set_rules_hash(&self, id: CarrierId, rules_hash: Bytes) {
        self.current.send_if_modified(|current| {
            if let Some(known) = current.as_mut().filter(|known| known.id == id) {
                known.rules_hash = rules_hash;
            }
            // Nobody waits for it.
            false
        });
    }

    /// Of the rules of the carrier; empty while none carries.
    pub fn rules_hash(&self) -> Bytes {
        let current = self.current.borrow();
        let hash = current.as_ref().map(|known| known.rules_hash.clone());
        hash.unwrap_or_default()
    }

    /// Its call has ended.
    pub fn release(&self, id: CarrierId) {
        self.current.send_if_modified(|current| {
            let is_current = current.as_ref().is_some_and(|known| known.id == id);
            if is_current {
                *current = None;
            }
            is_current
        });
    }

    /// Ends the call, and accepts no other.
    pub fn close(&self) {
        self.is_closed.store(true, Relaxed);
        self.current.send_replace(None);
    }

    /// The carrier, if there is one.
    pub fn current(&self) -> Option<CarrierId> {
        self.current.borrow().as_ref().map(|known| known.id)
    }

    /// Sends to the carrier, if there is one and it keeps up.
    pub fn send(&self, message: Message) {
        if let Some(known) = &*self.current.borrow() {
            let _ = known.outbox.try_send(Ok(wrapped(message)));
        }
    }

    /// Sends to the carrier, and again to each that carries after it, until this is dropped.
    pub async fn keep_sending(&self, message: Message) {
        let mut changes = self.current.subscribe();
        loop {
            let (id, outbox) = {
                // An error: this is the sender, and it is there.
                let Ok(current) = changes.wait_for(Option::is_some).await else {
                    return;
                };
                let Some(known) = &*current else { continue };
                (known.id, known.outbox.clone())
            };
            tokio::select! {
                // First: nothing is sent after `Superseded`.
                biased;
                () = self.gone(id) => {}
                _ = outbox.send(Ok(wrapped(message.clone()))) => {
                    // The call cannot end while a sender is left.
                    drop(outbox);
                    self.gone(id).await;
                }
            }
        }
    }

    /// Resolves when this one carries no longer.
    pub async fn gone(&self, id: CarrierId) {
        let mut changes = self.current.subscribe();
        let is_other = |current: &Option<Current>| current.as_ref().is_none_or(|c| c.id != id);
        let _ = changes.wait_for(is_other).await;
    }
}

/// The message that ends the call of an older server.
fn superseded_by(rules_hash: &Bytes) -> SandboxMessage {
    let rules_hash = rules_hash.clone();
    wrapped(Message::Superseded(Superseded { rules_hash }))
}

fn wrapped(message: Message) -> SandboxMessage {
    SandboxMessage {
        message: Some(message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rank(version: &str, since_ms: i64) -> Option<Rank> {
        Rank::of(&Carrier {
            version: version.to_owned(),
            since_ms,
            ..Carrier::default()
        })
    }

    #[test]
    fn the_version_ranks_before_the_start_and_by_its_numbers() {
        let order = [
            rank("0.9.9", 900),
            rank("0.10.0", 5),
            rank("0.10.0", 6),
            rank("1.0.0", -1),
        ];
        assert!(order.iter().all(Option::is_some) && order.is_sorted());
        for bad in ["", "1", "1.2", "1.2.3.4", "1.2.x", "1.2.-3", "1.2.3-dev"] {
            assert_eq!(rank(bad, 0), None, "{bad}");
        }
    }

    const OLD: &[u8] = &[1; 32];
    const NEW: &[u8] = &[2; 32];

    #[test]
    fn a_verb_carries_only_where_nobody_else_does() {
        let carriers = Carriers::default();
        let adopt = |version, since| {
            let rank = rank(version, since).expect("a rank");
            carriers.adopt(rank, Bytes::new())
        };
        let (verb, _messages) = adopt("0.1.0", 0).expect("no process carries");
        assert!(adopt("0.1.0", 0).is_err(), "another verb");
        let (server, _messages) = adopt("0.0.9", 7).expect("a server, and an older one at that");
        assert!(adopt("0.1.0", 0).is_err(), "a verb of a newer version");
        carriers.release(verb);
        assert_eq!(carriers.current(), Some(server));
    }

    #[test]
    fn the_newest_carries_and_the_others_are_told_by_which_rules() {
        let carriers = Carriers::default();
        let adopt = |version, since, hash| {
            let rank = rank(version, since).expect("a rank");
            carriers.adopt(rank, Bytes::from_static(hash))
        };
        let by = |hash| superseded_by(&Bytes::from_static(hash));
        let (first, mut messages) = adopt("0.1.0", 5, OLD).expect("no process carries");
        for (version, since) in [("0.1.0", 4), ("0.0.9", 900)] {
            assert_eq!(adopt(version, since, NEW).err(), Some(by(OLD)));
        }
        assert_eq!(
            (carriers.current(), &*carriers.rules_hash()),
            (Some(first), OLD)
        );
        let (second, _messages) = adopt("0.1.0", 5, NEW).expect("the same server, again");
        let told = messages.try_recv().expect("a message").expect("no error");
        assert_eq!(told, by(NEW));
        assert!(messages.try_recv().is_err() && messages.is_closed());
        carriers.release(first);
        carriers.set_rules_hash(first, Bytes::from_static(OLD));
        assert_eq!(carriers.current(), Some(second), "the first is long gone");
        assert_eq!(&*carriers.rules_hash(), NEW);
        carriers.set_rules_hash(second, Bytes::from_static(OLD));
        assert_eq!(&*carriers.rules_hash(), OLD);
        carriers.release(second);
        assert_eq!(
            (carriers.current(), &*carriers.rules_hash()),
            (None, &[][..])
        );
        assert!(adopt("0.0.1", 1, OLD).is_ok(), "no newer one is there");
        carriers.close();
        assert!(carriers.current().is_none() && adopt("9.0.0", 9, OLD).is_err());
    }
}
