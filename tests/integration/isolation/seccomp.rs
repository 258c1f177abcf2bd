//! The answers of the kernel to system calls.

use std::collections::BTreeMap;

use super::python;
use crate::harness::{TestServer, docker};

/// Asks the kernel for each system call; prints name -> errno as JSON.
const PROBE: &str = include_str!("probe.py");

/// EPERM: system calls that no sandbox needs.
const REFUSED: &[&str] = &[
    "io_uring_setup",
    "io_uring_enter",
    "io_uring_register",
    "io_setup",
    "io_destroy",
    "io_submit",
    "io_cancel",
    "io_getevents",
    "io_pgetevents",
    "bpf",
    "perf_event_open",
    "userfaultfd",
    "keyctl",
    "add_key",
    "request_key",
    "unshare",
    "setns",
    "clone_newuser",
    "clone_newuser_high",
    "mount",
    "umount2",
    "pivot_root",
    "chroot",
    "fsopen",
    "open_tree",
    "move_mount",
    "mount_setattr",
    "fanotify_init",
    "open_by_handle_at",
    "pidfd_getfd",
    "process_madvise",
    "kcmp",
    "syslog",
    "init_module",
    "kexec_load",
    "reboot",
    "swapon",
    "acct",
    "quotactl",
    "settimeofday",
    "sethostname",
    "mbind",
    "move_pages",
    "no_aslr",
    "mknod_device",
    "prlimit_pid1",
    "prlimit_pid1_high",
    "prlimit_pid1_thread",
    "prlimit_other_thread",
    "setpriority_pid1",
    "setpriority_pid1_high",
    "setpriority_pid1_thread",
    "sched_setparam_pid1",
    "sched_setparam_pid1_high",
    "sched_setparam_pid1_thread",
    "sched_setscheduler_pid1",
    "sched_setscheduler_pid1_high",
    "sched_setscheduler_pid1_thread",
    "sched_idle_own_id",
    "sched_idle_high_own_id",
    "sched_batch_own_id",
    "sched_other_reset_own_id",
    "sched_setattr_pid1",
    "sched_setattr_pid1_high",
    "sched_setattr_pid1_thread",
    "ioprio_set_pid1",
    "ioprio_set_pid1_high",
    "ioprio_set_pid1_thread",
    "setpriority_user",
    "setpriority_user_high",
    "setpriority_group",
    "ioprio_set_user",
    "ioprio_set_user_high",
    "ioprio_set_group",
    "socket_unix_high",
    "socket_inet_high",
    "socket_inet6_high",
    "socketpair_inet",
    "socketpair_inet6",
    "socketpair_netlink",
    "socketpair_packet",
    "socketpair_can",
    "socketpair_tipc",
    "socketpair_alg",
    "socketpair_vsock",
];

/// EAFNOSUPPORT: programs go on without these sockets, as on a kernel that lacks them.
const NO_SUCH_FAMILY: &[&str] = &[
    "socket_packet",
    "socket_packet_high",
    "socket_can",
    "socket_can_high",
    "socket_tipc",
    "socket_tipc_high",
    "socket_alg",
    "socket_alg_high",
    "socket_vsock",
    "socket_vsock_high",
];

/// EINVAL: libzmq aborts after nearly every other errno.
const NO_NETLINK: &[&str] = &["socket_netlink", "socket_netlink_high"];

/// ENOSYS: programs treat the kernel as older and fall back.
const UNKNOWN: &[&str] = &["clone3", "unknown_call"];

/// The gates for 32-bit programs, on x86_64 only: SIGSYS, or SIGSEGV from a kernel without them.
const FATAL: &[&str] = &[
    "int80_getpid",
    "int80_socket_vsock",
    "int80_socketcall_vsock",
];

/// On x86_64 only. The profile that the Engine gets ends it, and PID 1's own filters, which are the
/// only ones of ours on Podman, answer ENOSYS.
const X32: &[&str] = &["x32_socket_vsock"];

/// Calls that programs need.
const ALLOWED: &[&str] = &[
    "socket_unix",
    "socket_inet",
    "socket_inet6",
    "socketpair_unix",
    "prlimit_self",
    "prlimit_self_high",
    "setpriority_self",
    "setpriority_self_high",
    "sched_setparam_self",
    "sched_setparam_self_high",
    "sched_setscheduler_self",
    "sched_setscheduler_self_high",
    "sched_other_own_id",
    "sched_setattr_self",
    "sched_setattr_self_high",
    "ioprio_set_self",
    "ioprio_set_self_high",
    "sched_setaffinity_self",
    "sched_setaffinity_self_high",
    "sched_setaffinity_pid1",
    "sched_setaffinity_pid1_high",
    "sched_setaffinity_pid1_thread",
    "setrlimit",
    "ulimit",
    "tcp_loopback",
    "thread",
    "fork_exec",
    "posix_spawn",
    "mkfifo",
    "renameat2",
    "pidfd_open_self",
    "pidfd_send_signal",
    "openat2",
    "memfd_create",
    "statx",
    "close_range",
    "getrandom",
    "faccessat2",
    "ptrace_traceme",
    "epoll_create1",
    "eventfd2",
    "inotify_init1",
    "timerfd_create",
    "personality_ask",
];

#[tokio::test]
async fn the_kernel_refuses_needless_calls_and_allows_the_others() {
    let server = TestServer::new().start().await;
    let answers = python(&server, PROBE).await;
    let mut answers: BTreeMap<String, i64> =
        serde_json::from_value(answers).expect("names and numbers");
    let x32 = match docker::is_podman() || docker::on_gvisor() {
        true => &[38][..],
        false => &[-31, -11],
    };
    // gVisor has neither these nor 32-bit calls.
    let fatal = match docker::on_gvisor() {
        true => &[38][..],
        false => &[-31, -11],
    };
    for (names, allowed) in [
        (REFUSED, &[1][..]),
        (NO_SUCH_FAMILY, &[97]),
        (NO_NETLINK, &[22]),
        (UNKNOWN, &[38]),
        (FATAL, fatal),
        (X32, x32),
        (ALLOWED, &[0]),
    ] {
        for &name in names {
            // gVisor's kernel itself refuses it.
            let gvisors = docker::on_gvisor() && name.starts_with("sched_setparam_self");
            let allowed = if gvisors { &[1] } else { allowed };
            match answers.remove(name) {
                Some(answer) => assert!(
                    allowed.contains(&answer),
                    "{name}: {answer}, not {allowed:?}"
                ),
                None => assert!(
                    [FATAL, X32].concat().contains(&name) && cfg!(not(target_arch = "x86_64")),
                    "{name}: not probed"
                ),
            }
        }
    }
    assert!(answers.is_empty(), "probed and not expected: {answers:?}");
}
