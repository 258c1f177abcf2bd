//! The limit of sandboxes in an instance, over all its servers.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::json;

use crate::harness::{Instance, Server, TestServer, docker, eventually};

/// Deadline for something that needs no waiting.
const SOON: Duration = Duration::from_secs(15);

async fn start(instance: &Instance, user: &str, most: &str) -> Server {
    let server = TestServer::on(instance).user(user);
    let server = server.env("CASEMATE_MAX_SANDBOXES", most);
    server.env("CASEMATE_WARM", "off").start().await
}

#[tokio::test]
async fn at_the_limit_a_call_waits_for_another_sandbox_to_end_and_says_so() {
    let instance = Instance::new();
    let alice = start(&instance, "alice", "1").await;
    let arguments = json!({ "command": "sleep 1000", "wait_seconds": 0 });
    let running = alice.call("shell_exec", arguments).await;
    let bob = start(&instance, "bob", "1").await;
    let arguments = json!({ "command": "echo mine" });
    let params = json!({
        "name": "shell_exec",
        "arguments": arguments,
        "_meta": { "progressToken": "t" },
    });
    let (_, call) = bob.rpc.start("tools/call", params).await;
    eventually("bob is told that he waits", SOON, async || {
        let told = bob.rpc.notifications();
        told.iter().any(|note| {
            let message = note["params"]["message"].as_str();
            message.is_some_and(|message| message.contains("waiting"))
        })
    })
    .await;
    assert_eq!(instance.containers().len(), 1);
    // Alice's sandbox has only just worked, so it would not be asked to end; the test removes it.
    let id = running.field("command_id");
    alice
        .call("shell_exec", json!({ "command_id": id, "stop": true }))
        .await;
    docker::quietly(&["rm", "--force", &instance.container()]);
    let result = call.result().await;
    assert_eq!(result.stdout(), "mine\n", "{}", result.0);
}

#[tokio::test]
async fn at_the_limit_the_longest_idle_sandbox_makes_room_never_a_busy_one() {
    let instance = Instance::new();
    let idle = start(&instance, "idle", "2").await;
    idle.write("file", "kept").await;
    let busy = start(&instance, "busy", "2").await;
    let arguments = json!({
        "command": "sleep 1000",
        "wait_seconds": 0,
        "timeout_seconds": 1000,
    });
    let running = busy.call("shell_exec", arguments).await;
    assert_eq!(running.outcome(), "running");
    // Idle for 30 s: a sandbox whose user may be about to call again is not asked to end.
    let new = start(&instance, "new", "2").await;
    let asked = Instant::now();
    let first = new.shell("echo new").await;
    assert_eq!(first.stdout(), "new\n", "{}", first.0);
    assert!(
        asked.elapsed() > Duration::from_secs(20),
        "{:?}",
        asked.elapsed()
    );
    let id = running.field("command_id");
    let still = json!({ "command_id": id, "wait_seconds": 0 });
    assert_eq!(busy.call("shell_exec", still).await.outcome(), "running");
    assert_eq!(instance.containers().len(), 2);
    assert_eq!(instance.volumes().len(), 3);
}

#[tokio::test]
async fn spares_end_at_once_when_a_call_needs_the_room() {
    let instance = Instance::new();
    let ephemeral = TestServer::on(&instance)
        .user("ephemeral")
        .env("CASEMATE_MODE", "ephemeral")
        .env("CASEMATE_MAX_SANDBOXES", "1")
        .start()
        .await;
    ephemeral.shell("true").await;
    ephemeral.write("a", "").await;
    let other = start(&instance, "other", "1").await;
    let asked = Instant::now();
    assert_eq!(other.shell("echo in").await.stdout(), "in\n");
    assert!(
        asked.elapsed() < Duration::from_secs(15),
        "{:?}",
        asked.elapsed()
    );
    assert_eq!(instance.containers().len(), 1);
}

#[tokio::test]
async fn many_servers_at_once_never_pass_the_limit_and_all_are_served() {
    let instance = Instance::new();
    let servers = join_all((0..6).map(|user| {
        let (instance, user) = (instance.clone(), format!("user{user}"));
        async move {
            let server = TestServer::on(&instance)
                .user(&user)
                .env("CASEMATE_MODE", "ephemeral");
            server.env("CASEMATE_MAX_SANDBOXES", "3").start().await
        }
    }))
    .await;
    let too_many = async {
        loop {
            let alive = docker::lines(&["ps", "--quiet", "--filter", &instance.label()]);
            if alive.len() > 3 {
                return alive.len();
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let calls = join_all(
        servers
            .iter()
            .map(|server| server.shell("sleep 0.5; echo served")),
    );
    tokio::select! {
        count = too_many => panic!("{count} sandboxes run"),
        results = calls => for result in results {
            assert_eq!(result.stdout(), "served\n", "{}", result.0);
        },
    }
}
