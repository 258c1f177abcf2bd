//! What a process of the user's would do to PID 1. Each call changes nothing where it is allowed. True:
//! the kernel refused it.

use std::ptr;

const INIT: libc::pid_t = 1;

fn is_refused(done: libc::c_long) -> bool {
    done == -1 && std::io::Error::last_os_error().raw_os_error() == Some(libc::EPERM)
}

/// Signal 0, by each call that can send one: it is only checked.
pub fn may_not_signal_init() -> bool {
    // SAFETY: none of them writes memory.
    unsafe {
        is_refused(libc::syscall(libc::SYS_kill, INIT, 0))
            && is_refused(libc::syscall(libc::SYS_tkill, INIT, 0))
            && is_refused(libc::syscall(libc::SYS_tgkill, INIT, INIT, 0))
    }
}

/// Reads a limit: to set one asks for the same right.
pub fn may_not_limit_init() -> bool {
    let mut limit = [0_u64; 2];
    // SAFETY: the kernel writes one `rlimit64` to `limit`, which has its size.
    let done = unsafe {
        libc::syscall(
            libc::SYS_prlimit64,
            INIT,
            libc::RLIMIT_NOFILE,
            ptr::null::<u64>(),
            limit.as_mut_ptr(),
        )
    };
    is_refused(done)
}

/// Where it is allowed, the end of this process lets PID 1 go; it is never stopped.
pub fn may_not_trace_init() -> bool {
    const PTRACE_SEIZE: libc::c_long = 0x4206;
    // SAFETY: it has no memory effects.
    is_refused(unsafe { libc::syscall(libc::SYS_ptrace, PTRACE_SEIZE, INIT, 0, 0) })
}
