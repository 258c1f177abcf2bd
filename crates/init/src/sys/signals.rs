//! What this process does at a signal.

use std::mem::MaybeUninit;

/// The signals that end a process at once when nothing handles them: those without a core dump, except
/// SIGKILL. The numbers from 32 on are the real-time signals, with those that C libraries keep.
const DEADLY: [libc::c_int; 12] = [
    libc::SIGHUP,
    libc::SIGINT,
    libc::SIGPIPE,
    libc::SIGALRM,
    libc::SIGTERM,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGSTKFLT,
    libc::SIGIO,
    libc::SIGVTALRM,
    libc::SIGPROF,
    libc::SIGPWR,
];

const REAL_TIME: std::ops::RangeInclusive<libc::c_int> = 32..=64;

fn deadly() -> impl Iterator<Item = libc::c_int> {
    DEADLY.into_iter().chain(REAL_TIME)
}

/// Ignores the signals that would end PID 1.
///
/// The kernel drops a signal from inside the container that PID 1 does not handle, but only while the
/// main thread does not block it. While that thread starts a process it blocks all signals; then the
/// kernel gives the signal to another thread, and ends PID 1 (`complete_signal` asks only whether a
/// signal with the default disposition would be fatal). Ignored, it is dropped in any case.
pub fn ignore_signals() {
    for signal in deadly() {
        set_disposition(signal, libc::SIG_IGN);
    }
}

/// Takes away the handlers that the Rust runtime installs for its stack
/// overflow message. (SIGPIPE it ignores; that stays.)
pub fn default_signal_handlers() {
    for signal in [libc::SIGSEGV, libc::SIGBUS] {
        set_disposition(signal, libc::SIG_DFL);
    }
}

/// Unblocks every signal and ignores none: what a command starts with.
pub fn restore_signals() {
    for signal in deadly() {
        set_disposition(signal, libc::SIG_DFL);
    }
    set_mask(false);
}

/// By the system call: C libraries refuse the signals that they keep for themselves.
fn set_disposition(signal: libc::c_int, disposition: libc::sighandler_t) {
    // The kernel's `struct sigaction`: disposition, flags, restorer, mask.
    let action = [disposition, 0, 0, 0];
    const MASK_BYTES: usize = 8;
    // SAFETY: the kernel reads `action`, which has its size on x86-64 and arm64, and writes nothing.
    // The dispositions are SIG_DFL and SIG_IGN alone, so no handler runs, and none of ours is lost.
    unsafe {
        libc::syscall(
            libc::SYS_rt_sigaction,
            signal,
            action.as_ptr(),
            std::ptr::null::<usize>(),
            MASK_BYTES,
        );
    }
}

/// Blocks every signal that can be blocked, so that a stray `kill` of user
/// code does not end the caller.
pub fn block_signals() {
    set_mask(true);
}

fn set_mask(block: bool) {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: the set is initialised by sigfillset or sigemptyset before use.
    unsafe {
        if block {
            libc::sigfillset(set.as_mut_ptr());
        } else {
            libc::sigemptyset(set.as_mut_ptr());
        }
        libc::sigprocmask(libc::SIG_SETMASK, set.as_ptr(), std::ptr::null_mut());
    }
}
