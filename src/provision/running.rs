//! A container that runs, and how it is known that it ended.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::channel::Channel;
use crate::engine::{EndedContainer, Engine};

/// From a wait for a removal that broke to the next: an Engine that starts again
/// takes a second.
const WAIT_RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// A container that runs, as the owner knows it.
#[derive(Debug)]
pub struct Running {
    /// Its id.
    pub container: Arc<str>,
    /// To its PID 1.
    pub channel: Channel,
    /// Changes once: when it is gone.
    pub removal: watch::Receiver<Removal>,
    /// Its workspace was made with it, and is empty.
    pub workspace_is_new: bool,
}

/// Whether a container is gone, and how its PID 1 ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    /// It is there.
    Pending,
    /// It is gone, as the Engine says.
    Ended(EndedContainer),
}

impl Removal {
    /// Whether it is gone.
    pub fn is_known(&self) -> bool {
        *self != Self::Pending
    }

    /// How it ended, as far as the Engine saw it.
    pub fn end(self) -> EndedContainer {
        match self {
            Self::Ended(end) => end,
            Self::Pending => EndedContainer::default(),
        }
    }
}

/// The one wait that knows how the container ends. It breaks when the Engine goes, and is
/// then repeated: the container may have outlived the Engine. It runs beside the next step,
/// even beside the start. A container that starts, ends and is removed before the Engine has
/// the request has no exit code.
pub fn watch_removal(engine: &Engine, id: &str) -> watch::Receiver<Removal> {
    let (sender, receiver) = watch::channel(Removal::Pending);
    let (engine, id) = (engine.clone(), id.to_owned());
    tokio::spawn(async move {
        loop {
            let removed = tokio::select! {
                removed = engine.ended(&id) => removed,
                () = sender.closed() => return,
            };
            if let Ok(removed) = removed {
                sender.send_replace(Removal::Ended(removed));
                return;
            }
            tokio::time::sleep(WAIT_RETRY_INTERVAL).await;
        }
    });
    receiver
}
