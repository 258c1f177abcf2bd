//! One cell: who dies, and what the server is at then.

use std::fmt;
use std::time::Duration;

use casemate::config::Mode;
use serde_json::json;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::SOON;
use super::world::World;
use crate::harness::{CallResult, Pending, Server, TestServer, eventually};

/// Who is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Victim {
    Pid1,
    Bridge,
    Engine,
}

/// How the containers live.
pub const MODES: [Mode; 3] = [Mode::Persistent, Mode::Ephemeral, Mode::Bind];

/// What the server is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// It answered a call; in ephemeral mode a spare waits.
    Idle,
    /// It makes a container.
    Create,
    /// A command runs.
    Run,
    /// Files of 3 MiB are replaced.
    Write,
    /// A container is on its way out: replaced, or used up.
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

/// A server at its stage, and the calls that are on their way.
pub struct Reached {
    pub server: Server,
    pub calls: Vec<Call>,
}

/// What a call was to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// Leave its tag in the file `ran`, and print `end`.
    Command,
    /// Replace the file `big<n>`, of `o` alone, by one of `n` alone.
    Write(usize),
}

/// A call without its answer.
pub struct Call {
    deed: Deed,
    answer: JoinHandle<(CallResult, Instant)>,
    by: Instant,
}

/// How long a call waits for a sandbox that is not there.
const LEASE: Duration = Duration::from_secs(45);

/// A file call's deadline.
const FILE: Duration = Duration::from_secs(30);

/// Of the commands here, in seconds.
const TIMEOUT: u64 = 30;

/// How long after its deadline a call may be answered.
const LATE: Duration = Duration::from_secs(5);

/// How long after the call the blow falls where there is nothing that could be waited
/// for: a creation takes 400 ms and more, a replacement too.
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

    /// The answer, which came in time.
    pub async fn answer(self, cell: &Cell) -> (Deed, CallResult) {
        let (result, at) = self.answer.await.expect("an answer");
        let late = at.saturating_duration_since(self.by);
        assert_eq!(late, Duration::ZERO, "{cell}: too late: {}", result.0);
        (self.deed, result)
    }
}

/// What a replaced file is full of: before, and by the n-th call.
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
            // What is said of what died is the server's business.
            .env("CASEMATE_LOG", "error");
        match self.mode {
            Mode::Ephemeral | Mode::Persistent => server,
            Mode::Bind => server.env("CASEMATE_BIND_ROOT", world.directory.text()),
        }
    }

    /// All that takes long before the stage.
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
                // In ephemeral mode its answer comes out of the spare.
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
            // Another server with other settings replaces what this one leaves.
            Stage::Remove => {
                assert!(server.end().await.success(), "{self}");
                server = self.server(world).env("CASEMATE_PIDS", "100").start().await;
            }
        }
        Reached { server, calls }
    }

    /// The rest, which is short.
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

    /// A command that takes a second, or for ever where it is to be lost.
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

    /// Kills what is there of the victim, as soon as there is one; returns how many. None
    /// where the calls were answered before there was any.
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
