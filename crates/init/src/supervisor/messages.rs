//! What PID 1 and its supervisors send each other over the control socket.

use std::fs::File;
use std::io::{self, Write as _};

use bytes::Bytes;
use prost::Message;

use crate::procfs::{self, ExecState, ProcessEntry};
use crate::sys::{Change, ChildEvent};

/// What to run. Sent by PID 1 over the control socket.
#[derive(Clone, PartialEq, Message)]
pub struct RunRequest {
    /// Path of the program, absolute.
    #[prost(bytes = "bytes", tag = "1")]
    pub program: Bytes,
    /// Its arguments, from `argv[0]` on.
    #[prost(bytes = "bytes", repeated, tag = "2")]
    pub args: Vec<Bytes>,
    /// Its environment, `NAME=value`.
    #[prost(bytes = "bytes", repeated, tag = "3")]
    pub env: Vec<Bytes>,
    /// Its working directory.
    #[prost(bytes = "bytes", tag = "4")]
    pub cwd: Bytes,
    /// All of its standard input.
    #[prost(bytes = "bytes", tag = "5")]
    pub stdin: Bytes,
    /// A script too long for an argument, for [`SCRIPT_FD`](super::SCRIPT_FD).
    #[prost(bytes = "bytes", tag = "6")]
    pub script: Bytes,
}

/// What the supervisor tells PID 1.
#[derive(Clone, PartialEq, Message)]
pub struct Report {
    #[prost(oneof = "Fact", tags = "1, 2, 3, 4")]
    pub fact: Option<Fact>,
}

/// One fact of a [`Report`].
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Fact {
    /// The command's process is there, and waits for its order.
    #[prost(message, tag = "1")]
    Started(ProcessIdentity),
    /// It could not be started: reported by the supervisor, or by the child while it could not
    /// be traced.
    #[prost(message, tag = "2")]
    Failed(StartError),
    /// The command itself has ended. What it started may still run.
    #[prost(message, tag = "3")]
    Ended(FinalStatus),
    /// Nothing of it is left; the supervisor ends now.
    #[prost(bool, tag = "4")]
    Empty(bool),
}

/// A process, named for good.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Message)]
pub struct ProcessIdentity {
    #[prost(int32, tag = "1")]
    pub pid: i32,
    /// In clock ticks since the machine's start: with the id it names one process, also
    /// when the id is another's later.
    #[prost(uint64, tag = "2")]
    pub since: u64,
}

impl From<&ProcessEntry> for ProcessIdentity {
    fn from(process: &ProcessEntry) -> Self {
        Self {
            pid: process.pid.as_raw_nonzero().get(),
            since: process.started,
        }
    }
}

/// The last of a command's process: how it ended, and whether it was the command at all.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct FinalStatus {
    #[prost(message, required, tag = "1")]
    pub ended: ExitDetails,
    #[prost(enumeration = "ExecState", tag = "2")]
    pub execed: i32,
    /// The errno of its `execve`, as the child said when it could be traced already.
    #[prost(int32, optional, tag = "3")]
    pub refusal: Option<i32>,
    /// It certainly left no process, then or before. Checked only if it did not become another
    /// program.
    #[prost(bool, tag = "4")]
    pub alone: bool,
}

impl FinalStatus {
    /// Of a child that has ended and is not reaped yet. `None` when it has not ended.
    pub fn of_zombie(event: &ChildEvent) -> Option<Self> {
        let ended = ExitDetails::from_event(event)?;
        let process = procfs::process(event.pid);
        let execed = process.map_or(ExecState::Unknown, |process| process.execed);
        Some(Self {
            ended,
            execed: execed.into(),
            refusal: None,
            alone: false,
        })
    }
}

/// Why a command could not be started.
#[derive(Clone, PartialEq, Message)]
pub struct StartError {
    #[prost(enumeration = "Step", tag = "1")]
    pub step: i32,
    #[prost(int32, tag = "2")]
    pub errno: i32,
}

/// The step at which starting failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum Step {
    /// The process.
    Fork = 0,
    /// Its working directory.
    Chdir = 1,
    /// Its program.
    Exec = 2,
    /// Its standard input or its script, which are files in memory.
    Memory = 3,
    /// Its descriptors.
    Descriptors = 4,
}

/// How the command ended: one of code and signal, and what it used.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct ExitDetails {
    #[prost(int32, optional, tag = "1")]
    pub code: Option<i32>,
    #[prost(int32, optional, tag = "2")]
    pub signal: Option<i32>,
    #[prost(uint64, tag = "3")]
    pub cpu_ms: u64,
    #[prost(uint64, tag = "4")]
    pub max_rss_kib: u64,
}

impl ExitDetails {
    /// `None` when the process has not ended.
    pub fn from_event(event: &ChildEvent) -> Option<Self> {
        let (code, signal) = match event.change {
            Change::Exited(code) => (Some(code), None),
            Change::Killed(signal) => (None, Some(signal)),
            Change::Stopped => return None,
        };
        Some(Self {
            code,
            signal,
            cpu_ms: event.cpu_ms,
            max_rss_kib: event.max_rss_kib,
        })
    }
}

/// Sends `fact` to PID 1.
pub fn report(control: &mut File, fact: Fact) -> io::Result<()> {
    control.write_all(&Report { fact: Some(fact) }.encode_length_delimited_to_vec())
}

/// `error` at `step`.
pub fn failed(step: Step, error: &io::Error) -> StartError {
    StartError {
        step: step.into(),
        errno: error.raw_os_error().unwrap_or(libc::EIO),
    }
}
