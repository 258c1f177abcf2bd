//! A call of any tool that waits and has a progress token is told so.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Instance, Pending, Server, TestServer, docker, eventually};

/// Deadline for something that needs no waiting.
const SOON: Duration = Duration::from_secs(10);

/// Every tool, with arguments.
fn calls() -> [(&'static str, Value); 6] {
    [
        ("shell_exec", json!({ "command": "cat file" })),
        ("read_file", json!({ "path": "file" })),
        (
            "write_file",
            json!({ "path": "file", "content": "2", "mode": "append" }),
        ),
        ("list_files", json!({})),
        (
            "edit_file",
            json!({ "path": "file", "old_text": "1", "new_text": "one" }),
        ),
        ("share", json!({ "path": "file" })),
    ]
}

/// Calls a tool with its name as progress token; returns the request's id.
async fn call(server: &Server, tool: &str, arguments: &Value) -> (u64, Pending) {
    let params = json!({
        "name": tool,
        "arguments": arguments,
        "_meta": { "progressToken": tool },
    });
    server.rpc.start("tools/call", params).await
}

async fn until_told(server: &Server, token: &str, message: &str) {
    eventually(&format!("{token} is told"), SOON, async || {
        let told = server.rpc.notifications();
        told.iter().any(|note| {
            let params = &note["params"];
            params["progressToken"] == token && params["message"] == message
        })
    })
    .await;
}

#[tokio::test]
async fn a_call_of_every_tool_is_told_its_place_while_others_of_its_user_run() {
    let instance = Instance::new();
    let server = TestServer::on(&instance).env("CASEMATE_CALLS_PER_USER", "1");
    let server = server.start().await;
    server.write("file", "1").await;
    let command = json!({ "command": "sleep 1000", "timeout_seconds": 1000 });
    let (running, _) = server.start_call("shell_exec", command).await;
    let mut waiting = Vec::new();
    for (ahead, (tool, arguments)) in calls().into_iter().enumerate() {
        waiting.push((tool, call(&server, tool, &arguments).await.1));
        let message = format!("waiting; calls before this one: {ahead}");
        until_told(&server, tool, &message).await;
    }
    server.cancel(running).await;
    for (tool, call) in waiting {
        let result = call.result().await;
        assert!(!result.is_error(), "{tool}: {}", result.0);
    }
    assert_eq!(server.read("file").await.text(), "one2");
}

#[tokio::test]
async fn a_file_call_is_told_that_it_waits_for_room_for_its_sandbox() {
    let instance = Instance::new();
    let start = |user| {
        let server = TestServer::on(&instance).user(user);
        let server = server.env("CASEMATE_MAX_SANDBOXES", "1");
        server.env("CASEMATE_WARM", "off").start()
    };
    let alice = start("alice").await;
    // A sandbox that has only just worked is not asked to make room.
    assert_eq!(alice.shell("true").await.outcome(), "exited");
    let bob = start("bob").await;
    let arguments = json!({ "path": "file", "content": "bob's" });
    let (_, write) = call(&bob, "write_file", &arguments).await;
    until_told(&bob, "write_file", "waiting; calls before this one: 0").await;
    docker::quietly(&["rm", "--force", &instance.container()]);
    let written = write.result().await;
    assert!(!written.is_error(), "{}", written.0);
    assert_eq!(bob.read("file").await.text(), "bob's");
}
