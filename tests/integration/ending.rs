//! A server is told to end, or is killed, at every stage of its work and in every mode:
//! nothing of it runs for longer than the design says, whether or not a server comes
//! back, and the user's files are whole.
//!
//! What other tests prove already is not repeated here: that work in the background keeps
//! a container (`lifecycle`), that a server that is killed six times while it makes one is
//! no trouble (`lifecycle`), that `Retire` leaves work alone (`lifecycle`, `operator`),
//! that everything may be killed at random (`chaos`).

use std::fmt;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, sleep, timeout};

use crate::harness::{Directory, Instance, Pending, Server, TestServer, docker, eventually};

/// A container without work ends itself after this long.
const IDLE: Duration = Duration::from_secs(2);

/// A command that nobody watches is ended after this long, and all of it a second later.
const UNWATCHED: Duration = Duration::from_secs(11);

/// A container that one server alone uses outlives it by this long.
const ORPHANED: Duration = Duration::from_secs(30);

/// What a command that runs on may take.
const DETACHED: Duration = Duration::from_secs(6);

/// What a command left in the background may run, after the last call.
const BACKGROUND: Duration = Duration::from_secs(3);

/// For an Engine that makes and removes dozens of containers meanwhile.
const BUSY_ENGINE: Duration = Duration::from_secs(10);

/// A request that the Engine got before the server ended shows within this time.
const UNDER_WAY: Duration = Duration::from_secs(2);

/// Cases that start or come back at once: more would only wait for the Engine.
const AT_ONCE: usize = 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Persistent,
    Ephemeral,
    Bind,
}

/// What the server is at when it is told to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// It answered a call, and none came since.
    Idle,
    /// It answered a command: in ephemeral mode a spare waits.
    Spare,
    /// It makes a container.
    Creating,
    /// A command runs and is waited for.
    Running,
    /// A command runs on that was answered `running`.
    Detached,
    /// A command has ended and left something in the background.
    Background,
    /// Files of 3 MiB are replaced.
    Writing,
    /// A container is on its way out: replaced, or used up.
    Removing,
}

#[derive(Debug, Clone, Copy)]
struct Case {
    mode: Mode,
    signal: &'static str,
    stage: Stage,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {} {:?}", self.mode, self.signal, self.stage)
    }
}

/// Each once.
fn cases() -> Vec<Case> {
    use Stage::{Background, Creating, Detached, Idle, Removing, Running, Spare, Writing};
    let mut cases = Vec::new();
    // Those that take longest first.
    for mode in [Mode::Ephemeral, Mode::Persistent, Mode::Bind] {
        for signal in ["KILL", "TERM"] {
            let stages = [
                Running, Detached, Background, Writing, Removing, Creating, Idle, Spare,
            ];
            // A spare is of ephemeral mode, in which nothing is left in the background.
            let of_mode = |stage: &Stage| match stage {
                Spare => mode == Mode::Ephemeral,
                Background => mode != Mode::Ephemeral,
                _ => true,
            };
            cases.extend(stages.into_iter().filter(of_mode).map(|stage| Case {
                mode,
                signal,
                stage,
            }));
        }
    }
    cases
}

impl Case {
    fn server(&self, world: &World) -> TestServer {
        let server = TestServer::on(&world.instance)
            .user(&self.to_string())
            .env("CASEMATE_WARM", "off");
        let [idle, background] = [IDLE, BACKGROUND].map(|time| format!("{}s", time.as_secs()));
        let lasting = || {
            let server = server.clone().env("CASEMATE_IDLE_TIMEOUT", &idle);
            server.env("CASEMATE_BACKGROUND_TTL", &background)
        };
        match self.mode {
            // Not by the idle timeout: 15 min.
            Mode::Ephemeral => server.env("CASEMATE_MODE", "ephemeral"),
            Mode::Persistent => lasting(),
            Mode::Bind => lasting()
                .env("CASEMATE_MODE", "bind")
                .env("CASEMATE_BIND_ROOT", world.directory.text()),
        }
    }

    /// How long something of it may run after the server has ended, by the design.
    fn within(&self) -> Duration {
        let killed = self.signal == "KILL";
        let time = match (self.mode, self.stage) {
            (Mode::Ephemeral, _) if killed => ORPHANED,
            (Mode::Ephemeral, _) => Duration::ZERO,
            (_, Stage::Running) if killed => UNWATCHED + IDLE,
            (_, Stage::Detached) => DETACHED + IDLE,
            (_, Stage::Background) => BACKGROUND + IDLE,
            _ => IDLE,
        };
        time + BUSY_ENGINE
    }

    /// How long after the call the signal comes, where there is nothing to be seen that
    /// it could wait for: another time in every case, over what a creation takes.
    fn moment(&self) -> Duration {
        let mode = self.mode as u64;
        let signal = u64::from(self.signal == "KILL");
        Duration::from_millis(40 + 60 * (2 * mode + signal))
    }

    /// Brings a server to where it is told to end.
    async fn reach(&self, world: &World) -> (Server, Vec<Pending>) {
        let server = self.server(world).start().await;
        if self.stage != Stage::Creating {
            let kept = server.write("kept", "kept").await;
            assert!(!kept.is_error(), "{self}: {}", kept.0);
        }
        match self.stage {
            Stage::Idle => (server, Vec::new()),
            Stage::Spare => {
                server.shell("true").await;
                // Its answer comes out of the spare.
                server.write("kept", "kept").await;
                (server, Vec::new())
            }
            Stage::Creating => {
                let call = start(&server, "echo ran >> ran; sleep 1000").await;
                // Not to wait for something: it is what happens meanwhile.
                sleep(self.moment()).await;
                (server, vec![call])
            }
            Stage::Running => {
                let call = start(&server, "echo ran >> ran; sleep 1000").await;
                eventually("the command runs", BUSY_ENGINE, async || {
                    !server.read("ran").await.is_error()
                })
                .await;
                (server, vec![call])
            }
            Stage::Detached => {
                let command = "echo ran >> ran; trap '' TERM; sleep 1000; true";
                let arguments = json!({
                    "command": command,
                    "wait_seconds": 0,
                    "timeout_seconds": DETACHED.as_secs(),
                });
                let running = server.call("shell_exec", arguments).await;
                assert_eq!(running.outcome(), "running", "{self}: {}", running.0);
                (server, Vec::new())
            }
            Stage::Background => {
                let left = server.shell("echo ran >> ran; sleep 1000 &").await;
                assert_eq!(left.outcome(), "exited", "{self}: {}", left.0);
                (server, Vec::new())
            }
            Stage::Writing => {
                let writes = writing(&server).await;
                (server, writes)
            }
            Stage::Removing if self.mode == Mode::Ephemeral => {
                let done = server.shell("echo ran >> ran").await;
                assert_eq!(done.outcome(), "exited", "{self}: {}", done.0);
                (server, Vec::new())
            }
            Stage::Removing => {
                assert!(server.end().await.success(), "{self}");
                let newer = self.server(world).env("CASEMATE_PIDS", "100").start().await;
                let call = start(&newer, "echo ran >> ran; sleep 1000").await;
                sleep(self.moment()).await;
                (newer, vec![call])
            }
        }
    }
}

async fn start(server: &Server, command: &str) -> Pending {
    let arguments = json!({ "command": command, "timeout_seconds": 1000 });
    server.start_call("shell_exec", arguments).await.1
}

/// Replaces two files over and over; returns with most of it still to be done.
async fn writing(server: &Server) -> Vec<Pending> {
    let mut writes = Vec::new();
    for (n, letter) in ["a", "b", "c", "d", "e"].into_iter().enumerate() {
        for file in ["big0", "big1"] {
            let content = letter.repeat(casemate_protocol::MAX_WRITE);
            let arguments = json!({ "path": file, "content": content });
            let (_, write) = server.start_call("write_file", arguments).await;
            match n {
                0 => assert!(!write.result().await.is_error()),
                _ => writes.push(write),
            }
        }
    }
    let next = writes.remove(0).result().await;
    assert!(!next.is_error(), "{}", next.0);
    writes
}

/// Says what became of the files: of those that were being replaced the length, and how
/// many bytes differ from the first.
const LOOK: &str = "cat kept 2> /dev/null && echo; cat ran 2> /dev/null; \
    for f in big*; do [ -e $f ] && stat -c %s $f && tr -d $(head -c 1 $f) < $f | wc -c; done; \
    find . -name '.casemate-tmp*'";

/// What all cases share.
struct World {
    instance: Instance,
    directory: Directory,
    /// User and state of every container, looked at for all.
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
    /// Stays until nothing runs for `user` any more, and returns since when.
    async fn until_nothing_runs(&self, user: &str, within: Duration) -> Instant {
        let mut seen = self.seen.clone();
        // What was seen before says nothing.
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

impl Case {
    fn check(&self, found: &str) {
        let mut lines = found.lines().peekable();
        if self.stage != Stage::Creating {
            assert_eq!(lines.next(), Some("kept"), "{self}: {found}");
        }
        let ran = lines.next_if_eq(&"ran").is_some();
        let runs = [Stage::Running, Stage::Detached, Stage::Background].contains(&self.stage);
        assert!(ran || !runs, "{self}: {found}");
        if self.stage == Stage::Writing {
            let size = casemate_protocol::MAX_WRITE.to_string();
            for _ in ["big0", "big1"] {
                assert_eq!(lines.next(), Some(&*size), "{self}: {found}");
                assert_eq!(lines.next(), Some("0"), "{self}: a mix: {found}");
            }
        }
        if (self.mode, self.stage) == (Mode::Ephemeral, Stage::Writing) {
            // PID 1 may have ended in the middle of one: it is swept later.
            while lines
                .next_if(|line| line.starts_with("./.casemate-tmp-"))
                .is_some()
            {}
        }
        // No command ran twice, and nothing unfinished is left.
        assert_eq!(lines.next(), None, "{self}: {found}");
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
    let ran = docker::lines(&[
        "ps",
        "--all",
        "--quiet",
        "--filter",
        &label,
        "--filter",
        "status=exited",
    ]);
    assert_eq!(ran, [""; 0], "what ran removed itself");
}
