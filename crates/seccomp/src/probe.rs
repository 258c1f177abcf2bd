//! One forbidden call for each rule, harmless where it is not forbidden: what it names does not
//! exist, or is what holds already.

use crate::errno::{
    EAFNOSUPPORT, EINVAL, ENODEV, ENOPROTOOPT, ENOSYS, ENOTTY, EPERM, EPROTONOSUPPORT,
};

/// A forbidden call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probe {
    /// The name of the forbidden call in Hello. Unique.
    pub name: &'static str,
    /// The system call.
    pub call: &'static str,
    /// Its number on x86_64 and on aarch64.
    pub numbers: (u32, u32),
    /// Its first arguments; the rest is 0.
    pub args: [u64; 3],
    /// What the filters answer. The kernel itself would answer something else.
    pub errno: u16,
}

/// All that casemate-init tries.
pub const fn probes() -> &'static [Probe] {
    PROBES
}

/// What PID 1 of a container must report before it is used.
pub fn required() -> impl Iterator<Item = &'static str> {
    PROBES.iter().map(|probe| probe.name)
}

/// What of [`required`] is not among `reported`, in the order of the rules.
pub fn missing<'a>(reported: &'a [String]) -> impl Iterator<Item = &'static str> + 'a {
    required().filter(|name| !reported.iter().any(|reported| reported == name))
}

/// Above the 32 bits that the kernel reads of an `int`.
const HIGH: u64 = 1 << 32;

/// No descriptor; and as a pointer, no address.
const NONE: u64 = u64::MAX;

const fn probe(
    name: &'static str,
    (call, x86_64, aarch64): (&'static str, u32, u32),
    args: [u64; 3],
    errno: u16,
) -> Probe {
    Probe {
        name,
        call,
        numbers: (x86_64, aarch64),
        args,
        errno,
    }
}

type Call = (&'static str, u32, u32);
const SOCKET: Call = ("socket", 41, 198);
const SOCKETPAIR: Call = ("socketpair", 53, 199);
const SETSOCKOPT: Call = ("setsockopt", 54, 208);
const FCNTL: Call = ("fcntl", 72, 25);
const IOCTL: Call = ("ioctl", 16, 29);
const SECCOMP: Call = ("seccomp", 317, 277);
const PRCTL: Call = ("prctl", 157, 167);
const PRLIMIT: Call = ("prlimit64", 302, 261);
const SETPRIORITY: Call = ("setpriority", 141, 140);
const SCHED_SETPARAM: Call = ("sched_setparam", 142, 118);
const SCHED_SETSCHEDULER: Call = ("sched_setscheduler", 144, 119);
const SCHED_SETATTR: Call = ("sched_setattr", 314, 274);
const IOPRIO_SET: Call = ("ioprio_set", 251, 30);
const CLONE: Call = ("clone", 56, 220);
const CLONE3: Call = ("clone3", 435, 435);
const UNSHARE: Call = ("unshare", 272, 97);
const SETNS: Call = ("setns", 308, 268);
const IO_SETUP: Call = ("io_setup", 206, 0);
const IO_URING: Call = ("io_uring_setup", 425, 425);
const BPF: Call = ("bpf", 321, 280);
const PERF: Call = ("perf_event_open", 298, 241);
const USERFAULTFD: Call = ("userfaultfd", 323, 282);
const KEYCTL: Call = ("keyctl", 250, 219);
const ADD_KEY: Call = ("add_key", 248, 217);
const FILE_SETATTR: Call = ("file_setattr", 469, 469);

/// Raw and closed on exec: the kernel answers by the family before it looks at this.
const RAW: u64 = 0o2000003;

/// `CLONE_NEWUSER | CLONE_FS`: the kernel itself makes no such process (EINVAL).
const NEW_USER: u64 = 0x1000_0200;

/// `CLONE_FILES | CLONE_SIGHAND`: likewise, it needs `CLONE_VM`.
const SHARED_FILES: u64 = 0xc00;

#[rustfmt::skip]
const PROBES: &[Probe] = &[
    probe("netlink sockets", SOCKET, [16, RAW, 0], EINVAL),
    probe("netlink sockets, high bits", SOCKET, [HIGH | 16, RAW, 0], EINVAL),
    probe("packet sockets", SOCKET, [17, RAW, 0], EAFNOSUPPORT),
    probe("crypto sockets", SOCKET, [38, RAW, 0], EAFNOSUPPORT),
    probe("vsock sockets", SOCKET, [40, RAW, 0], EAFNOSUPPORT),
    probe("SCTP", SOCKET, [2, 1, 132], EPROTONOSUPPORT),
    probe("MPTCP, high bits", SOCKET, [HIGH | 2, 1, HIGH | 262], EPROTONOSUPPORT),
    probe("pairs of internet sockets", SOCKETPAIR, [2, 1, 0], EPERM),
    probe("packet filters", SETSOCKOPT, [NONE, 1, 26], EPERM),
    probe("packet filters, high bits", SETSOCKOPT, [NONE, HIGH | 1, HIGH | 26], EPERM),
    probe("packet filters of bpf", SETSOCKOPT, [NONE, 1, 50], EPERM),
    probe("packet filters of groups", SETSOCKOPT, [NONE, 1, 51], EPERM),
    probe("packet filters of groups, of bpf", SETSOCKOPT, [NONE, 1, 52], EPERM),
    probe("levels of socket options", SETSOCKOPT, [NONE, 282, 1], ENOPROTOOPT),
    probe("zero-copy sockets", SETSOCKOPT, [NONE, 1, 60], ENOPROTOOPT),
    probe("IPv4 groups", SETSOCKOPT, [NONE, 0, 35], ENODEV),
    probe("IPv4 options", SETSOCKOPT, [NONE, 0, 4], ENOPROTOOPT),
    probe("IPv6 groups", SETSOCKOPT, [NONE, 41, 20], ENODEV),
    probe("IPv6 options", SETSOCKOPT, [NONE, 41, 6], ENOPROTOOPT),
    probe("IPv6 options, high bits", SETSOCKOPT, [NONE, HIGH | 41, HIGH | 6], ENOPROTOOPT),
    probe("TCP keys", SETSOCKOPT, [NONE, 6, 14], ENOPROTOOPT),
    probe("TLS in the kernel", SETSOCKOPT, [NONE, 6, 31], ENOPROTOOPT),
    probe("UDP encapsulation", SETSOCKOPT, [NONE, 17, 100], ENOPROTOOPT),
    probe("project ids", IOCTL, [NONE, 0x401c_5820, 0], ENOTTY),
    probe("project ids, high bits", IOCTL, [NONE, HIGH | 0x401c_5820, 0], ENOTTY),
    probe("project ids by flags", IOCTL, [NONE, 0x4008_6602, 0], ENOTTY),
    probe("project ids by file_setattr", FILE_SETATTR, [NONE, 0, 0], ENOSYS),
    probe("file system keys", IOCTL, [NONE, 0xc050_6617, 0], ENOTTY),
    probe("line disciplines", IOCTL, [NONE, 0x5423, 0], ENOTTY),
    probe("locks of open file descriptions", FCNTL, [NONE, 37, 0], EINVAL),
    probe("locks of open file descriptions, waiting", FCNTL, [NONE, HIGH | 38, 0], EINVAL),
    probe("limits of others", PRLIMIT, [1, 4, 0], EPERM),
    probe("limits of others, high bits", PRLIMIT, [HIGH | 1, 4, 0], EPERM),
    probe("priority of others", SETPRIORITY, [0, 1, 0], EPERM),
    probe("priority of a group", SETPRIORITY, [3, 0, 0], EPERM),
    probe("scheduling of others: parameters", SCHED_SETPARAM, [1, 0, 0], EPERM),
    // SCHED_IDLE: SCHED_OTHER stays open for every thread.
    probe("scheduling of others: policy", SCHED_SETSCHEDULER, [1, 5, 0], EPERM),
    probe("scheduling of others: attributes", SCHED_SETATTR, [HIGH | 1, 0, 0], EPERM),
    probe("I/O priority of others", IOPRIO_SET, [1, 1, NONE], EPERM),
    probe("I/O priority of a user", IOPRIO_SET, [4, 0, 0], EPERM),
    probe("user namespaces", CLONE, [NEW_USER, 0, 0], EPERM),
    probe("processes with shared descriptors", CLONE, [SHARED_FILES, 0, 0], EPERM),
    probe("clone3", CLONE3, [0, 0, 0], ENOSYS),
    probe("unshare", UNSHARE, [0, 0, 0], EPERM),
    probe("setns", SETNS, [NONE, 0, 0], EPERM),
    probe("asynchronous I/O", IO_SETUP, [0, 0, 0], EPERM),
    probe("io_uring", IO_URING, [0, 0, 0], EPERM),
    probe("bpf", BPF, [0, 0, 0], EPERM),
    probe("performance events", PERF, [0, 0, 0], EPERM),
    probe("userfaultfd", USERFAULTFD, [NONE, 0, 0], EPERM),
    probe("keyrings", KEYCTL, [NONE, 0, 0], EPERM),
    probe("keys", ADD_KEY, [0, 0, 0], EPERM),
    probe("seccomp", SECCOMP, [2, 0, 0], EINVAL),
    probe("seccomp by prctl", PRCTL, [22, 2, 0], EINVAL),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_name_is_unique() {
        assert_eq!(required().collect::<BTreeSet<_>>().len(), PROBES.len());
    }

    #[test]
    fn what_is_not_reported_is_missing_and_named() {
        let all: Vec<String> = required().map(str::to_owned).collect();
        assert_eq!(missing(&all).next(), None);
        for (index, name) in all.iter().enumerate() {
            let mut reported = all.clone();
            reported.remove(index);
            reported.push("what a newer casemate-init denies too".to_owned());
            assert_eq!(missing(&reported).collect::<Vec<_>>(), [name]);
        }
        assert_eq!(missing(&[]).count(), all.len());
    }
}
