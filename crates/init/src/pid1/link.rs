//! What PID 1 knows of one connection of a server: how it ended decides how long a command that was
//! watched over it runs on without a watcher.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// One connection of a server. Clones are the same one.
#[derive(Debug, Clone, Default)]
pub struct Link(Arc<State>);

#[derive(Debug, Default)]
struct State {
    ended: AtomicBool,
    departs: AtomicBool,
}

impl Link {
    /// The server said that it is about to end.
    pub fn depart(&self) {
        self.0.departs.store(true, Ordering::Relaxed);
    }

    /// The connection ended.
    pub fn end(&self) {
        self.0.ended.store(true, Ordering::Relaxed);
    }

    /// Whether it broke: its server may live, and come back.
    pub fn is_lost(&self) -> bool {
        self.0.ended.load(Ordering::Relaxed) && !self.0.departs.load(Ordering::Relaxed)
    }
}
