//! The supervisor: the parent of one command, which also inherits all processes that the command
//! leaves. It forks the command's process ahead of time, reports, reaps, and ends when nothing is
//! left below it. It decides nothing: PID 1 does.
//!
//! ```text
//! PID 1 ──spawn──► supervisor ──fork──► child, waits for the order, becomes the command
//!    ▲                 │ ▲                │ ▲
//!    ├──── Report ─────┘ └─── Refusal ────┘ │
//!    └─── control socket ───── Order ───────┘
//! ```
//!
//! Invariants:
//! - The command's id is reported before there is an order, so that PID 1 can
//!   tell its end also when user code kills the supervisor.
//! - An end is reported before it is reaped: a supervisor killed in between
//!   leaves a zombie, which PID 1 inherits with its true status.
//! - It has one thread and blocks all signals.
//! - A process that holds the control socket cannot be traced: the supervisor never, the child
//!   not yet. From the moment at which a process of the same user may control the child, it
//!   holds nothing to which PID 1 listens. It can then report only the errno of a failed
//!   `execve`, which counts only if the kernel confirms that it never became another program
//!   ([`ExecState`]).

use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read, Seek as _, Write};
use std::os::fd::{AsRawFd, FromRawFd as _, IntoRawFd as _, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::ExitCode;

use bytes::Bytes;
use prost::Message;
use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::process::{DumpableBehavior, Pid, chdir, set_child_subreaper, set_dumpable_behavior};

use crate::procfs::{self, ExecState, ProcessEntry};
use crate::sys::{self, Change, ChildEvent, Wait};
use crate::tree;

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
    /// A script too long for an argument, for [`SCRIPT_FD`].
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

/// Largest [`RunRequest`]: a script, a standard input and an environment at their
/// bounds, with room.
const MAX_ORDER: u32 = 3 * 1024 * 1024;

/// The descriptor that a script too long for an argument comes in, as the
/// command sees it.
pub const SCRIPT_FD: RawFd = 3;

/// Argument: the control socket's descriptor.
pub fn main(mut args: impl Iterator<Item = String>) -> ExitCode {
    let Some(control) = args.next().and_then(|fd| fd.parse().ok()).map(owned) else {
        return ExitCode::from(64);
    };
    match supervise(File::from(control)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

#[allow(unsafe_code)]
fn owned(fd: RawFd) -> OwnedFd {
    // SAFETY: PID 1 passes descriptors that it opened for this process; nothing
    // else here owns them.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

fn supervise(mut control: File) -> io::Result<()> {
    sys::block_signals();
    rustix::io::fcntl_setfd(&control, rustix::io::FdFlags::CLOEXEC)?;
    // A subreaper that the kernel does not have (gVisor) leaves its orphans to
    // PID 1, which ends them.
    let _ = set_child_subreaper(Some(Pid::INIT));
    let _ = rustix::process::setsid();
    let refusal = match ExecErrno::new() {
        Ok(refusal) => refusal,
        Err(error) => {
            let failed = failed(Step::Descriptors, &error);
            return report(&mut control, Fact::Failed(failed));
        }
    };
    #[allow(unsafe_code)]
    // SAFETY: the supervisor has one thread.
    let forked = unsafe { sys::fork() };
    let main = match forked {
        Ok(Some(pid)) => pid,
        Ok(None) => become_command(control, refusal),
        Err(error) => return report(&mut control, Fact::Failed(failed(Step::Fork, &error))),
    };
    let started = crate::procfs::process(main).ok_or_else(|| io::Error::other("no child"))?;
    report(&mut control, Fact::Started(ProcessIdentity::from(&started)))?;
    release_output()?;
    reap_all(&mut control, main, &refusal)
}

/// What the child says of an `execve` that failed: its errno, in a counter that the kernel
/// keeps. It cannot be opened by way of `/proc`, and is closed when `execve` succeeds.
struct ExecErrno(OwnedFd);

impl ExecErrno {
    fn new() -> io::Result<Self> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        Ok(Self(eventfd(0, flags)?))
    }

    fn say(&self, error: &io::Error) {
        let errno = error.raw_os_error().unwrap_or(libc::EIO);
        let errno = u64::try_from(errno).unwrap_or_default();
        let _ = rustix::io::write(&self.0, &errno.to_ne_bytes());
    }

    fn heard(&self) -> Option<i32> {
        let mut errno = [0; 8];
        rustix::io::read(&self.0, &mut errno).ok()?;
        i32::try_from(u64::from_ne_bytes(errno)).ok()
    }
}

/// The child's side: waits for the order and becomes that program. An end of the socket instead
/// means that it is not needed.
fn become_command(mut control: File, refusal: ExecErrno) -> ! {
    let Ok(order) = read_order(&mut control) else {
        sys::exit_now(127)
    };
    let ready = prepare(&order).and_then(|(program, script)| {
        let kept = keep_only(script, &refusal);
        kept.map(|refusal| (program, refusal))
            .map_err(|error| failed(Step::Descriptors, &error))
    });
    let (program, kept) = ready.unwrap_or_else(|failure| {
        let _ = report(&mut control, Fact::Failed(failure));
        sys::exit_now(127)
    });
    // Both were closed with all others; dropping them would close what has their numbers now.
    let _ = (control.into_raw_fd(), refusal.0.into_raw_fd());
    kept.say(&program.become_it());
    sys::exit_now(127)
}

/// Does everything that can fail while this process cannot be traced.
fn prepare(order: &RunRequest) -> Result<(Program, Option<OwnedFd>), StartError> {
    let memory = |error: &io::Error| failed(Step::Memory, error);
    if !order.stdin.is_empty() {
        let stdin = content(&order.stdin).map_err(|error| memory(&error))?;
        rustix::stdio::dup2_stdin(stdin).map_err(|errno| memory(&errno.into()))?;
    }
    let script = (!order.script.is_empty()).then(|| content(&order.script));
    let script = script.transpose().map_err(|error| memory(&error))?;
    let program = Program::of(order).map_err(|error| failed(Step::Exec, &error))?;
    let _ = rustix::process::setsid();
    chdir(Path::new(std::ffi::OsStr::from_bytes(&order.cwd)))
        .map_err(|errno| failed(Step::Chdir, &errno.into()))?;
    Ok((program, script))
}

/// A file in memory that holds these bytes and cannot be changed.
fn content(bytes: &[u8]) -> io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let mut file = File::from(memfd_create("casemate", flags)?);
    file.write_all(bytes)?;
    file.rewind()?;
    fcntl_add_seals(
        &file,
        SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW,
    )?;
    Ok(file.into())
}

fn read_order(control: &mut File) -> io::Result<RunRequest> {
    let mut length = [0; 4];
    control.read_exact(&mut length)?;
    let length = u32::from_le_bytes(length);
    if length > MAX_ORDER {
        return Err(io::Error::other("order too long"));
    }
    let mut bytes = vec![0; length as usize];
    control.read_exact(&mut bytes)?;
    RunRequest::decode(bytes.as_slice()).map_err(io::Error::other)
}

/// The command's own copies must be the only ones: the end of its output is
/// the end of the pipe.
fn release_output() -> io::Result<()> {
    let null = File::options().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)?;
    Ok(())
}

/// Reaps until nothing is left below.
fn reap_all(control: &mut File, main: Pid, refusal: &ExecErrno) -> io::Result<()> {
    // Its id may be another's later.
    let mut main = Some(main);
    let mut had_others = false;
    loop {
        let event = match sys::wait_any(Wait::PeekExit) {
            Ok(Some(event)) => event,
            Ok(None) => continue,
            Err(error) if error.raw_os_error() == Some(libc::ECHILD) => {
                return report(control, Fact::Empty(true));
            }
            Err(error) => return Err(error),
        };
        match FinalStatus::of_zombie(&event) {
            Some(mut last) if main == Some(event.pid) => {
                if last.execed() != ExecState::Yes {
                    last.refusal = refusal.heard();
                    // What it left is a child of this process since before it ended.
                    let children = tree::children(rustix::process::getpid());
                    last.alone = !had_others && children.is_ok_and(|all| all == [event.pid]);
                }
                report(control, Fact::Ended(last))?;
                main = None;
            }
            _ => had_others = true,
        }
        sys::reap(event.pid)?;
    }
}

fn report(control: &mut File, fact: Fact) -> io::Result<()> {
    control.write_all(&Report { fact: Some(fact) }.encode_length_delimited_to_vec())
}

fn failed(step: Step, error: &io::Error) -> StartError {
    StartError {
        step: step.into(),
        errno: error.raw_os_error().unwrap_or(libc::EIO),
    }
}

/// Above PID 1's and the supervisor's 0, so that the kernel's choice for memory
/// falls on the command.
const OOM_SCORE_ADJ: &str = "500";

/// Closes everything except 0 to 2, the script at [`SCRIPT_FD`], and the refusal, which closes
/// itself with `execve`. Returns the refusal with its new descriptor.
fn keep_only(script: Option<OwnedFd>, refusal: &ExecErrno) -> io::Result<ExecErrno> {
    let above = SCRIPT_FD + 1;
    let kept_refusal = rustix::io::fcntl_dupfd_cloexec(&refusal.0, above)?;
    let kept_script = script
        .as_ref()
        .map(|script| rustix::io::fcntl_dupfd_cloexec(script, above))
        .transpose()?;
    // It is closed below with all others.
    let _ = script.map(OwnedFd::into_raw_fd);
    if let Some(script) = &kept_script {
        sys::duplicate_to(script, SCRIPT_FD)?;
    }
    let first = kept_script.as_ref().map_or(SCRIPT_FD, |_| above);
    let kept = kept_refusal.as_raw_fd();
    sys::close_from_to(first, kept - 1);
    sys::close_from_to(kept + 1, RawFd::MAX);
    let _ = kept_script.map(OwnedFd::into_raw_fd);
    Ok(ExecErrno(kept_refusal))
}

/// A program as `execve` takes it.
struct Program {
    path: CString,
    args: Vec<CString>,
    env: Vec<CString>,
}

impl Program {
    fn of(order: &RunRequest) -> io::Result<Self> {
        let string = |bytes: &Bytes| CString::new(bytes.as_ref()).map_err(io::Error::other);
        let strings = |list: &[Bytes]| -> io::Result<Vec<_>> { list.iter().map(string).collect() };
        Ok(Self {
            path: string(&order.program)?,
            args: strings(&order.args)?,
            env: strings(&order.env)?,
        })
    }

    /// Becomes it; returns only when that failed. It can only raise its `oom_score_adj`
    /// once it is dumpable, and from then on it can be traced.
    fn become_it(&self) -> io::Error {
        if let Err(errno) = set_dumpable_behavior(DumpableBehavior::Dumpable) {
            return errno.into();
        }
        let _ = std::fs::write("/proc/self/oom_score_adj", OOM_SCORE_ADJ);
        sys::restore_signals();
        sys::exec(&self.path, &self.args, &self.env)
    }
}
