//! What no filter can tell from ordinary use, and no cgroup is charged for: PID 1 counts it and ends
//! the sandbox.

use std::time::{Duration, Instant};

use super::run;
use crate::harness::TestServer;

/// From the excess to the command's end: a look each second, and PID 1's last second.
const ENDS_WITHIN: Duration = Duration::from_secs(15);

/// 12 MB of locks, and 130 MB of connections: what the attacks hold until they are ended.
const ATTACKS: [(&str, &str); 2] = [
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
        assert!(start.elapsed() < ENDS_WITHIN, "{what}: {}", result.0);
        assert_eq!(result.outcome(), "sandbox_lost", "{what}: {}", result.0);
        assert!(
            result.text().contains("more file locks (20,000)"),
            "{what}: {}",
            result.0
        );
        assert_eq!(server.shell("echo on").await.stdout(), "on\n", "{what}");
        assert_ne!(server.instance.container(), container, "{what}");
    }
}

/// As many as programs have.
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
