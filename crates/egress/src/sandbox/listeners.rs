use std::collections::HashMap;
use std::net::SocketAddrV4;
use std::time::{Duration, Instant};

/// Listeners that are open at a time.
pub const LISTENER_LIMIT: usize = 256;

/// How long a listener stays open after the last answer that named it, and after its last
/// connection. Twice as long as any answer counts.
pub const LISTENER_IDLE_TIMEOUT: Duration = Duration::from_secs(120);

/// A listener: the name's own address, and the port.
pub type Key = SocketAddrV4;

/// Which listeners are open, and since when each is idle.
///
/// ```text
///  closed ──answered──► idle ──connected──► in use
///     ▲                  │ ▲                  │
///     └─IDLE_TIMEOUT─────┘ └──the last ends───┘
/// ```
#[derive(Debug, Default)]
pub struct Listeners(HashMap<Key, Use>);

#[derive(Debug)]
struct Use {
    connections: usize,
    idle_since: Instant,
}

/// What an answer asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// Bind and listen; where that fails, [`Listeners::close`].
    Open,
    /// It is open.
    IsOpen,
    /// [`LISTENER_LIMIT`] are open.
    Full,
}

impl Listeners {
    /// A name is answered with `key`'s address: a connection may follow.
    pub fn answered(&mut self, key: Key, now: Instant) -> Opening {
        if let Some(known) = self.0.get_mut(&key) {
            known.idle_since = now;
            return Opening::IsOpen;
        }
        if self.0.len() >= LISTENER_LIMIT {
            return Opening::Full;
        }
        self.0.insert(
            key,
            Use {
                connections: 0,
                idle_since: now,
            },
        );
        Opening::Open
    }

    /// A connection was accepted. Its end is told to [`Listeners::disconnected`].
    pub fn connected(&mut self, key: Key) {
        if let Some(known) = self.0.get_mut(&key) {
            known.connections += 1;
        }
    }

    /// A connection ended.
    pub fn disconnected(&mut self, key: Key, now: Instant) {
        if let Some(known) = self.0.get_mut(&key) {
            known.connections = known.connections.saturating_sub(1);
            known.idle_since = now;
        }
    }

    /// It could not be opened, or has failed.
    pub fn close(&mut self, key: Key) {
        self.0.remove(&key);
    }

    /// Takes out what has been idle for [`LISTENER_IDLE_TIMEOUT`]: the caller closes it.
    pub fn expire(&mut self, now: Instant) -> Vec<Key> {
        let is_idle = |_: &Key, known: &mut Use| {
            known.connections == 0
                && now.saturating_duration_since(known.idle_since) >= LISTENER_IDLE_TIMEOUT
        };
        self.0.extract_if(is_idle).map(|(key, _)| key).collect()
    }

    /// Listeners that are open.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none is open.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests;
