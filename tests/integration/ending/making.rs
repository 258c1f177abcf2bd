//! A server ends at every moment while it makes a container, on a busy machine: nothing of it
//! stays. If the Engine takes longer than the server may take to end, at most a created container
//! is left, which never runs.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use casemate::config::Mode;
use futures_util::{StreamExt as _, stream};
use tokio::time::{Instant, sleep};

use crate::harness::{Instance, TestServer, docker, eventually};

/// Less than the 30 s after which a container without a server ends itself.
const SOON: Duration = Duration::from_secs(15);

/// How long a server waits for the Engine before it ends.
const BOUND: Duration = Duration::from_millis(1850);

/// Moments at which each kind of creation is interrupted.
const MOMENTS: u64 = 6;

/// Interval between them: together they last longer than a creation.
const APART: Duration = Duration::from_millis(120);

/// Servers at once, which make the Engine busy.
const AT_ONCE: usize = 4;

/// Keeps all processors busy until it is dropped.
struct Load(Arc<AtomicBool>, Vec<JoinHandle<()>>);

impl Load {
    fn new() -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let processors = std::thread::available_parallelism().map_or(2, usize::from);
        let work = |_| {
            let over = over.clone();
            std::thread::spawn(move || while !over.load(Ordering::Relaxed) {})
        };
        let threads = (0..processors).map(work).collect();
        Self(over, threads)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
        for thread in self.1.drain(..) {
            let _ = thread.join();
        }
    }
}

/// What the server is making when it ends.
#[derive(Debug, Clone, Copy)]
enum Making {
    /// The container that a command waits for.
    Called(Mode),
    /// The next spare, after a command was answered.
    Spare,
}

#[derive(Debug, Clone, Copy)]
struct Round {
    making: Making,
    /// How the server is told to end: by a signal, or by the end of its input.
    signal: bool,
    after: Duration,
}

fn rounds() -> impl Iterator<Item = Round> {
    let of_all = [
        Making::Called(Mode::Ephemeral),
        Making::Spare,
        Making::Called(Mode::Persistent),
    ];
    (0..MOMENTS).flat_map(move |moment| {
        of_all.into_iter().flat_map(move |making| {
            [true, false].map(|signal| Round {
                making,
                signal,
                after: APART * u32::try_from(moment).expect("few"),
            })
        })
    })
}

/// States of the containers of an instance.
fn states(instance: &Instance) -> BTreeSet<String> {
    let label = instance.label();
    let listed = docker::lines(&["ps", "--all", "--format", "{{.State}}", "--filter", &label]);
    listed.into_iter().collect()
}

impl Round {
    /// Ends a server in the middle of it. Returns the instance, and how long the end took.
    async fn prove(self) -> (Self, Instance, Duration) {
        let instance = Instance::new();
        let mode = match self.making {
            Making::Called(mode) => mode,
            Making::Spare => Mode::Ephemeral,
        };
        let server = TestServer::on(&instance)
            .mode(mode)
            .env("CASEMATE_WARM", "off")
            .env("CASEMATE_IDLE_TIMEOUT", "2s");
        let mut server = server.start().await;
        let arguments = serde_json::json!({ "command": "sleep 1000" });
        let call = match self.making {
            Making::Called(_) => Some(server.start_call("shell_exec", arguments).await),
            Making::Spare => {
                let done = server.shell("true").await;
                assert_eq!(done.outcome(), "exited", "{self:?}: {}", done.0);
                None
            }
        };
        // A fixed delay on purpose: the kill has to come after this time.
        sleep(self.after).await;
        let told = Instant::now();
        if self.signal {
            server.signal("TERM");
        } else {
            server.rpc.close().await;
        }
        assert!(server.wait().await.success(), "{self:?}");
        let took = told.elapsed();
        drop(call);
        (self, instance, took)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_ends_while_a_container_is_made_leaves_none() {
    let load = Load::new();
    let ended: Vec<_> = stream::iter(rounds().map(Round::prove))
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    drop(load);
    for (round, instance, took) in &ended {
        eprintln!("{round:?}: ended in {took:?}");
        let may_stay = BTreeSet::from_iter((*took > BOUND).then(|| "created".to_owned()));
        eventually(&format!("{round:?} leaves nothing"), SOON, async || {
            states(instance).is_subset(&may_stay)
        })
        .await;
    }
    // The Engine did not finish one later either.
    for (round, instance, took) in &ended {
        let left = states(instance);
        let may_stay = *took > BOUND && left.iter().eq(["created"]);
        assert!(left.is_empty() || may_stay, "{round:?}: {left:?}");
    }
}
