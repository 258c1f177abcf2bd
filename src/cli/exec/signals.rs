//! Signals that are passed on to the command.

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// While this exists, they do not end this program.
pub struct Signals([(SignalKind, Signal); 3]);

impl Signals {
    /// Listens to SIGINT, SIGTERM and SIGHUP.
    ///
    /// # Errors
    /// The system refuses a handler.
    pub fn listen() -> anyhow::Result<Self> {
        let listen = |kind| Ok::<_, anyhow::Error>((kind, signal(kind).context("a signal")?));
        Ok(Self([
            listen(SignalKind::interrupt())?,
            listen(SignalKind::terminate())?,
            listen(SignalKind::hangup())?,
        ]))
    }

    /// The number of the next one. Safe to cancel.
    pub async fn next(&mut self) -> i32 {
        let [(interrupt, a), (terminate, b), (hangup, c)] = &mut self.0;
        let kind = tokio::select! {
            _ = a.recv() => interrupt,
            _ = b.recv() => terminate,
            _ = c.recv() => hangup,
        };
        kind.as_raw_value()
    }
}
