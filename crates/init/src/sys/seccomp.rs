//! Filters of system calls, and what the kernel answers under them.

use std::io;
use std::os::fd::RawFd;

use super::close_from_to;

/// One instruction of a filter (`struct sock_filter`).
pub use libc::sock_filter as Instruction;

/// Puts all threads of the process under the filter, and what they start: `seccomp(2)`. Nothing
/// takes it away again.
///
/// # Errors
/// `EACCES` with privileges that were not given up, `EINVAL` without seccomp or under our own
/// filters, `ESRCH` when a thread is under a filter that the caller is not under.
pub fn install_filter(filter: &'static [Instruction]) -> io::Result<()> {
    seccomp(filter, libc::SECCOMP_FILTER_FLAG_TSYNC)
}

/// As [`install_filter`], on the calling thread alone.
///
/// # Errors
/// As there.
#[cfg(test)]
pub fn install_filter_on_this_thread(filter: &'static [Instruction]) -> io::Result<()> {
    seccomp(filter, 0)
}

fn seccomp(filter: &'static [Instruction], flags: libc::c_ulong) -> io::Result<()> {
    let program = libc::sock_fprog {
        len: u16::try_from(filter.len()).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?,
        // The kernel copies it and writes nothing.
        filter: filter.as_ptr().cast_mut(),
    };
    let program = std::ptr::from_ref(&program);
    // SAFETY: the program is `len` live instructions, which the kernel reads and checks.
    let done = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            flags,
            program,
        )
    };
    match done {
        0 => Ok(()),
        -1 => Err(io::Error::last_os_error()),
        // The id of a thread that could not be put under it.
        _ => Err(io::Error::from_raw_os_error(libc::ESRCH)),
    }
}

/// What the kernel answers to a call that `casemate_seccomp` lists as a probe; `None`: it was done.
/// A descriptor that it then gave is closed.
pub fn errno_of(number: u32, [first, second, third]: [u64; 3]) -> Option<i32> {
    // SAFETY: the probes point at no memory of the process (their pointers are null or at the end
    // of the address space, where nothing is mapped), start no process and close nothing.
    let done = unsafe {
        let rest = 0_u64;
        libc::syscall(
            libc::c_long::from(number),
            first,
            second,
            third,
            rest,
            rest,
            rest,
        )
    };
    if done == -1 {
        return io::Error::last_os_error().raw_os_error();
    }
    if let Ok(fd @ 3..) = RawFd::try_from(done) {
        close_from_to(fd, fd);
    }
    None
}
