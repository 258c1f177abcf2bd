//! The forked child: it prepares everything while no process may trace it, then becomes the command.

use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::fd::{AsRawFd as _, IntoRawFd as _, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use bytes::Bytes;
use prost::Message as _;
use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::process::{DumpableBehavior, chdir, set_dumpable_behavior};

use super::messages::{Fact, RunRequest, StartError, Step, failed, report};
use super::user::User;
use crate::shield;
use crate::sys;

/// Largest [`RunRequest`]: a script, a standard input and an environment at their
/// bounds, with room.
const MAX_ORDER: u32 = 3 * 1024 * 1024;

/// The descriptor that a script too long for an argument comes in, as the
/// command sees it.
pub const SCRIPT_FD: RawFd = 3;

/// What the child says of an `execve` that failed: its errno, in a counter that the kernel
/// keeps. It cannot be opened by way of `/proc`, and is closed when `execve` succeeds.
pub struct ExecErrno(OwnedFd);

impl ExecErrno {
    pub fn new() -> io::Result<Self> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        Ok(Self(eventfd(0, flags)?))
    }

    fn say(&self, error: &io::Error) {
        let errno = error.raw_os_error().unwrap_or(libc::EIO);
        let errno = u64::try_from(errno).unwrap_or_default();
        let _ = rustix::io::write(&self.0, &errno.to_ne_bytes());
    }

    pub fn heard(&self) -> Option<i32> {
        let mut errno = [0; 8];
        rustix::io::read(&self.0, &mut errno).ok()?;
        i32::try_from(u64::from_ne_bytes(errno)).ok()
    }
}

/// The child's side: waits for the order and becomes that program. An end of the socket instead
/// means that it is not needed.
pub fn become_command(mut control: File, refusal: ExecErrno, user: Option<User>) -> ! {
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
    kept.say(&program.become_it(user));
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
    fn become_it(&self, user: Option<User>) -> io::Error {
        if let Some(user) = user
            && let Err(error) = shield::leave(user.account, Some(user.processes))
        {
            return error;
        }
        if let Err(errno) = set_dumpable_behavior(DumpableBehavior::Dumpable) {
            return errno.into();
        }
        let _ = std::fs::write("/proc/self/oom_score_adj", OOM_SCORE_ADJ);
        sys::restore_signals();
        sys::exec(&self.path, &self.args, &self.env)
    }
}
