//! One cell of the matrix: the process that is killed, and the stage at that moment.

use std::fmt;
use std::time::Duration;

use casemate::config::Mode;
use serde_json::json;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::SOON;
use super::world::World;
use crate::harness::{CallResult, Pending, Server, TestServer, eventually};

/// The process that is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Victim {
    Pid1,
    Bridge,
    Engine,
}

/// The mode of the containers.
pub const MODES: [Mode; 3] = [Mode::Persistent, Mode::Ephemeral, Mode::Bind];

/// The stage of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// It has answered a call; in ephemeral mode a spare waits.
    Idle,
    /// It makes a container.
    Create,
    /// A command runs.
    Run,
    /// Files of 3 MiB are replaced.
    Write,
    /// A container is being removed: it was replaced or used up.
    Remove,
}

/// Those that take longest first.
pub const STAGES: [Stage; 5] = [
    Stage::Run,
    Stage::Write,
    Stage::Remove,
    Stage::Create,
    Stage::Idle,
];

/// One user with one server. Its name is the user's.
#[derive(Debug, Clone, Copy)]
pub struct Cell {
    pub victim: Victim,
    pub stage: Stage,
    pub mode: Mode,
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {:?} {:?}", self.mode, self.victim, self.stage)
    }
}

/// A server at its stage, and the calls that it has not answered.
pub struct Reached {
    pub server: Server,
    pub calls: Vec<Call>,
}

/// The effect that a call was to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// Leave its tag in the file `ran`, and print `end`.
    Command,
    /// Replace the file `big<n>`, full of `o`, by one full of `n`.
    Write(usize),
}

/// A call without an answer.
pub struct Call {
    deed: Deed,
    answer: JoinHandle<(CallResult, Instant)>,
    by: Instant,
}

/// How long a call waits for a sandbox that does not exist yet.
const LEASE: Duration = Duration::from_secs(45);

/// A file call's deadline.
const FILE: Duration = Duration::from_secs(30);

/// Timeout of the commands here, in seconds.
const TIMEOUT: u64 = 30;

/// How long after its deadline a call may be answered.
const LATE: Duration = Duration::from_secs(5);

/// Delay of the kill after the call if there is no event to wait for: a creation takes 400 ms or
/// more, a replacement too.
const MEANWHILE: Duration = Duration::from_millis(120);

/// Files that are replaced at once.
pub const FILES: usize = 4;

impl Call {
    fn new(deed: Deed, pending: Pending, within: Duration) -> Self {
        Self {
            deed,
            answer: tokio::spawn(async { (pending.result().await, Instant::now()) }),
            by: Instant::now() + within + LATE,
        }
    }

    /// The answer, which must come in time.
    pub async fn answer(self, cell: &Cell) -> (Deed, CallResult) {
        let (result, at) = self.answer.await.expect("an answer");
        let late = at.saturating_duration_since(self.by);
        assert_eq!(late, Duration::ZERO, "{cell}: too late: {}", result.0);
        (self.deed, result)
    }
}

/// The content of a replaced file: before, and after the n-th call.
pub fn letter(file: Option<usize>) -> char {
    file.map_or('o', |n| char::from(b"abcdefgh"[n]))
}

fn content(file: Option<usize>) -> String {
    letter(file)
        .to_string()
        .repeat(casemate_protocol::MAX_WRITE)
}

impl Cell {
    fn server(&self, world: &World) -> TestServer {
        let server = world
            .server()
            .user(&self.to_string())
            .mode(self.mode)
            .env("CASEMATE_WARM", "off")
            // The warnings about killed processes are not of interest here.
            .env("CASEMATE_LOG", "error");
        match self.mode {
            Mode::Ephemeral | Mode::Persistent => server,
            Mode::Bind => server.env("CASEMATE_BIND_ROOT", world.directory.text()),
        }
    }

    /// The slow part of the way to the stage.
    pub async fn prepare(&self, world: &World) -> Reached {
        let mut server = self.server(world).start().await;
        let mut calls = Vec::new();
        if self.stage != Stage::Create {
            let kept = server.write("kept", "kept").await;
            assert!(!kept.is_error(), "{self}: {}", kept.0);
        }
        match self.stage {
            Stage::Idle => {
                let done = server.shell("true").await;
                assert_eq!(done.outcome(), "exited", "{self}: {}", done.0);
                // In ephemeral mode the spare answers this call.
                server.write("kept", "kept").await;
            }
            Stage::Create => {}
            Stage::Run => {
                calls.push(self.command(&server, Duration::from_secs(TIMEOUT)).await);
                eventually("the command runs", SOON, async || {
                    !server.read("ran").await.is_error()
                })
                .await;
            }
            Stage::Write => {
                for n in 0..FILES {
                    let old = server.write(&format!("big{n}"), &content(None)).await;
                    assert!(!old.is_error(), "{self}: {}", old.0);
                }
            }
            Stage::Remove if self.mode == Mode::Ephemeral => {}
            // A server with other settings replaces this one's container.
            Stage::Remove => {
                assert!(server.end().await.success(), "{self}");
                server = self.server(world).env("CASEMATE_PIDS", "100").start().await;
            }
        }
        Reached { server, calls }
    }

    /// The rest, which is fast.
    pub async fn begin(&self, reached: &mut Reached) {
        let Reached { server, calls } = reached;
        match self.stage {
            Stage::Idle | Stage::Run => {}
            Stage::Write => {
                for n in 0..FILES {
                    let arguments =
                        json!({ "path": format!("big{n}"), "content": content(Some(n)) });
                    let (_, pending) = server.start_call("write_file", arguments).await;
                    calls.push(Call::new(Deed::Write(n), pending, FILE));
                }
                sleep(MEANWHILE).await;
            }
            Stage::Remove if self.mode == Mode::Ephemeral => {
                let done = server.shell("true").await;
                assert_eq!(done.outcome(), "exited", "{self}: {}", done.0);
            }
            Stage::Create | Stage::Remove => {
                calls.push(self.command(server, LEASE).await);
                sleep(MEANWHILE).await;
            }
        }
    }

    /// A command that takes a second, or for ever if it is to be lost.
    async fn command(&self, server: &Server, within: Duration) -> Call {
        let lost = self.stage == Stage::Run && self.victim != Victim::Bridge;
        let seconds = if lost { 600 } else { 1 };
        let arguments = json!({
            "command": format!("echo ran >> ran; sleep {seconds}; echo end"),
            "timeout_seconds": TIMEOUT,
        });
        let (_, pending) = server.start_call("shell_exec", arguments).await;
        Call::new(Deed::Command, pending, within)
    }

    /// Kills the victim's processes as soon as there is one; returns how many. Zero if the calls were
    /// answered earlier.
    pub async fn strike(&self, world: &World, reached: &Reached) -> usize {
        loop {
            let killed = world.kill(self);
            let answered = |call: &Call| call.answer.is_finished();
            let over = self.stage == Stage::Remove || !reached.calls.is_empty();
            if killed > 0 || (over && reached.calls.iter().all(answered)) {
                return killed;
            }
            sleep(Duration::from_millis(5)).await;
        }
    }
}
