//! Whether a TLS connection names the host that it was allowed for, before a byte reaches it.
//!
//! ```text
//!  client ─► [records ─► handshake messages ─► ClientHello ─► server name = host?] ─► peer
//!            held until each message is whole and judged
//!  peer ───► the first record that decides: from here on nothing is read any more
//! ```
//!
//! A ClientHello may come in any number of records, and a second one follows where the peer asks
//! for it (HelloRetryRequest, RFC 8446, section 4.1.4). So every handshake message of the client
//! is read until the peer has sent a record that is no HelloRetryRequest, no alert, and no
//! ChangeCipherSpec: servers send that right after a HelloRetryRequest (RFC 8446, appendix D.4).
//!
//! With Encrypted Client Hello the outer server name counts: the inner one cannot be read, and a
//! decoy extension (GREASE) cannot be told from a real one.

mod client;
mod hello;
mod peer;
mod record;

use std::time::Duration;

use crate::{HostName, Reason};
use client::Client;
use peer::Peer;
pub use record::{HELD_LIMIT, MESSAGE_LIMIT};

/// The first ClientHello has to be whole so long after the connection.
pub const HELLO_TIMEOUT: Duration = Duration::from_secs(10);

/// Reads the beginning of one connection in both directions.
///
/// The caller gives it every byte before it passes it on, sends the peer what [`HelloGate::take`]
/// returns and nothing else, and connects to the peer no earlier than at the first
/// [`Verdict::Pass`].
#[derive(Debug)]
pub struct HelloGate {
    host: HostName,
    client: Client,
    peer: Peer,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Reading,
    /// The peer has answered: all following bytes pass.
    Open,
    Refused(Reason),
}

/// The decision about the bytes of the client so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The last of them are held until more come.
    NeedMore,
    /// All of them may pass.
    Pass,
    /// The connection is closed. It stays so.
    Refuse(Reason),
}

impl HelloGate {
    /// For a connection that was allowed to `host`.
    #[must_use]
    pub fn new(host: HostName) -> Self {
        Self {
            host,
            client: Client::default(),
            peer: Peer::default(),
            state: State::Reading,
        }
    }

    /// Adds bytes that the client sent.
    pub fn client(&mut self, bytes: &[u8]) -> Verdict {
        match self.state {
            State::Refused(_) => {}
            State::Open => self.client.pass(bytes),
            State::Reading => {
                if let Err(reason) = self.client.read(bytes, &self.host) {
                    self.state = State::Refused(reason);
                }
            }
        }
        self.verdict()
    }

    /// Adds bytes that the peer sent; they may be passed on unless the answer is a refusal.
    pub fn peer(&mut self, bytes: &[u8]) -> Verdict {
        if self.state == State::Reading && self.peer.decides(bytes) {
            // A message that began before the peer's answer would pass unread.
            self.state = match self.client.open() {
                Ok(()) => State::Open,
                Err(reason) => State::Refused(reason),
            };
        }
        self.verdict()
    }

    /// Takes the bytes of the client that may be sent to the peer; none after a refusal.
    pub fn take(&mut self) -> Vec<u8> {
        match self.state {
            State::Refused(_) => Vec::new(),
            State::Reading | State::Open => self.client.take(),
        }
    }

    /// Whether everything passes from now on, so that the gate is not needed any more once
    /// [`HelloGate::take`] was called.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.state == State::Open
    }

    fn verdict(&self) -> Verdict {
        match self.state {
            State::Refused(reason) => Verdict::Refuse(reason),
            State::Reading if self.client.is_holding() => Verdict::NeedMore,
            State::Reading | State::Open => Verdict::Pass,
        }
    }
}

#[cfg(test)]
mod tests;
