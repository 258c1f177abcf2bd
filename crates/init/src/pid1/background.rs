//! What a command left running when it ended. It was asked for, so it lives on,
//! and keeps the sandbox, until `background_ttl` after the user's last call.

use std::sync::Arc;
use std::time::Duration;

use super::commands::Commands;
use super::life::{Busy, Life};
use super::process::Process;

/// Keeps the sandbox while something of `process` is left, and ends that when
/// its time is over.
pub async fn keep(mut process: Process, commands: Arc<Commands>, busy: Busy) {
    tokio::select! {
        () = process.emptied() => {}
        () = expired(&commands.life, commands.background_ttl) => {
            commands.end_tree(&mut process, None).await;
        }
    }
    drop(busy);
}

/// Resolves when no call came for `ttl`.
async fn expired(life: &Life, ttl: Duration) {
    loop {
        let end = life.last_call() + ttl;
        tokio::time::sleep_until(end).await;
        if life.last_call() + ttl <= end {
            return;
        }
    }
}
