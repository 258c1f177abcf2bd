//! The stage of a server when it is told to end, and what must be true afterwards.

use std::fmt;
use std::time::Duration;

use casemate::config::Mode;
use serde_json::json;
use tokio::time::sleep;

use super::World;
use crate::harness::{Pending, Server, TestServer, eventually};

/// An idle container ends itself after this long.
const IDLE: Duration = Duration::from_secs(2);

/// An unwatched command is ended after this long, and its whole tree a second later.
const UNWATCHED: Duration = Duration::from_secs(11);

/// A container with only one server outlives it by this long.
const ORPHANED: Duration = Duration::from_secs(30);

/// How long a command that was answered `running` may take.
const DETACHED: Duration = Duration::from_secs(6);

/// How long background processes may run after the last call.
const BACKGROUND: Duration = Duration::from_secs(3);

/// For an Engine that makes and removes dozens of containers at the same time.
pub const BUSY_ENGINE: Duration = Duration::from_secs(30);

/// The stage of the server when it is told to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// It has answered a call, and no other came since.
    Idle,
    /// It has answered a command: in ephemeral mode a spare waits.
    Spare,
    /// It makes a container.
    Creating,
    /// A command runs, and its caller waits.
    Running,
    /// A command that was answered `running` runs.
    Detached,
    /// A command has ended and left something in the background.
    Background,
    /// Files of 3 MiB are replaced.
    Writing,
    /// A container is being removed: it was replaced or used up.
    Removing,
}

/// One user with one server. Its name is the user's.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    mode: Mode,
    /// What ends the server.
    pub signal: &'static str,
    stage: Stage,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {} {:?}", self.mode, self.signal, self.stage)
    }
}

/// Each once.
pub fn cases() -> Vec<Case> {
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
    /// The server of the case's own user.
    pub fn server(&self, world: &World) -> TestServer {
        let server = TestServer::on(&world.instance)
            .user(&self.to_string())
            .mode(self.mode)
            .env("CASEMATE_WARM", "off");
        let [idle, background] = [IDLE, BACKGROUND].map(|time| format!("{}s", time.as_secs()));
        let lasting = || {
            let server = server.clone().env("CASEMATE_IDLE_TIMEOUT", &idle);
            server.env("CASEMATE_BACKGROUND_TTL", &background)
        };
        match self.mode {
            // Not by the idle timeout: 15 min.
            Mode::Ephemeral => server,
            Mode::Persistent => lasting(),
            Mode::Bind => lasting().env("CASEMATE_BIND_ROOT", world.directory.text()),
        }
    }

    /// How long its processes may run after the end of the server, by design.
    pub fn within(&self) -> Duration {
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

    /// Delay of the signal after the call where there is no event to wait for: different in every
    /// case, spread over the duration of a creation.
    fn moment(&self) -> Duration {
        let mode = self.mode as u64;
        let signal = u64::from(self.signal == "KILL");
        Duration::from_millis(40 + 60 * (2 * mode + signal))
    }

    /// Brings a server to its stage.
    pub async fn reach(&self, world: &World) -> (Server, Vec<Pending>) {
        let server = self.server(world).start().await;
        if self.stage != Stage::Creating {
            let kept = server.write("kept", "kept").await;
            assert!(!kept.is_error(), "{self}: {}", kept.0);
        }
        match self.stage {
            Stage::Idle => (server, Vec::new()),
            Stage::Spare => {
                server.shell("true").await;
                // The spare answers this call.
                server.write("kept", "kept").await;
                (server, Vec::new())
            }
            Stage::Creating => {
                let call = start(&server, "echo ran >> ran; sleep 1000").await;
                // A fixed delay on purpose: the kill has to come after this time.
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

/// Replaces two files over and over; returns while most of it is still to be done.
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

/// Prints the state of the files: for the replaced ones the length, and how many bytes differ
/// from the first.
pub const LOOK: &str = "cat kept 2> /dev/null && echo; cat ran 2> /dev/null; \
    for f in big*; do [ -e $f ] && stat -c %s $f && tr -d $(head -c 1 $f) < $f | wc -c; done; \
    find . -name '.casemate-tmp*'";

impl Case {
    /// Whether the files are as they should be.
    pub fn check(&self, found: &str) {
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
            // PID 1 may have ended in the middle of a write: its file is removed later.
            while lines
                .next_if(|line| line.starts_with("./.casemate-tmp-"))
                .is_some()
            {}
        }
        // No command ran twice, and nothing unfinished is left.
        assert_eq!(lines.next(), None, "{self}: {found}");
    }
}
