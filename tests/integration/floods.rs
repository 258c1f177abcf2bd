//! Floods: the counts are exact, and neither the server nor PID 1 grows.

use std::time::Duration;

use crate::harness::host::resident_kib;
use crate::harness::{TestServer, docker};

/// Growth that a flood may cost a process.
const GROWTH_KIB: u64 = 10 * 1024;

#[tokio::test]
async fn five_gigabytes_on_either_stream_are_counted_and_cost_no_memory() {
    let server = TestServer::new().start().await;
    // A first long output, so that the fixed cost of both is not measured.
    for command in [
        "seq 3000000",
        "seq 3000000 >&2",
        "head -c 30000000 /dev/zero",
    ] {
        server.shell(command).await;
    }
    let init = docker::pid(&server.instance.container());
    let this = server.child.id().expect("it runs").to_string();
    let before = (resident_kib(&init), resident_kib(&this));
    for (command, field) in [
        ("head -c 5G /dev/zero; exit 6", "stdout_bytes"),
        ("head -c 5G /dev/zero >&2; exit 6", "stderr_bytes"),
    ] {
        let flood = server.shell_within(command, 120);
        let other = TestServer::on(&server.instance).user("other").start();
        let (flood, calm) = tokio::join!(flood, async {
            let other = other.await;
            for _ in 0..20 {
                let call = tokio::time::timeout(Duration::from_secs(5), other.shell("echo calm"));
                assert_eq!(call.await.expect("in time").stdout(), "calm\n");
            }
            other
        });
        drop(calm);
        assert_eq!((flood.outcome(), flood.exit_code()), ("exited", 6));
        assert_eq!(flood.field(field), 5_u64 << 30);
    }
    let after = (resident_kib(&init), resident_kib(&this));
    for (before, after) in [(before.0, after.0), (before.1, after.1)] {
        assert!(
            after < before + GROWTH_KIB,
            "{before} KiB became {after} KiB"
        );
    }
    assert_eq!(server.shell("echo next").await.stdout(), "next\n");
}

#[tokio::test]
async fn ten_million_writes_of_one_byte_are_counted() {
    let server = TestServer::new().start().await;
    let command = "dd if=/dev/zero bs=1 count=10000000 2>/dev/null; exit 7";
    let result = server.shell_within(command, 120).await;
    assert_eq!((result.outcome(), result.exit_code()), ("exited", 7));
    assert_eq!(result.field("stdout_bytes"), 10_000_000);
}

#[tokio::test]
async fn a_full_tmp_and_shared_memory_are_the_commands_own_trouble() {
    let server = TestServer::new().start().await;
    let container = {
        server.shell("true").await;
        server.instance.container()
    };
    let full = server
        .shell("head -c 200M /dev/zero > /tmp/full; head -c 100M /dev/zero > /dev/shm/full")
        .await;
    assert_eq!(
        full.stderr().matches("No space left on device").count(),
        2,
        "{}",
        full.0
    );
    let next = server
        .shell("rm /tmp/full /dev/shm/full; echo room > /tmp/a; cat /tmp/a")
        .await;
    assert_eq!(next.stdout(), "room\n");
    assert_eq!(server.instance.container(), container);
}
