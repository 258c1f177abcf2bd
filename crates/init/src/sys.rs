//! The system calls that have no safe wrapper. The crate's other `unsafe` is in the
//! supervisor: its fork, and the descriptor that it is handed.

#![allow(unsafe_code)]

mod init_attacks;
mod project;
mod seccomp;
mod signals;

use std::ffi::{CStr, CString};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd as _, OwnedFd, RawFd};

use rustix::process::Pid;

pub use init_attacks::{may_not_limit_init, may_not_signal_init, may_not_trace_init};
pub use project::is_in_project;
#[cfg(test)]
pub use seccomp::install_filter_on_this_thread;
pub use seccomp::{Instruction, errno_of, install_filter};
pub use signals::{block_signals, default_signal_handlers, ignore_signals, restore_signals};

/// How a child changed: what `waitid(2)` says, with what it used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChildEvent {
    /// Whose event it is.
    pub pid: Pid,
    /// What happened to it.
    pub change: Change,
    /// Processor time of it and the children it waited for.
    pub cpu_ms: u64,
    /// Largest resident set of it or of a child it waited for.
    pub max_rss_kib: u64,
}

/// What happened to a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It called `exit` with this code.
    Exited(i32),
    /// This signal ended it.
    Killed(i32),
    /// A signal stopped it.
    Stopped,
}

/// What to wait for.
#[derive(Debug, Clone, Copy)]
pub enum Wait {
    /// An exit, without reaping it: the status can be asked for again.
    PeekExit,
    /// An exit or a stop, without blocking. It is told again until it is reaped or
    /// forgotten.
    PeekNow,
}

/// Waits for any child. `None`: nothing to tell now (`PeekNow` only).
///
/// # Errors
/// `ECHILD` when there are no children.
pub fn wait_any(how: Wait) -> io::Result<Option<ChildEvent>> {
    let flags = match how {
        Wait::PeekExit => libc::WEXITED | libc::WNOWAIT,
        Wait::PeekNow => libc::WEXITED | libc::WSTOPPED | libc::WNOHANG | libc::WNOWAIT,
    };
    raw_waitid(libc::P_ALL, 0, flags)
}

/// Reaps the exited child `pid`.
///
/// # Errors
/// `ECHILD` when it is not (any more) a child.
pub fn reap(pid: Pid) -> io::Result<()> {
    let id = pid.as_raw_nonzero().get().unsigned_abs();
    raw_waitid(libc::P_PID, id, libc::WEXITED).map(drop)
}

/// Takes note of a stop of the child `pid`.
///
/// # Errors
/// `ECHILD` when it is not (any more) a child.
pub fn forget_stop(pid: Pid) -> io::Result<()> {
    let id = pid.as_raw_nonzero().get().unsigned_abs();
    raw_waitid(libc::P_PID, id, libc::WSTOPPED | libc::WNOHANG).map(drop)
}

/// `waitid(2)` as the kernel has it: with the fifth argument, `rusage`, that
/// the C library's function lacks.
fn raw_waitid(kind: libc::idtype_t, id: u32, flags: i32) -> io::Result<Option<ChildEvent>> {
    loop {
        let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
        let mut usage = MaybeUninit::<libc::rusage>::zeroed();
        // SAFETY: both pointers are to live, zeroed, writable structures of the
        // kernel's layout; zeroes are valid values of both.
        let (result, info, usage) = unsafe {
            let result = libc::syscall(
                libc::SYS_waitid,
                kind,
                id,
                info.as_mut_ptr(),
                flags,
                usage.as_mut_ptr(),
            );
            (result, info.assume_init(), usage.assume_init())
        };
        if result == 0 {
            return Ok(event(&info, &usage));
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

fn event(info: &libc::siginfo_t, usage: &libc::rusage) -> Option<ChildEvent> {
    // SAFETY: after a successful waitid these fields are set, or zero when
    // nothing was to tell.
    let (pid, status) = unsafe { (info.si_pid(), info.si_status()) };
    let change = match info.si_code {
        libc::CLD_EXITED => Change::Exited(status),
        libc::CLD_KILLED | libc::CLD_DUMPED => Change::Killed(status),
        _ => Change::Stopped,
    };
    let millis = |time: libc::timeval| {
        u64::try_from(time.tv_sec).unwrap_or(0) * 1000
            + u64::try_from(time.tv_usec).unwrap_or(0) / 1000
    };
    Some(ChildEvent {
        pid: Pid::from_raw(pid)?,
        change,
        cpu_ms: millis(usage.ru_utime) + millis(usage.ru_stime),
        max_rss_kib: u64::try_from(usage.ru_maxrss).unwrap_or(0),
    })
}

/// Kills every process of the container that PID 1 may kill: all of the user's,
/// at once, also while they fork. PID 1 itself and the bridges are spared by
/// the kernel.
pub fn kill_everything() {
    // SAFETY: kill has no memory effects.
    unsafe {
        libc::kill(-1, libc::SIGKILL);
    }
}

/// `fork(2)`. `None` in the child.
///
/// # Errors
/// `EAGAIN` at the limit of processes.
///
/// # Safety
/// The process must have one thread: the child may then do everything.
pub unsafe fn fork() -> io::Result<Option<Pid>> {
    // SAFETY: the caller promises that no other thread holds a lock.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        pid => Ok(Pid::from_raw(pid)),
    }
}

/// Closes the descriptors `first` to `last`, both included.
pub fn close_from_to(first: RawFd, last: RawFd) {
    if first > last {
        return;
    }
    // SAFETY: the caller gives up these descriptors.
    let done = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    if done != 0 {
        // A kernel without close_range: the limit of open files bounds the loop.
        for fd in first..=last.min(MAX_FILES) {
            // SAFETY: as above.
            unsafe {
                libc::close(fd);
            }
        }
    }
}

/// The container's limit of open files.
const MAX_FILES: RawFd = 4096;

/// Makes `to` a copy of `fd` that the next program inherits.
///
/// # Errors
/// What `dup2` says.
pub fn duplicate_to(fd: &OwnedFd, to: RawFd) -> io::Result<()> {
    // SAFETY: `to` is not owned by anything in this process.
    match unsafe { libc::dup2(fd.as_raw_fd(), to) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// `execve(2)`. Returns only when that failed, with the reason.
pub fn exec(program: &CStr, args: &[CString], env: &[CString]) -> io::Error {
    let pointers = |list: &[CString]| -> Vec<*const libc::c_char> {
        list.iter()
            .map(|string| string.as_ptr())
            .chain([std::ptr::null()])
            .collect()
    };
    let (args, env) = (pointers(args), pointers(env));
    // SAFETY: all three are NUL-terminated and live until the call returns.
    unsafe {
        libc::execve(program.as_ptr(), args.as_ptr(), env.as_ptr());
    }
    io::Error::last_os_error()
}

/// Buffers of this size and above go back to the kernel when they are freed. glibc
/// raises its own bound with every large buffer, and each file thread then keeps
/// the largest it ever had: 88 MB in all after some edits of 8 MB (measured).
#[cfg(target_env = "gnu")]
pub fn give_back_large_buffers() {
    const LARGE: i32 = 1 << 20;
    // SAFETY: it sets a number of the allocator, before there are other threads.
    unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE) };
}

/// musl always does so.
#[cfg(not(target_env = "gnu"))]
pub fn give_back_large_buffers() {}

/// Ends the process at once, without anything of the parent's that was forked.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: does not return.
    unsafe { libc::_exit(code) }
}
