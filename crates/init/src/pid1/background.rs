//! Background processes: those that a command left running when it ended. The user may rely on
//! them, so they run on, and keep the sandbox, until `background_ttl` after the user's last call,
//! or until they leave no room for the next command.

use std::time::Duration;

use super::cgroup::Cgroup;
use super::lifecycle::Lifecycle;
use super::process::Process;
use crate::tree;

/// Between two counts of the processes.
const PROCESS_CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Processes of one tree in the background: a development server has a dozen, a
/// fork bomb has them all.
const TREE_PROCESS_LIMIT: usize = 64;

/// Waits for a reason to end the processes that are left of `process`; `None`: they ended by
/// themselves. `room` resolves when another command needs room, `stopped` when an operator ends them.
pub async fn reason_to_end(
    process: &mut Process,
    lifecycle: &Lifecycle,
    cgroup: Cgroup,
    ttl: Duration,
    room: impl Future<Output = ()>,
    stopped: impl Future<Output = ()>,
) -> Option<&'static str> {
    let supervisor = process.supervisor;
    tokio::select! {
        () = process.emptied() => None,
        () = expired(lifecycle, ttl) => Some("no call came for a long time"),
        () = room => Some("a command needed room for its processes"),
        () = stopped => Some("an operator stopped them"),
        () = crowding(supervisor, cgroup) => Some("it had too many processes"),
    }
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

/// Resolves when the tree below `supervisor` leaves no room for others.
async fn crowding(supervisor: rustix::process::Pid, cgroup: Cgroup) {
    loop {
        tokio::time::sleep(PROCESS_CHECK_INTERVAL).await;
        if cgroup.is_crowded()
            && tree::descendants(supervisor).is_ok_and(|tree| tree.len() > TREE_PROCESS_LIMIT)
        {
            return;
        }
    }
}
