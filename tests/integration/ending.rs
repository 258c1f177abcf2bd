//! A server is told to end, or is killed, at every stage of its work and in every mode:
//! nothing of it runs for longer than the design says, whether or not a server comes
//! back, and the user's files are whole.
//!
//! What other tests prove already is not repeated here: that work in the background keeps
//! a container (`lifecycle`), that a server that is killed six times while it makes one is
//! no trouble (`lifecycle`), that `Retire` leaves work alone (`lifecycle`, `operator`),
//! that everything may be killed at random (`chaos`).

mod case;
mod making;

use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, sleep, timeout};

use crate::harness::{Directory, Instance, docker, eventually};
use case::{BUSY_ENGINE, Case, LOOK, cases};

/// A request that the Engine got before the server ended shows within this time.
const UNDER_WAY: Duration = Duration::from_secs(2);

/// Cases that start or return at once: more would only wait for the Engine.
const AT_ONCE: usize = 4;

/// How long the Engine takes to remove what has ended, under load.
const REMOVED: Duration = Duration::from_secs(10);

/// What all cases share.
struct World {
    instance: Instance,
    directory: Directory,
    /// User and state of every container, read once for all cases.
    seen: watch::Receiver<Vec<(String, String)>>,
    turns: Semaphore,
}

/// Looks at the Engine four times a second.
async fn look(label: String, seen: watch::Sender<Vec<(String, String)>>) {
    let format = "{{.Label \"io.casemate.user\"}}\t{{.State}}";
    loop {
        let listed = tokio::process::Command::new("timeout")
            .args(["30", "docker", "ps", "--all", "--format", format])
            .args(["--filter", &label])
            .output()
            .await
            .expect("it runs");
        assert!(listed.status.success(), "docker ps");
        let rows = String::from_utf8_lossy(&listed.stdout);
        let rows = rows.lines().filter_map(|row| row.split_once('\t'));
        let rows = rows.map(|(user, state)| (user.to_owned(), state.to_owned()));
        if seen.send(rows.collect()).is_err() {
            return;
        }
        sleep(Duration::from_millis(250)).await;
    }
}

impl World {
    /// Waits until nothing runs for `user`, and returns since when.
    async fn until_nothing_runs(&self, user: &str, within: Duration) -> Instant {
        let mut seen = self.seen.clone();
        // Earlier changes do not count.
        seen.mark_unchanged();
        let quiet = async {
            let mut since = None;
            loop {
                seen.changed().await.expect("somebody looks");
                let rows = seen.borrow_and_update();
                let runs = |(of, state): &(String, String)| of == user && state != "created";
                if rows.iter().any(runs) {
                    since = None;
                } else if since.get_or_insert_with(Instant::now).elapsed() > UNDER_WAY {
                    return since.unwrap_or_else(Instant::now);
                }
            }
        };
        let quiet = timeout(within + UNDER_WAY, quiet).await;
        quiet.unwrap_or_else(|_| panic!("{user}: it runs after {within:?}"))
    }

    async fn prove(&self, case: Case) -> (Case, Duration) {
        let turn = self.turns.acquire().await.expect("open");
        let (mut server, calls) = case.reach(self).await;
        server.signal(case.signal);
        let signalled = Instant::now();
        server.wait().await;
        drop((server, calls, turn));
        let user = case.to_string();
        let quiet = self.until_nothing_runs(&user, case.within()).await;
        let took = quiet.saturating_duration_since(signalled);

        let _turn = self.turns.acquire().await.expect("open");
        let next = case.server(self).start().await;
        let called = Instant::now();
        let look = next.shell(LOOK).await;
        // One that was never started has its name for five seconds.
        let most = BUSY_ENGINE + Duration::from_secs(5);
        assert!(called.elapsed() < most, "{case}: {:?}", called.elapsed());
        assert_eq!(look.outcome(), "exited", "{case}: {}", look.0);
        case.check(look.stdout());
        next.end().await;
        (case, took)
    }
}

#[tokio::test]
async fn wherever_a_server_ends_nothing_of_it_runs_on_and_the_files_are_whole() {
    let instance = Instance::new();
    let (sender, seen) = watch::channel(Vec::new());
    let looking = tokio::spawn(look(instance.label(), sender));
    let world = World {
        instance: instance.clone(),
        directory: Directory::new(0),
        seen,
        turns: Semaphore::new(AT_ONCE),
    };
    let ended = join_all(cases().into_iter().map(|case| world.prove(case))).await;
    for (case, took) in ended {
        eprintln!("{case}: nothing ran after {took:?}");
    }
    looking.abort();
    let label = instance.label();
    eventually("what ran removed itself", REMOVED, async || {
        let exited = ["--filter", &label, "--filter", "status=exited"];
        docker::lines(&[&["ps", "--all", "--quiet"], &exited[..]].concat()).is_empty()
    })
    .await;
}
