//! How connections leave a sandbox that has no network, as far as PID 1 is concerned: docs/egress.md.
//!
//! ```text
//!  127.0.0.1:53 ──► resolver ──question──► carrier (the server) ──verdict──► resolver
//!                                                                 │ allowed: listen
//!  127.64.0.7:443 ──► listeners ──► connections ──opened──► carrier ──Connect──► forward
//! ```
//!
//! Nothing is decided here: this process has the user's own uid. The server decides about each name
//! and each connection. The bounds here limit the cost of a user's programs for PID 1 and the server.
//!
//! Nothing listens until a server calls `Carry` for the first time. A server that is older than
//! egress never does, and leaves the sandbox as it was.

mod carrier;
mod connections;
mod dns;
mod forward;
mod listeners;
mod resolver;
mod service;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod traffic;

use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use casemate_protocol::EgressStats;
use rustix::process::{Resource, getrlimit};
use tokio::sync::Semaphore;

use self::carrier::Carriers;
use self::connections::WaitingConnections;
use self::listeners::OpenListeners;
use self::resolver::Resolver;

/// Where `/etc/resolv.conf` sends every question. Docker lets any user bind the port.
const DNS_ADDRESS: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 53);

/// The share of PID 1's descriptors that egress may use. The rest is for commands and files.
const DESCRIPTOR_SHARE: u64 = 2;

/// What PID 1 does for egress. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Egress {
    dns_address: SocketAddrV4,
    carriers: Arc<Carriers>,
    connections: Arc<WaitingConnections>,
    listeners: Arc<OpenListeners>,
    resolver: Arc<Resolver>,
    descriptors: Arc<Semaphore>,
    is_started: Arc<AtomicBool>,
}

impl Egress {
    /// Nothing is opened yet. `uses` grows with each call of the server that uses the sandbox.
    pub fn new(uses: Arc<AtomicU64>) -> Self {
        // Never unlimited: the kernel refuses that for descriptors.
        let limit = getrlimit(Resource::Nofile).current.unwrap_or(0);
        let descriptors = usize::try_from(limit / DESCRIPTOR_SHARE).unwrap_or(usize::MAX);
        Self::with(DNS_ADDRESS, descriptors, uses)
    }

    fn with(dns_address: SocketAddrV4, descriptors: usize, uses: Arc<AtomicU64>) -> Self {
        let descriptors = Arc::new(Semaphore::new(descriptors.min(Semaphore::MAX_PERMITS)));
        let carriers = Arc::new(Carriers::default());
        let connections = Arc::new(WaitingConnections::new(carriers.clone()));
        let listeners = Arc::new(OpenListeners::new(connections.clone(), descriptors.clone()));
        let resolver = Arc::new(Resolver::new(carriers.clone(), listeners.clone(), uses));
        Self {
            dns_address,
            carriers,
            connections,
            listeners,
            resolver,
            descriptors,
            is_started: Arc::default(),
        }
    }

    /// Opens the DNS server, once.
    fn start(&self) {
        if self.is_started.swap(true, Ordering::Relaxed) {
            return;
        }
        dns::start(self.dns_address, &self.resolver, &self.descriptors);
        tokio::spawn(self.listeners.clone().sweep());
    }

    /// For the operator; `None`: no server has carried yet.
    pub fn stats(&self) -> Option<EgressStats> {
        let is_started = self.is_started.load(Ordering::Relaxed);
        let rules_hash = self.carriers.rules_hash();
        is_started.then(|| self.connections.traffic().stats(rules_hash))
    }

    /// PID 1 is ending: the calls end, so that their connections to the server can close.
    pub fn end(&self) {
        self.carriers.close();
    }
}
