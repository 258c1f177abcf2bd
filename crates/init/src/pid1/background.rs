//! What a command left running when it ended. It was asked for, so it lives on,
//! and keeps the sandbox, until `background_ttl` after the user's last call, or
//! until it leaves no room for the next command.

use std::sync::Arc;
use std::time::Duration;

use super::cgroup;
use super::commands::Commands;
use super::lifecycle::{ActivityGuard, Lifecycle};
use super::process::Process;
use crate::tree;

/// Between two looks at how many processes there are.
const PROCESS_CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Processes of one tree in the background: a development server has a dozen, a
/// fork bomb has them all.
const TREE_PROCESS_LIMIT: usize = 64;

/// Keeps the sandbox while something of `process` is left, and ends that when
/// its time is over.
pub async fn keep(mut process: Process, commands: Arc<Commands>, busy: ActivityGuard) {
    let supervisor = process.supervisor;
    let why = tokio::select! {
        () = process.emptied() => return,
        () = expired(&commands.lifecycle, commands.background_ttl) => "no call came for long",
        () = commands.wants_room() => "a command needed room for its processes",
        () = crowding(supervisor) => "it had too many processes",
    };
    commands.end_tree(&mut process, None).await;
    commands.notice(format!(
        "what a command had left in the background was ended: {why}"
    ));
    drop(busy);
    commands.end_if_stuck();
}

/// Resolves when no call came for `ttl`.
async fn expired(lifecycle: &Lifecycle, ttl: Duration) {
    loop {
        let end = lifecycle.last_call() + ttl;
        tokio::time::sleep_until(end).await;
        if lifecycle.last_call() + ttl <= end {
            return;
        }
    }
}

/// Resolves when the tree below `supervisor` takes the room of the others.
async fn crowding(supervisor: rustix::process::Pid) {
    loop {
        tokio::time::sleep(PROCESS_CHECK_INTERVAL).await;
        if cgroup::is_crowded()
            && tree::descendants(supervisor).is_ok_and(|tree| tree.len() > TREE_PROCESS_LIMIT)
        {
            return;
        }
    }
}
