//! `serve` over stdio: old and new protocol versions, the Engine down, the end of the server.

mod messages;
mod versions;

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{TestServer, eventually};

/// An address without an Engine.
const NOWHERE: &str = "unix:///nonexistent/docker.sock";

fn modern(params: &Value) -> Value {
    let mut params = params.clone();
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": { "name": "casemate-tests", "version": "0" },
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    params
}

#[tokio::test]
async fn it_answers_at_once_with_the_engine_down_and_every_call_says_what_to_do() {
    let start = Instant::now();
    let server = TestServer::new().env("DOCKER_HOST", NOWHERE).start().await;
    let tools = server.rpc.request("tools/list", json!({})).await;
    assert_eq!(tools["result"]["tools"].as_array().expect("tools").len(), 6);
    assert!(start.elapsed() < Duration::from_secs(2));

    let result = server.shell("true").await;
    assert!(result.is_error());
    assert_eq!(result.code(), "engine_unavailable");
    assert!(result.text().contains("Start Docker"), "{}", result.text());
    // The server goes on.
    assert_eq!(server.list(".").await.code(), "engine_unavailable");
}

#[tokio::test]
async fn the_end_of_input_ends_it_within_two_seconds_and_what_ran_with_it() {
    let server = TestServer::new().start().await;
    server.shell("true").await;
    let (_, _pending) = server
        .start_call("shell_exec", json!({ "command": "sleep 4242" }))
        .await;
    let (instance, check) = (server.instance.clone(), TestServer::on(&server.instance));
    let check = check.start().await;
    eventually("the command runs", Duration::from_secs(10), async || {
        check.shell("pgrep -f '^sleep 4242'").await.exit_code() == 0
    })
    .await;
    let start = Instant::now();
    let status = server.end().await;
    assert!(status.success(), "{status}");
    assert!(
        start.elapsed() < Duration::from_secs(2),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(check.shell("pgrep -f '^sleep 4242'").await.exit_code(), 1);
    assert_eq!(instance.containers().len(), 1);
}

#[tokio::test]
async fn sigterm_ends_it_within_two_seconds_and_what_ran_with_it() {
    let mut server = TestServer::new().start().await;
    server.shell("true").await;
    let (_, pending) = server
        .start_call("shell_exec", json!({ "command": "sleep 4243" }))
        .await;
    let check = TestServer::on(&server.instance).start().await;
    eventually("the command runs", Duration::from_secs(10), async || {
        check.shell("pgrep -f '^sleep 4243'").await.exit_code() == 0
    })
    .await;
    let start = Instant::now();
    server.signal("TERM");
    assert!(server.wait().await.success());
    assert!(
        start.elapsed() < Duration::from_secs(2),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(check.shell("pgrep -f '^sleep 4243'").await.exit_code(), 1);
    // The waiting call was still answered.
    let answer = pending.answer().await.expect("an answer");
    assert_eq!(
        answer["result"]["structuredContent"]["outcome"],
        "cancelled"
    );
}

#[test]
fn a_setting_that_is_not_valid_ends_it_with_its_name_and_its_bound() {
    for (name, value, parts) in [
        ("CASEMATE_MEMORY", "16m", ["CASEMATE_MEMORY", "32m"]),
        ("CASEMATE_MODE", "chaos", ["CASEMATE_MODE", "persistent"]),
        (
            "CASEMATE_IDLE_TIMEOUT",
            "soon",
            ["CASEMATE_IDLE_TIMEOUT", "15m"],
        ),
        (
            "CASEMATE_MEMROY",
            "1g",
            ["CASEMATE_MEMROY", "CASEMATE_MEMORY"],
        ),
        ("DOCKER_HOST", "ssh://host", ["DOCKER_HOST", "ssh"]),
    ] {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_casemate"))
            .arg("serve")
            .env(name, value)
            .stdin(std::process::Stdio::null())
            .output()
            .expect("the server starts");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{name}={value}");
        assert!(output.stdout.is_empty());
        for part in parts {
            assert!(error.contains(part), "{name}={value}: {error}");
        }
        assert!(error.lines().count() <= 2, "{error}");
    }
}
