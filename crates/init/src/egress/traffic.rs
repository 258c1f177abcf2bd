//! How much passes, for the operator.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use bytes::Bytes;
use casemate_protocol::EgressStats;

/// The connections of the container, since PID 1 started.
#[derive(Debug, Default)]
pub struct Traffic {
    open: AtomicU32,
    begun: AtomicU64,
    sent_bytes: AtomicU64,
    received_bytes: AtomicU64,
}

/// One open connection, until it is dropped.
#[derive(Debug)]
pub struct OpenGuard<'a>(&'a Traffic);

impl Drop for OpenGuard<'_> {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Relaxed);
    }
}

impl Traffic {
    /// One more connection.
    pub fn open(&self) -> OpenGuard<'_> {
        self.open.fetch_add(1, Relaxed);
        self.begun.fetch_add(1, Relaxed);
        OpenGuard(self)
    }

    /// From a program.
    pub fn sent(&self, bytes: usize) {
        self.sent_bytes.fetch_add(bytes as u64, Relaxed);
    }

    /// From a host.
    pub fn received(&self, bytes: usize) {
        self.received_bytes.fetch_add(bytes as u64, Relaxed);
    }

    pub fn stats(&self, rules_hash: Bytes) -> EgressStats {
        EgressStats {
            rules_hash,
            open_connections: self.open.load(Relaxed),
            connections: self.begun.load(Relaxed),
            sent_bytes: self.sent_bytes.load(Relaxed),
            received_bytes: self.received_bytes.load(Relaxed),
        }
    }
}
