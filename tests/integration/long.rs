//! Long commands: answered `running`, resumed by id, ended by `stop`; progress while they run;
//! their whole output in a file.

mod output_files;
mod progress;

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{CallResult, Server, TestServer, eventually};

/// Starts a command without waiting for it. Returns its id.
async fn started(server: &Server, command: &str) -> String {
    let result = server
        .call(
            "shell_exec",
            // Long, so that its timeout does not matter in these tests.
            json!({ "command": command, "wait_seconds": 0, "timeout_seconds": 600 }),
        )
        .await;
    assert_eq!(result.outcome(), "running", "{}", result.0);
    result
        .field("command_id")
        .as_str()
        .expect("an id")
        .to_owned()
}

async fn resumed(server: &Server, id: &str, more: Value) -> CallResult {
    let mut arguments = json!({ "command_id": id });
    let fields = arguments.as_object_mut().expect("an object");
    fields.extend(more.as_object().expect("an object").clone());
    server.call("shell_exec", arguments).await
}

#[tokio::test]
async fn a_command_that_still_runs_is_gone_on_with_until_its_end_is_known() {
    let server = TestServer::new().start().await;
    let command = "echo one; until test -e go; do sleep 0.05; done; echo two; exit 4";
    let first = server
        .call(
            "shell_exec",
            json!({ "command": command, "wait_seconds": 1 }),
        )
        .await;
    assert_eq!(first.outcome(), "running");
    assert!(!first.is_error());
    assert_eq!(first.stdout(), "one\n");
    let id = first
        .field("command_id")
        .as_str()
        .expect("an id")
        .to_owned();
    assert!(
        first.text().contains(&format!("command_id={id}")),
        "{}",
        first.text()
    );

    // Still running, with all output so far again.
    let again = resumed(&server, &id, json!({ "wait_seconds": 0 })).await;
    assert_eq!((again.outcome(), again.stdout()), ("running", "one\n"));

    server.shell("touch go").await;
    let end = resumed(&server, &id, json!({})).await;
    assert_eq!((end.outcome(), end.exit_code()), ("exited", 4));
    assert_eq!(end.stdout(), "one\ntwo\n");
    // The result can be asked for again.
    let lost = resumed(&server, &id, json!({})).await;
    assert_eq!((lost.exit_code(), lost.stdout()), (4, "one\ntwo\n"));
}

#[tokio::test]
async fn stop_ends_a_running_command_with_all_it_started() {
    let server = TestServer::new().start().await;
    let id = started(&server, "(setsid sleep 7001 &); trap '' TERM; sleep 7002").await;
    let start = Instant::now();
    let stopped = resumed(&server, &id, json!({ "stop": true })).await;
    assert_eq!(stopped.outcome(), "cancelled", "{}", stopped.0);
    assert!(start.elapsed() < Duration::from_secs(2));
    assert_eq!(server.shell("pgrep -f 'sleep 700'").await.exit_code(), 1);
}

#[tokio::test]
async fn its_timeout_ends_a_running_command_even_if_no_call_waits() {
    let server = TestServer::new().start().await;
    let arguments = json!({ "command": "sleep 7003", "timeout_seconds": 2, "wait_seconds": 0 });
    let running = server.call("shell_exec", arguments).await;
    let id = running
        .field("command_id")
        .as_str()
        .expect("an id")
        .to_owned();
    eventually("the timeout", Duration::from_secs(6), async || {
        server.shell("pgrep -f '^sleep 7003'").await.exit_code() == 1
    })
    .await;
    assert_eq!(
        resumed(&server, &id, json!({})).await.outcome(),
        "timed_out"
    );
}

#[tokio::test]
async fn a_running_command_outlives_its_client_and_its_server_and_is_found_again() {
    let server = TestServer::new().start().await;
    let instance = server.instance.clone();
    let id = started(&server, "until test -e go; do sleep 0.1; done; echo found").await;
    // A client that disconnects while it waits again does not end the command.
    let (request, _pending) = server
        .start_call("shell_exec", json!({ "command_id": id }))
        .await;
    server.cancel(request).await;
    server.signal("KILL");
    drop(server);
    // Longer than an unwatched command lives if no caller has its id.
    tokio::time::sleep(Duration::from_secs(12)).await;
    let next = TestServer::on(&instance).start().await;
    next.shell("touch go").await;
    let end = resumed(&next, &id, json!({})).await;
    assert_eq!((end.outcome(), end.stdout()), ("exited", "found\n"));
}

#[tokio::test]
async fn an_id_is_its_users_own() {
    let server = TestServer::new().start().await;
    let id = started(&server, "sleep 7004").await;
    let other = TestServer::on(&server.instance).user("other").start().await;
    let foreign = resumed(&other, &id, json!({ "stop": true })).await;
    let unknown = resumed(&other, &"0".repeat(32), json!({ "stop": true })).await;
    assert_eq!((foreign.code(), unknown.code()), ("not_found", "not_found"));
    assert_eq!(
        foreign.text().replace(&id, ""),
        unknown.text().replace(&"0".repeat(32), "")
    );
    assert_eq!(server.shell("pgrep -f '^sleep 7004'").await.exit_code(), 0);
}

#[tokio::test]
async fn a_command_and_an_id_together_or_neither_are_refused_by_name() {
    let server = TestServer::new().start().await;
    let id = "0123456789abcdef0123456789abcdef";
    for (arguments, named) in [
        (
            json!({ "command": "true", "command_id": id }),
            "`command_id`",
        ),
        (json!({}), "`command`"),
        (json!({ "command": "true", "stop": true }), "`stop`"),
        (json!({ "command_id": "../../etc/passwd" }), "`command_id`"),
        (
            json!({ "command": "true", "wait_seconds": 3601 }),
            "`wait_seconds`: is 3601; it is a whole number from 0 to 3600",
        ),
    ] {
        let result = server.call("shell_exec", arguments).await;
        assert_eq!(result.code(), "invalid_argument", "{}", result.0);
        assert!(result.text().contains(named), "{}", result.text());
    }
}

#[tokio::test]
async fn large_resource_usage_of_a_command_is_reported() {
    let server = TestServer::new().start().await;
    let busy = server
        .shell("python3 -c 'import time; x = bytearray(64 << 20); all(iter(lambda: time.process_time() < 1.5, False))'")
        .await;
    let usage = busy.field("usage");
    assert!(
        usage["cpu_ms"].as_u64().is_some_and(|ms| ms > 1000),
        "{}",
        busy.0
    );
    assert!(
        usage["max_rss_kib"]
            .as_u64()
            .is_some_and(|kib| kib > 64 << 10),
        "{}",
        busy.0
    );
    assert!(server.shell("true").await.field("usage").is_null());
}
