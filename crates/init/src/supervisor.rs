//! The supervisor: the parent of one command and the heir of everything that
//! the command leaves behind. It forks the command's process ahead of time,
//! reports, reaps, and ends when nothing is left below it. It never decides
//! anything: PID 1 does.
//!
//! ```text
//! PID 1 ──spawn──► supervisor ──fork──► child, waits for the order, becomes the command
//!    ▲                  │                 ▲
//!    ├── Report ────────┘                 │
//!    └─── control socket ───── Order ─────┘
//! ```
//!
//! Invariants:
//! - The command's id is reported before there is an order, so that PID 1 can
//!   tell its end also when user code kills the supervisor.
//! - An end is reported before it is reaped: a supervisor killed in between
//!   leaves a zombie, which PID 1 inherits with its true status.
//! - It has one thread and blocks all signals.

use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read, Seek as _, Write};
use std::os::fd::{AsRawFd, FromRawFd as _, IntoRawFd as _, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::ExitCode;

use bytes::Bytes;
use prost::Message;
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::process::{DumpableBehavior, Pid, chdir, set_child_subreaper, set_dumpable_behavior};

use crate::sys::{self, Change, ChildEvent, Wait};

/// What to run. Sent by PID 1 over the control socket.
#[derive(Clone, PartialEq, Message)]
pub struct Order {
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
    /// The command's process id; it runs from now on.
    #[prost(int32, tag = "1")]
    Started(i32),
    /// It could not be started.
    #[prost(message, tag = "2")]
    Failed(Failed),
    /// The command itself has ended. What it started may still run.
    #[prost(message, tag = "3")]
    Ended(Ended),
    /// Nothing of it is left; the supervisor ends now.
    #[prost(bool, tag = "4")]
    Empty(bool),
}

/// Why a command could not be started.
#[derive(Clone, PartialEq, Message)]
pub struct Failed {
    #[prost(enumeration = "Step", tag = "1")]
    pub step: i32,
    #[prost(int32, tag = "2")]
    pub errno: i32,
}

/// The step at which starting failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum Step {
    Fork = 0,
    Chdir = 1,
    Exec = 2,
}

/// How the command ended: one of code and signal, and what it used.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct Ended {
    #[prost(int32, optional, tag = "1")]
    pub code: Option<i32>,
    #[prost(int32, optional, tag = "2")]
    pub signal: Option<i32>,
    #[prost(uint64, tag = "3")]
    pub cpu_ms: u64,
    #[prost(uint64, tag = "4")]
    pub max_rss_kib: u64,
}

impl Ended {
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

/// Largest [`Order`]: a script, a standard input and an environment at their
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
    #[allow(unsafe_code)]
    // SAFETY: the supervisor has one thread.
    let forked = unsafe { sys::fork() };
    let main = match forked {
        Ok(Some(pid)) => pid,
        Ok(None) => become_command(control),
        Err(error) => return report(&mut control, Fact::Failed(failed(Step::Fork, &error))),
    };
    report(&mut control, Fact::Started(main.as_raw_nonzero().get()))?;
    release_output()?;
    reap_all(&mut control, main)
}

/// The child's side: waits for the order and becomes what it says. An end of
/// the socket instead means that nobody needs it.
///
/// Whoever takes over the child between its becoming dumpable and its `execve`
/// is the same user, and can make it lie about itself alone.
fn become_command(mut control: File) -> ! {
    let Ok(order) = read_order(&mut control) else {
        sys::exit_now(127)
    };
    let script = (!order.script.is_empty()).then(|| content(&order.script));
    let script = script.transpose().unwrap_or_else(|error| {
        let _ = report(&mut control, Fact::Failed(failed(Step::Exec, &error)));
        sys::exit_now(127)
    });
    // Closes what was inherited, so before it becomes dumpable.
    let Ok(mut control) = keep_only(script, control) else {
        sys::exit_now(127)
    };
    let failure = prepare(&order)
        .err()
        .unwrap_or_else(|| failed(Step::Exec, &exec(&order)));
    let _ = report(&mut control, Fact::Failed(failure));
    sys::exit_now(127)
}

/// It can only raise its `oom_score_adj` once it is dumpable.
fn prepare(order: &Order) -> Result<(), Failed> {
    let step = |error: &io::Error| failed(Step::Exec, error);
    if !order.stdin.is_empty() {
        let stdin = content(&order.stdin).map_err(|error| step(&error))?;
        rustix::stdio::dup2_stdin(stdin).map_err(|errno| step(&errno.into()))?;
    }
    set_dumpable_behavior(DumpableBehavior::Dumpable).map_err(|errno| step(&errno.into()))?;
    let _ = std::fs::write("/proc/self/oom_score_adj", OOM_SCORE_ADJ);
    let _ = rustix::process::setsid();
    sys::restore_signals();
    chdir(Path::new(std::ffi::OsStr::from_bytes(&order.cwd)))
        .map_err(|errno| failed(Step::Chdir, &errno.into()))
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

fn read_order(control: &mut File) -> io::Result<Order> {
    let mut length = [0; 4];
    control.read_exact(&mut length)?;
    let length = u32::from_le_bytes(length);
    if length > MAX_ORDER {
        return Err(io::Error::other("order too long"));
    }
    let mut bytes = vec![0; length as usize];
    control.read_exact(&mut bytes)?;
    Order::decode(bytes.as_slice()).map_err(io::Error::other)
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
fn reap_all(control: &mut File, main: Pid) -> io::Result<()> {
    loop {
        let event = match sys::wait_any(Wait::PeekExit) {
            Ok(Some(event)) => event,
            Ok(None) => continue,
            Err(error) if error.raw_os_error() == Some(libc::ECHILD) => {
                return report(control, Fact::Empty(true));
            }
            Err(error) => return Err(error),
        };
        if event.pid == main
            && let Some(ended) = Ended::from_event(&event)
        {
            report(control, Fact::Ended(ended))?;
        }
        sys::reap(event.pid)?;
    }
}

fn report(control: &mut File, fact: Fact) -> io::Result<()> {
    control.write_all(&Report { fact: Some(fact) }.encode_length_delimited_to_vec())
}

fn failed(step: Step, error: &io::Error) -> Failed {
    Failed {
        step: step.into(),
        errno: error.raw_os_error().unwrap_or(libc::EIO),
    }
}

/// Above PID 1's and the supervisor's 0, so that the kernel's choice for memory
/// falls on the command.
const OOM_SCORE_ADJ: &str = "500";

/// Closes everything but 0 to 2, the script at [`SCRIPT_FD`], and the control
/// socket, which closes itself with `execve`. Returns that at its new place.
fn keep_only(script: Option<OwnedFd>, control: File) -> io::Result<File> {
    let above = SCRIPT_FD + 1;
    let kept_control = rustix::io::fcntl_dupfd_cloexec(&control, above)?;
    let kept_script = script
        .as_ref()
        .map(|script| rustix::io::fcntl_dupfd_cloexec(script, above))
        .transpose()?;
    // They are closed below with all others. Dropping them would close whoever
    // has their numbers then.
    let _ = (control.into_raw_fd(), script.map(OwnedFd::into_raw_fd));
    let mut keep: Vec<RawFd> = kept_script.iter().map(AsRawFd::as_raw_fd).collect();
    keep.push(kept_control.as_raw_fd());
    keep.sort_unstable();
    let mut from = SCRIPT_FD;
    for fd in keep {
        sys::close_from_to(from, fd - 1);
        from = fd + 1;
    }
    sys::close_from_to(from, RawFd::MAX);
    if let Some(script) = kept_script {
        sys::duplicate_to(&script, SCRIPT_FD)?;
    }
    Ok(File::from(kept_control))
}

/// Runs the program in this process. Returns only when that failed.
fn exec(order: &Order) -> io::Error {
    let strings = |list: &[Bytes]| -> Result<Vec<CString>, io::Error> {
        list.iter()
            .map(|bytes| CString::new(bytes.as_ref()).map_err(io::Error::other))
            .collect()
    };
    let prepared = strings(std::slice::from_ref(&order.program))
        .and_then(|program| Ok((program, strings(&order.args)?, strings(&order.env)?)));
    match prepared {
        Ok((program, args, env)) => sys::exec(&program[0], &args, &env),
        Err(error) => error,
    }
}
