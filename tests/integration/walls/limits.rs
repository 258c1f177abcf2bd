//! Memory with another limit than the sandbox's: by user, or one pool of the host.

use super::{attack, run};
use crate::harness::{TestServer, docker, not_run};

/// Descriptors in flight, pages of pipes and message queues are counted by uid; the attack stops
/// at the kernel's limit and holds less than the sandbox's own.
#[tokio::test]
async fn resources_counted_by_user_end_far_below_the_sandboxes_limit() {
    const SCRIPT: &str = r#"
import array, fcntl

def in_flight():
    pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    kept.append(pair)
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [pair[1].fileno()] * 250))]
    try:
        pair[0].sendmsg([b"x"], rights, socket.MSG_DONTWAIT)
    except BlockingIOError:
        return 0
    return 250

def pipe():
    reader, writer = os.pipe2(os.O_NONBLOCK)
    fcntl.fcntl(writer, 1031, MIB)  # F_SETPIPE_SZ
    sent = 0
    try:
        while True:
            sent += os.write(writer, bytes(65536))
    except BlockingIOError:
        return sent

class Attributes(ctypes.Structure):
    _fields_ = [("flags", ctypes.c_long), ("most", ctypes.c_long), ("size", ctypes.c_long), ("now", ctypes.c_long * 5)]

def queue():
    number = len(kept)
    name = f"/q{os.getpid()}-{number}".encode()
    made = libc.mq_open(name, os.O_RDWR | os.O_CREAT | os.O_NONBLOCK, 0o600, ctypes.byref(Attributes(0, 10, 8192)))
    if made < 0:
        raise OSError(ctypes.get_errno(), "mq_open")
    kept.append(made)
    libc.mq_unlink(name)
    sent = 0
    while libc.mq_send(made, bytes(8192), 8192, 1) == 0:
        sent += 8192
    return sent

found = {"message queues": hold(300 * MIB, queue), "pipes": hold(300 * MIB, pipe)}
kept.clear()
found["in flight"] = hold(100_000, in_flight)
print(json.dumps(found))
"#;
    let server = TestServer::new().start().await;
    let found = attack(&server, SCRIPT).await;
    let held = |way: &str| found[way]["held"].as_i64().expect("a number");
    // RLIMIT_MSGQUEUE, pipe-user-pages-soft and the descriptors, RLIMIT_NOFILE.
    assert!(held("message queues") <= 819_200, "{found}");
    assert!(held("pipes") < 256 << 20, "{found}");
    assert!(held("in flight") <= 4096 + 250, "{found}");
    for way in ["message queues", "pipes", "in flight"] {
        assert_ne!(found[way]["ended"], "all of it", "{way}: {found}");
    }
}

/// Ways to hold data in sockets over loopback, and the pages of it that the host counts.
const SOCKETS: &str = r#"
def pages(protocol):
    lines = open("/proc/net/sockstat").read().splitlines()
    words = next(line for line in lines if line.startswith(protocol + ":")).split()
    return int(words[words.index("mem") + 1])

def udp():
    receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * MIB)
    receiver.bind(("127.0.0.1", 0))
    for _ in range(40):
        receiver.sendto(bytes(50000), receiver.getsockname())
    kept.append(receiver)
    # net.core.rmem_max bounds it; what does not fit is dropped.
    return min(40 * 50000, receiver.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF))

def tcp():
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        kept.extend([client, server.accept()[0]])
    client.setblocking(False)
    sent = 0
    try:
        while True:
            sent += client.send(bytes(65536))
    except BlockingIOError:
        return sent

ways = [("udp", "UDP", udp), ("tcp", "TCP", tcp)]
found = {}
"#;

/// On cgroup v1 the data of TCP and UDP is charged to no sandbox. `net.ipv4.tcp_mem` and `udp_mem`
/// bound it: one pool of the host.
#[tokio::test]
async fn tcp_and_udp_data_counts_against_the_pools_of_the_host() {
    const SCRIPT: &str = r#"
for name, protocol, step in ways:
    before = pages(protocol)
    held = hold(64 * MIB, step)["held"]
    found[name] = {"held": held, "counted": (pages(protocol) - before) * 4096}
print(json.dumps(found))
"#;
    let server = TestServer::new().start().await;
    let found = attack(&server, &format!("{SOCKETS}{SCRIPT}")).await;
    for protocol in ["udp", "tcp"] {
        let number = |name: &str| found[protocol][name].as_i64().expect("a number");
        assert!(number("held") >= 64 << 20, "{found}");
        // Other sockets of the host come and go at the same time.
        assert!(number("counted") > number("held") / 2, "{found}");
    }
}

/// On cgroup v2 it is part of the sandbox's limit too.
#[tokio::test]
async fn on_cgroup_v2_tcp_and_udp_data_is_charged_to_the_sandbox() {
    const SCRIPT: &str = r#"
def charged():
    lines = open("/sys/fs/cgroup/memory.stat").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("sock "))

for name, _, step in ways:
    before = charged()
    held = hold(64 * MIB, step)["held"]
    found[name] = {"held": held, "charged": charged() - before}
print(json.dumps(found))
"#;
    if docker::output(&["info", "--format", "{{.CgroupVersion}}"]) != "2" {
        return not_run("the Engine uses cgroup v1");
    }
    let server = TestServer::new().start().await;
    let found = attack(&server, &format!("{SOCKETS}{SCRIPT}")).await;
    for protocol in ["udp", "tcp"] {
        let number = |name: &str| found[protocol][name].as_i64().expect("a number");
        assert!(number("charged") > number("held") / 2, "{found}");
    }
    // More than the limit of a small one: refused, or the attack is killed.
    let small = TestServer::new().env("CASEMATE_MEMORY", "128m");
    let small = small.start().await;
    for way in ["udp", "tcp"] {
        let script = format!("{SOCKETS}\nprint(json.dumps(hold(300 * MIB, {way})))");
        let result = run(&small, &script).await;
        let held = serde_json::from_str(result.stdout())
            .map(|found: serde_json::Value| found["held"].as_i64())
            .unwrap_or_default();
        assert!(
            result.outcome() == "out_of_memory" || held.is_some_and(|held| held < 128 << 20),
            "{way}: {}",
            result.0
        );
    }
    assert_eq!(small.shell("echo on").await.stdout(), "on\n");
}
