//! How everything that a command started is ended.

use std::time::Duration;

use rustix::process::{Signal, kill_process, kill_process_group};
use tokio::time::{Instant, timeout};

use super::kill_all::KillAll;
use super::process::Process;
use crate::{procfs, shield, tree};

/// What a process gets to clean up after TERM.
const TERM_GRACE: Duration = Duration::from_millis(300);

/// How long a group of some hundred processes may take to end on gVisor.
const GROUP_TIMEOUT: Duration = Duration::from_millis(1500);

/// Between two counts of it, each of which needs the processor that its processes end on.
const GROUP_INTERVAL: Duration = Duration::from_millis(250);

/// So many processes are not looked at one by one on gVisor.
const CROWD: usize = 64;

/// Between two passes of killing.
const PASS_INTERVAL: Duration = Duration::from_millis(10);

/// How long passes are made before the last resort: by then a tree that can be
/// outrun has been.
const KILL_PASSES_TIMEOUT: Duration = Duration::from_millis(500);

/// Passes that find nothing although the supervisor has not ended: then it is
/// the supervisor itself that hangs.
const IDLE_PASS_LIMIT: usize = 5;

/// How the end was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Only this command's processes were touched.
    Clean,
    /// The tree outran the killing: everything in the container was killed.
    LastResort,
}

/// TERM to the whole tree, 300 ms, then KILL until it is empty. `before_last_resort`
/// is called before every process of the container is killed.
pub async fn end_tree(
    process: &mut Process,
    resort: &KillAll,
    before_last_resort: impl FnOnce(),
) -> Ending {
    // On gVisor a look at some hundred processes takes a second, and one call reaches all that did not
    // leave the group. Its id is no other's after TERM's grace either: thousands of processes would have
    // to begin in that time.
    let group = process.group().filter(|_| shield::is_up());
    let signal_group = |signal| group.map(|group| kill_process_group(group, signal));
    signal_group(Signal::TERM);
    if group.is_none() || procfs::count() < CROWD {
        let tree = process.root().map(tree::descendants);
        for descendant in tree.iter().flatten().flatten() {
            tree::signal(descendant, Signal::TERM);
        }
    }
    if timeout(TERM_GRACE, process.emptied()).await.is_ok() {
        return Ending::Clean;
    }
    if signal_group(Signal::KILL).is_some() {
        let last = Instant::now() + GROUP_TIMEOUT;
        loop {
            if timeout(GROUP_INTERVAL, process.emptied()).await.is_ok() {
                return Ending::Clean;
            }
            // Few that are left have left the group.
            if Instant::now() >= last || procfs::count() < CROWD {
                break;
            }
        }
    }
    let mut idle = 0;
    let last = Instant::now() + KILL_PASSES_TIMEOUT;
    while Instant::now() < last {
        // Without a supervisor the reaper ends what there was.
        let root = process.root();
        if root.is_none_or(|root| tree::kill_pass(root, last.into_std())) {
            idle += 1;
        }
        if let (IDLE_PASS_LIMIT, Some(supervisor)) = (idle, root) {
            let _ = kill_process(supervisor, Signal::KILL);
        }
        if timeout(PASS_INTERVAL, process.emptied()).await.is_ok() {
            return Ending::Clean;
        }
    }
    before_last_resort();
    resort.take().await;
    if resort.stuck() == 0 {
        let _ = timeout(KILL_PASSES_TIMEOUT, process.emptied()).await;
    }
    Ending::LastResort
}
