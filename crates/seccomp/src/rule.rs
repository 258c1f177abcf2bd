//! What PID 1's own filters refuse of the calls that the profile allows.
//!
//! The kernel reads an `int` argument as its low 32 bits, so that is all a [`Test`] looks at:
//! nothing gets round it with high bits set.
//!
//! Levels, options and requests: `include/uapi/linux/{in,in6,tcp,udp,fs}.h`,
//! `include/uapi/asm-generic/{socket,ioctls}.h`; the same on x86_64 and aarch64.

use crate::errno::{EAFNOSUPPORT, EINVAL, ENODEV, ENOPROTOOPT, ENOTTY, EPERM, EPROTONOSUPPORT};

/// A call that is refused, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// What it keeps away. Unique.
    pub name: &'static str,
    /// The system call.
    pub call: &'static str,
    /// All of them must hold; none: always.
    pub when: &'static [Argument],
    /// What the caller is told.
    pub errno: u16,
}

/// A test on one argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Argument {
    /// From 0.
    pub index: u8,
    /// What its low 32 bits must be.
    pub test: Test,
}

/// A test on the low 32 bits of an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Test {
    /// Equal to one of these.
    In(&'static [u32]),
    /// Equal to none of these.
    NotIn(&'static [u32]),
    /// Equal to `value` in the bits of `mask`.
    Masked {
        /// The bits that are looked at.
        mask: u32,
        /// What they must be.
        value: u32,
    },
}

/// The rules. None is true of a call that another one refuses with another errno.
pub const fn rules() -> &'static [Rule] {
    RULES
}

const fn is(index: u8, values: &'static [u32]) -> Argument {
    let test = Test::In(values);
    Argument { index, test }
}

const fn is_not(index: u8, values: &'static [u32]) -> Argument {
    let test = Test::NotIn(values);
    Argument { index, test }
}

const fn is_masked(index: u8, mask: u32, value: u32) -> Argument {
    let test = Test::Masked { mask, value };
    Argument { index, test }
}

const fn rule(
    name: &'static str,
    call: &'static str,
    when: &'static [Argument],
    errno: u16,
) -> Rule {
    Rule {
        name,
        call,
        when,
        errno,
    }
}

/// Queues of unread netlink messages are charged to no cgroup. EINVAL is the answer after which
/// most programs continue: libzmq (Jupyter's kernels) aborts after every errno except EINVAL and
/// EOPNOTSUPP, and of these two what asks libaudit (shadow, PAM) knows EINVAL alone.
const NETLINK: &[u32] = &[16];

/// UNIX, INET and INET6.
const FAMILIES: &[u32] = &[
    1, 2, 10, //
    16, // refused with EINVAL, above
];
const INTERNET: &[u32] = &[2, 10];

/// The family's default, ICMP (`ping`), TCP, UDP and ICMPv6. Others load modules for the asking
/// (SCTP, DCCP) or allocate memory (MPTCP), and programs fall back to TCP.
const PROTOCOLS: &[u32] = &[0, 1, 6, 17, 58];

// Levels of socket options.
const IP: u32 = 0;
const SOCKET: u32 = 1;
const TCP: u32 = 6;
const UDP: u32 = 17;
const IPV6: u32 = 41;
const LEVELS: &[u32] = &[IP, SOCKET, TCP, UDP, IPV6];

/// `SO_ATTACH_FILTER`, `SO_ATTACH_BPF`, `SO_ATTACH_REUSEPORT_CBPF` and `_EBPF`: their code is kept
/// in memory that all of the host shares (`net.core.bpf_jit_limit`), and 8,000 of them fill it.
const BPF: &[u32] = &[26, 50, 51, 52];

/// The others of SOL_SOCKET except `SO_ZEROCOPY` (notifications that are charged to no cgroup),
/// `SO_RESERVE_MEM` and what is newer than Linux 6.16.
#[rustfmt::skip]
const SOCKET_OPTIONS: &[u32] = &[
    1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 25, 27, 28, 29, 30,
    31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 53, 55, 56, 57, 59,
    61, 62, 63, 64, 65, 66, 67, 68, 69, 70, 71, 72, 74, 75, 76, 77, 82, 83, 84,
    26, 50, 51, 52, // refused with EPERM, above
];

/// Memberships and source filters of multicast groups: 200 bytes and more for each, charged to no
/// cgroup, and a group on `lo` has no other members.
const IP_GROUPS: &[u32] = &[35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48];
const IPV6_GROUPS: &[u32] = &[20, 21, 27, 28, 42, 43, 44, 45, 46, 47, 48];

/// What sets a number or a flag. Left out is what keeps memory: `IP_OPTIONS`,
/// `IP_ROUTER_ALERT`, and what takes a capability.
#[rustfmt::skip]
const IP_OPTIONS: &[u32] = &[
    1, 2, 3, 6, 7, 8, 10, 11, 12, 13, 15, 18, 19, 20, 21, 22, 23, 24, 25, 26, 32, 33, 34, 49, 50, 51,
    35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, // refused with ENODEV
];

/// Likewise. Left out: `IPV6_2292PKTOPTIONS` keeps up to 64 KiB for each socket that are charged to
/// no cgroup, `IPV6_RTHDR` and its kin 2 KiB, `IPV6_FLOWLABEL_MGR` draws on one table of the host.
#[rustfmt::skip]
const IPV6_OPTIONS: &[u32] = &[
    2, 3, 4, 5, 7, 8, 11, 16, 17, 18, 19, 23, 24, 25, 26, 29, 31, 33, 49, 50, 51, 52, 53, 56, 58, 60,
    61, 62, 66, 67, 70, 72, 73, 74, 75, 76, 77, 78,
    20, 21, 27, 28, 42, 43, 44, 45, 46, 47, 48, // refused with ENODEV
];

/// Likewise. Left out: keys (`TCP_MD5SIG`, `TCP_AO_*`, `TCP_FASTOPEN_KEY`), each of which is charged
/// to no cgroup; `TCP_ULP` (TLS in the kernel), `TCP_REPAIR`, `TCP_SAVE_SYN`, `TCP_ZEROCOPY_RECEIVE`.
#[rustfmt::skip]
const TCP_OPTIONS: &[u32] = &[
    1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 16, 17, 18, 23, 24, 25, 26, 30, 34, 36, 37,
];

/// All except `UDP_ENCAP`.
const UDP_OPTIONS: &[u32] = &[1, 101, 102, 103, 104];

/// `FS_IOC_FSSETXATTR` and `FS_IOC_SETFLAGS`: a file's owner moves it out of its project, and so
/// out of the quota. `XFS_IOC_FSSETXATTR` and `EXT4_IOC_SETFLAGS` are the same numbers, those of
/// 32-bit programs end with them, and `file_setattr(2)` is not in the profile.
const PROJECT: &[u32] = &[0x401c_5820, 0x4008_6602];

/// `FS_IOC_ADD_ENCRYPTION_KEY`: its keys are counted by uid.
const FILE_SYSTEM_KEY: &[u32] = &[0xc050_6617];

/// `TIOCSETD`: other line disciplines are modules that allocate memory.
const LINE_DISCIPLINE: &[u32] = &[0x5423];

/// `F_OFD_SETLK` and `F_OFD_SETLKW`: charged to no cgroup, and PID 1 cannot count them: the kernel
/// shows those of the whole host to every reader of `/proc/locks`. EINVAL is the answer of kernels
/// before 3.15.
const OFD_LOCKS: &[u32] = &[37, 38];

/// `CLONE_FILES` and `CLONE_THREAD`. A process that shares its descriptors with another and is no
/// thread of it can take locks and end: they stay, and `/proc/locks` does not show them, so PID 1
/// could not count them. Leak checks of sanitizers (LSan) start such a process; nothing else is known to.
const CLONE_FILES: u32 = 0x400;
const CLONE_THREAD: u32 = 0x1_0000;

/// `PR_SET_SECCOMP`.
const SET_SECCOMP: &[u32] = &[22];

#[rustfmt::skip]
const RULES: &[Rule] = &[
    rule("netlink sockets", "socket", &[is(0, NETLINK)], EINVAL),
    rule("socket families", "socket", &[is_not(0, FAMILIES)], EAFNOSUPPORT),
    rule("internet protocols", "socket", &[is(0, INTERNET), is_not(2, PROTOCOLS)], EPROTONOSUPPORT),
    rule("packet filters", "setsockopt", &[is(1, &[SOCKET]), is(2, BPF)], EPERM),
    rule("levels of socket options", "setsockopt", &[is_not(1, LEVELS)], ENOPROTOOPT),
    rule("socket options", "setsockopt", &[is(1, &[SOCKET]), is_not(2, SOCKET_OPTIONS)], ENOPROTOOPT),
    rule("IPv4 groups", "setsockopt", &[is(1, &[IP]), is(2, IP_GROUPS)], ENODEV),
    rule("IPv4 options", "setsockopt", &[is(1, &[IP]), is_not(2, IP_OPTIONS)], ENOPROTOOPT),
    rule("IPv6 groups", "setsockopt", &[is(1, &[IPV6]), is(2, IPV6_GROUPS)], ENODEV),
    rule("IPv6 options", "setsockopt", &[is(1, &[IPV6]), is_not(2, IPV6_OPTIONS)], ENOPROTOOPT),
    rule("TCP options", "setsockopt", &[is(1, &[TCP]), is_not(2, TCP_OPTIONS)], ENOPROTOOPT),
    rule("UDP options", "setsockopt", &[is(1, &[UDP]), is_not(2, UDP_OPTIONS)], ENOPROTOOPT),
    rule("project ids", "ioctl", &[is(1, PROJECT)], ENOTTY),
    rule("file system keys", "ioctl", &[is(1, FILE_SYSTEM_KEY)], ENOTTY),
    rule("processes with shared descriptors", "clone", &[is_masked(0, CLONE_FILES | CLONE_THREAD, CLONE_FILES)], EPERM),
    rule("locks of open file descriptions", "fcntl", &[is(1, OFD_LOCKS)], EINVAL),
    rule("line disciplines", "ioctl", &[is(1, LINE_DISCIPLINE)], ENOTTY),
    rule("seccomp", "seccomp", &[], EINVAL),
    rule("seccomp by prctl", "prctl", &[is(0, SET_SECCOMP)], EINVAL),
];
