//! Locks and connections, which no filter can tell from ordinary use and which are charged to no
//! cgroup: PID 1 counts them and ends the sandbox.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::run;
use crate::harness::{Directory, TestServer, allowed};

/// From the start of the attack to its end. PID 1 counts every second; without it the attack takes
/// more than 30 s.
const ENDS_WITHIN: Duration = Duration::from_secs(15);

/// 12 MB of locks, and 130 MB of connections: what the attacks hold until they are ended.
const ATTACKS: [(&str, &str); 3] = [
    (
        "locks",
        r#"
import fcntl, time
for number in range(60):
    kept.append(open(f"/tmp/{number}", "w"))
    for offset in range(0, 2000, 2):
        fcntl.lockf(kept[-1], fcntl.LOCK_EX, 1, offset)
time.sleep(30)
"#,
    ),
    (
        "connections",
        r#"
import time
for number in range(10):
    kept.append(socket.create_server(("127.0.0.1", 0), backlog=4096))
    for _ in range(4000):
        socket.create_connection(kept[-1].getsockname()).close()
time.sleep(30)
"#,
    ),
    (
        "connections of IPv6 sockets",
        r#"
import time
for number in range(10):
    kept.append(socket.create_server(("::", 0), family=socket.AF_INET6, backlog=4096, dualstack_ipv6=True))
    address = ("::ffff:127.0.0.1", kept[-1].getsockname()[1])
    for _ in range(4000):
        with socket.socket(socket.AF_INET6) as client: client.connect(address)
time.sleep(30)
"#,
    ),
];

#[tokio::test]
async fn a_sandbox_that_holds_too_many_locks_or_connections_ends_and_says_why() {
    let server = TestServer::new().start().await;
    for (what, script) in ATTACKS {
        let container = {
            server.shell("true").await;
            server.instance.container()
        };
        let start = Instant::now();
        let result = run(&server, script).await;
        assert!(
            start.elapsed() < allowed(ENDS_WITHIN),
            "{what}: {}",
            result.0
        );
        assert_eq!(result.outcome(), "sandbox_lost", "{what}: {}", result.0);
        assert!(
            result.text().contains("more than 20,000 file locks"),
            "{what}: {}",
            result.0
        );
        assert_eq!(server.shell("echo on").await.stdout(), "on\n", "{what}");
        assert_ne!(server.instance.container(), container, "{what}");
    }
}

/// The kernel shows these locks to every reader of /proc/locks, so no sandbox may have any: see
/// docs/seccomp.md.
#[tokio::test]
async fn locks_of_open_file_descriptions_are_refused_and_others_end_no_sandbox() {
    let server = TestServer::new().start().await;
    let script = r#"
import errno, fcntl, struct
kept.append(open("/tmp/file", "w"))
for command in (37, 38):
    try:
        fcntl.fcntl(kept[-1], command, struct.pack("hhqqi", fcntl.F_WRLCK, 0, 0, 1, 0))
        print("locked")
    except OSError as error:
        print(errno.errorcode[error.errno])
"#;
    let result = run(&server, script).await;
    assert_eq!(result.stdout(), "EINVAL\nEINVAL\n", "{}", result.0);

    // More than a sandbox may have, held by a program of the host.
    let container = server.instance.container();
    let directory = Directory::new(0);
    let mut holder = Command::new("python3");
    let holder = holder.args(["-c", HOLDER, directory.text()]);
    let holder = holder.stdout(Stdio::piped()).stdin(Stdio::piped());
    let mut holder = holder.spawn().expect("python3 runs");
    let mut ready = String::new();
    let mut said = BufReader::new(holder.stdout.take().expect("piped"));
    said.read_line(&mut ready).expect("a line");
    assert_eq!(ready, "ready\n");
    // PID 1 counts every second.
    let result = server.shell("sleep 3; echo on").await;
    drop(holder.stdin.take());
    holder.wait().expect("it ends");
    assert_eq!(result.stdout(), "on\n", "{}", result.0);
    assert_eq!(server.instance.container(), container);
}

/// 25,000 locks of open file descriptions, 5 MB, until its input ends.
const HOLDER: &str = r#"
import fcntl, struct, sys
kept = []
for number in range(25):
    kept.append(open(f"{sys.argv[1]}/{number}", "w"))
    for offset in range(0, 2000, 2):
        fcntl.fcntl(kept[-1], 37, struct.pack("hhqqi", fcntl.F_WRLCK, 0, offset, 1, 0))
print("ready", flush=True)
sys.stdin.read()
"#;

/// Locks of a process that shares its descriptors would outlive it, unseen.
#[tokio::test]
async fn no_process_that_is_no_thread_shares_descriptors() {
    let server = TestServer::new().start().await;
    let script = r#"
import ctypes, errno
libc = ctypes.CDLL(None, use_errno=True)
FILES, SIGCHLD = 0x400, 17
child = libc.syscall(56 if os.uname().machine == "x86_64" else 220, FILES | SIGCHLD, 0, 0, 0, 0)
if child == 0:
    os._exit(0)
print("started" if child > 0 else errno.errorcode[ctypes.get_errno()])
"#;
    let result = run(&server, script).await;
    assert_eq!(result.stdout(), "EPERM\n", "{}", result.0);
}

/// As many as ordinary programs have.
#[tokio::test]
async fn thousands_of_locks_and_connections_are_ordinary() {
    let script = r#"
import fcntl, time
for number in range(5):
    kept.append(open(f"/tmp/{number}", "w"))
    for offset in range(0, 2000, 2):
        fcntl.lockf(kept[-1], fcntl.LOCK_EX, 1, offset)
server = socket.create_server(("127.0.0.1", 0), backlog=1500)
kept.extend(socket.create_connection(server.getsockname()) for _ in range(1500))
time.sleep(3)
print("whole")
"#;
    let server = TestServer::new().start().await;
    let result = run(&server, script).await;
    assert_eq!(result.stdout(), "whole\n", "{}", result.0);
}
