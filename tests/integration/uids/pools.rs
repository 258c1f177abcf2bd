//! What the kernel counts by uid over all containers: a user at a limit blocks no other.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::harness::{Directory, Server, TestServer};

/// Fills the pools and holds them for a number of seconds.
const ATTACK: &str = include_str!("attack.c");
/// Takes a little of each.
const PROBE: &str = include_str!("probe.py");

/// How long the pools stay full.
const HELD: u32 = 150;

/// Begins the attack; returns the amounts when all pools are full.
async fn attack(server: &Server) -> BTreeMap<String, u64> {
    let command = format!(
        "gcc -O1 -x c - -o /tmp/attack -lrt || exit; /tmp/attack {HELD} > /tmp/got & until [ -s /tmp/got ]; do sleep 0.1; kill -0 $! || exit 1; done; cat /tmp/got"
    );
    let arguments =
        json!({ "command": command, "stdin": ATTACK, "timeout_seconds": 120, "wait_seconds": 120 });
    let result = server.call("shell_exec", arguments).await;
    serde_json::from_str(result.stdout()).unwrap_or_else(|error| panic!("{error}: {}", result.0))
}

/// The pools from which this user gets nothing.
async fn missing(server: &Server) -> Vec<String> {
    let arguments = json!({ "command": "python3 -", "stdin": PROBE });
    let result = server.call("shell_exec", arguments).await;
    serde_json::from_str(result.stdout()).unwrap_or_else(|error| panic!("{error}: {}", result.0))
}

/// The amount in a full pool. The limits of the others are the host's.
fn is_full(got: &BTreeMap<String, u64>) {
    for (pool, least) in [
        ("inotify_instances", 100),
        ("inotify_watches", 1),
        ("pipe_mib", 1),
        ("descriptors_in_flight", 4000),
        ("signals", 1000),
        ("message_queues", 5),
        ("epoll_watches", 10_000),
    ] {
        assert!(got[pool] >= least, "{pool}: {got:?}");
    }
}

#[tokio::test]
async fn four_users_at_all_their_limits_leave_a_fifth_untouched() {
    let fifth = TestServer::new().user("fifth").start().await;
    fifth.write("file", "mine").await;
    let mut attackers = Vec::new();
    for number in 0..4 {
        let user = format!("attacker-{number}");
        attackers.push(TestServer::on(&fifth.instance).user(&user).start().await);
    }
    let attacks = attackers.iter().map(attack);
    let got = futures_util::future::join_all(attacks).await;
    eprintln!("{got:?}");
    // Each reached its own limit: none was in another's way.
    got.iter().for_each(is_full);
    assert_eq!(missing(&fifth).await, [""; 0]);
    // Casemate itself sends descriptors and queues signals with the user's uid.
    for _ in 0..10 {
        let result = fifth.shell("sleep 0.01 & wait; cat file").await;
        assert_eq!(
            (result.outcome(), result.stdout()),
            ("exited", "mine"),
            "{}",
            result.0
        );
    }
    assert_eq!(fifth.read("file").await.text(), "mine");
    // They are still at their limits.
    let own = missing(&attackers[0]).await;
    assert!(own.contains(&"inotify_instances".to_owned()), "{own:?}");
}

/// Proves that the test above can fail: two users with one uid, the owner of a directory.
#[tokio::test]
async fn users_of_one_uid_share_its_limits() {
    let uid = 2_000_000 + u32::from(uuid::Uuid::new_v4().as_bytes()[0]);
    let server = |directory: &Directory, user: &str| {
        TestServer::new()
            .user(user)
            .env("CASEMATE_MODE", "bind")
            .env("CASEMATE_BIND_DIR", directory.text())
    };
    let (one, other) = (Directory::new(uid), Directory::new(uid));
    let attacker = server(&one, "attacker").start().await;
    let victim = server(&other, "victim").start().await;
    assert_eq!(missing(&victim).await, [""; 0]);
    is_full(&attack(&attacker).await);
    let arguments = json!({ "command": "python3 -", "stdin": PROBE });
    let result = victim.call("shell_exec", arguments).await;
    let missing: Value = serde_json::from_str(result.stdout()).unwrap_or_default();
    for pool in [
        "inotify_instances",
        "pipe_mib",
        "descriptors_in_flight",
        "signals",
        "message_queues",
    ] {
        let is_missing = missing
            .as_array()
            .is_some_and(|all| all.iter().any(|it| it == pool));
        // If the pool is so full that no command starts, the call itself fails.
        assert!(is_missing || result.is_error(), "{pool}: {}", result.0);
    }
}
