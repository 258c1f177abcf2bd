//! Memory that the kernel keeps for a sandbox: charged to it, or refused.

use serde_json::json;

use super::{attack, host, run};
use crate::harness::{Server, TestServer, docker};

/// Amount that an attack asks for: more than twice the sandbox's limit.
const ASKED: i64 = 300 << 20;

/// Memory limit of the sandbox.
const LIMIT: i64 = 128 << 20;

/// How often an attack is repeated until the host's free memory hardly changes during it: other
/// programs use the machine too.
const TRIES: usize = 5;

async fn small() -> Server {
    let server = TestServer::new().env("CASEMATE_MEMORY", "128m");
    server.start().await
}

/// Ways to hold memory that no cgroup was charged for.
const UNCHARGED: &str = r#"
def netlink(protocol):
    def step():
        receiver = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol)
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * MIB)
        receiver.bind((0, 0))
        sender = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol)
        kept.append(receiver)
        sent = 0
        try:
            while sent < 8 * MIB:
                sent += sender.sendto(bytes(65000), socket.MSG_DONTWAIT, receiver.getsockname())
        except BlockingIOError:
            return sent
    return step

def option(family, kind, level, name, value, each):
    def step():
        kept.append(socket.socket(family, kind))
        kept[-1].setsockopt(level, name, value)
        return each
    return step

one = struct.pack("Qiii4x", 20, socket.IPPROTO_IPV6, 8, 1)  # a valid control message
key = struct.pack("HHI120xBBHI80s", socket.AF_INET, 0, 1, 0, 0, 16, 0, b"key")  # struct tcp_md5sig
group = socket.inet_aton("225.0.0.1") + socket.inet_aton("127.0.0.1")
group6 = socket.inet_pton(socket.AF_INET6, "ff02::7") + struct.pack("I", 1)
D, S = socket.SOCK_DGRAM, socket.SOCK_STREAM
ways = {
    "netlink, user": netlink(2),
    "netlink, route": netlink(0),
    "IPV6_2292PKTOPTIONS": option(socket.AF_INET6, D, 41, 6, one * 2500, 60000),
    "IPV6_RTHDR": option(socket.AF_INET6, D, 41, 57, bytes(24), 2048),
    "TCP_MD5SIG": option(socket.AF_INET, S, 6, 14, key, 100),
    "IP_ADD_MEMBERSHIP": option(socket.AF_INET, D, 0, 35, group, 250),
    "MCAST_JOIN_GROUP": option(socket.AF_INET, D, 0, 42, bytes(136), 250),
    "IPV6_JOIN_GROUP": option(socket.AF_INET6, D, 41, 20, group6, 400),
    "TCP_ULP": option(socket.AF_INET, S, 6, 31, b"tls", 2000),
    "SO_ZEROCOPY": option(socket.AF_INET, S, 1, 60, struct.pack("i", 1), 1),
}
print(json.dumps({name: hold(300 * MIB, step) for name, step in ways.items()}))
"#;

/// Refused at the first call: each of these held memory that no cgroup was charged for.
#[tokio::test]
async fn calls_that_no_cgroup_is_charged_for_are_refused() {
    let server = small().await;
    server.shell("true").await;
    let expected = [
        ("netlink, user", "EINVAL"),
        ("netlink, route", "EINVAL"),
        ("IPV6_2292PKTOPTIONS", "ENOPROTOOPT"),
        ("IPV6_RTHDR", "ENOPROTOOPT"),
        ("TCP_MD5SIG", "ENOPROTOOPT"),
        ("IP_ADD_MEMBERSHIP", "ENODEV"),
        ("MCAST_JOIN_GROUP", "ENODEV"),
        ("IPV6_JOIN_GROUP", "ENODEV"),
        ("TCP_ULP", "ENOPROTOOPT"),
        ("SO_ZEROCOPY", "ENOPROTOOPT"),
    ];
    let mut lost = Vec::new();
    for _ in 0..TRIES {
        let before = host("meminfo MemAvailable");
        let found = attack(&server, UNCHARGED).await;
        let after = host("meminfo MemAvailable");
        for (way, errno) in expected {
            assert_eq!(found[way], json!({ "held": 0, "ended": errno }), "{way}");
        }
        if before - after < ASKED / 1024 / 2 {
            return;
        }
        lost.push(before - after);
    }
    panic!("the host lost {lost:?} kB");
}

/// Ways to fill memory that the sandbox is charged for.
const WAYS: [(&str, &str); 5] = [
    (
        "AF_UNIX",
        r#"
def step():
    kept.append(socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM))
    sent = 0
    try:
        while True:
            sent += kept[-1][0].send(bytes(90000), socket.MSG_DONTWAIT)
    except BlockingIOError:
        return sent
"#,
    ),
    (
        "SysV shared memory",
        r#"
libc.shmat.restype = ctypes.c_void_p
def step():
    segment = libc.shmget(0, 8 * MIB, 0o1600)
    if segment < 0:
        raise OSError(ctypes.get_errno(), "shmget")
    ctypes.memset(libc.shmat(segment, None, 0), 1, 8 * MIB)
    return 8 * MIB
"#,
    ),
    (
        "SysV queues",
        r#"
message = ctypes.create_string_buffer(struct.pack("l", 1) + bytes(8000))
def step():
    queue = libc.msgget(0, 0o1600)
    if queue < 0:
        raise OSError(ctypes.get_errno(), "msgget")
    sent = 0
    while libc.msgsnd(queue, message, 8000, 0o4000) == 0:
        sent += 8000
    return sent
"#,
    ),
    (
        "semaphores",
        r#"
def step():
    if libc.semget(0, 30000, 0o1600) < 0:
        raise OSError(ctypes.get_errno(), "semget")
    return 30000 * 64
"#,
    ),
    (
        "memfd",
        r#"
def step():
    kept.append(os.memfd_create("x"))
    return os.write(kept[-1], bytes(4 * MIB))
"#,
    ),
];

/// Charged: the sandbox ends at its own limit, the host's memory stays.
#[tokio::test]
async fn queues_and_segments_are_charged_to_the_sandbox_that_fills_them() {
    let server = small().await;
    for (way, step) in WAYS {
        let result = run(
            &server,
            &format!("{step}\nprint(json.dumps(hold(300 * MIB, step)))"),
        )
        .await;
        // What waits in sockets is in the memory of gVisor's own kernel, which PID 1 does not see.
        let ended = ["out_of_memory", "sandbox_lost"];
        let ended = &ended[..=usize::from(docker::on_gvisor())];
        if ended.contains(&result.outcome()) {
            continue;
        }
        // gVisor's semaphores are far smaller than Linux's.
        if docker::on_gvisor() && way == "semaphores" {
            continue;
        }
        // Or a limit of the kernel came first.
        let held = serde_json::from_str(result.stdout())
            .map(|found: serde_json::Value| found["held"].as_i64())
            .unwrap_or_default();
        assert!(held.is_some_and(|held| held < LIMIT), "{way}: {}", result.0);
    }
    assert_eq!(server.shell("echo on").await.stdout(), "on\n");
}
