//! The supervisor: the parent of one command, which also inherits all processes that the command
//! leaves. It forks the command's process ahead of time, reports, reaps, and ends when nothing is
//! left below it. It decides nothing: PID 1 does.
//!
//! ```text
//! PID 1 ──spawn──► supervisor ──fork──► child, waits for the order, becomes the command
//!    ▲                 │ ▲                │ ▲
//!    ├──── Report ─────┘ └── ExecErrno ───┘ │
//!    └─── control socket ──── RunRequest ───┘
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

mod child;
mod messages;
mod user;

use std::fs::File;
use std::io;
use std::os::fd::{FromRawFd as _, OwnedFd, RawFd};
use std::process::ExitCode;

use rustix::process::{Pid, set_child_subreaper};

use self::child::{ExecErrno, become_command};
use self::messages::{failed, report};
use self::user::User;
use crate::procfs::ExecState;
use crate::shield::{self, Keeps};
use crate::sys::{self, Wait};
use crate::tree;

pub use child::SCRIPT_FD;
pub use messages::{
    ExitDetails, Fact, FinalStatus, ProcessIdentity, Report, RunRequest, StartError, Step,
};

/// Arguments: the control socket's descriptor; where PID 1 has another real user than the commands, also
/// that of the commands, and how many processes it may have.
pub fn main(mut args: impl Iterator<Item = String>) -> ExitCode {
    let Some(control) = args.next().and_then(|fd| fd.parse().ok()).map(owned) else {
        return ExitCode::from(64);
    };
    let Ok(user) = args
        .next()
        .map(|account| User::of(&account, args.next()))
        .transpose()
    else {
        return ExitCode::from(64);
    };
    match supervise(File::from(control), user) {
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

fn supervise(mut control: File, user: Option<User>) -> io::Result<()> {
    if let Some(user) = user {
        shield::put_up(user.account, Keeps::Nothing)?;
    }
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
        Ok(None) => become_command(control, refusal, user),
        Err(error) => return report(&mut control, Fact::Failed(failed(Step::Fork, &error))),
    };
    let started = crate::procfs::process(main).ok_or_else(|| io::Error::other("no child"))?;
    report(&mut control, Fact::Started(ProcessIdentity::from(&started)))?;
    release_output()?;
    reap_all(&mut control, main, &refusal)
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
