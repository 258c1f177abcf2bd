//! Streams and JSON: how an answer arrives.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::post;
use crate::harness::{MODERN, TestServer};

#[tokio::test]
async fn a_quiet_call_shows_its_head_after_a_second_and_then_that_it_lives() {
    let server = TestServer::new().start_http().await;
    server.shell("true").await;
    let start = Instant::now();
    let sleep = json!({ "command": "sleep 12; echo over" });
    let mut call = server.start_call(MODERN, "shell_exec", sleep).await;
    let head = start.elapsed();
    assert!(head < Duration::from_millis(1500), "{head:?}");
    assert_eq!(call.status(), 200);
    assert_eq!(call.header("content-type"), "text/event-stream");
    for _ in 0..2 {
        let event = call.event().await.expect("a comment");
        assert!(event.is_comment(), "{event:?}");
    }
    let waited = start.elapsed();
    assert!(waited > Duration::from_secs(10) && waited < Duration::from_secs(12));
    assert_eq!(call.result().await.stdout(), "over\n");
}

#[tokio::test]
async fn a_fast_call_comes_as_it_would_without_the_layer() {
    let server = TestServer::new().start_http().await;
    server.shell("true").await;
    let command = json!({ "command": "echo hi" });
    let mut call = server.start_call(MODERN, "shell_exec", command).await;
    let first = call.event().await.expect("an event");
    assert_eq!(
        first.json()["result"]["structuredContent"]["stdout"],
        "hi\n"
    );
    // A malformed request gets an HTTP status.
    let contradicted = server
        .post("/mcp")
        .header("mcp-protocol-version", "2025-06-18");
    let contradicted = contradicted.header("mcp-method", "tools/list");
    let ping = r#"{"jsonrpc":"2.0","id":5,"method":"initialize","params":{"protocolVersion":"2024-11-05","capabilities":{},"clientInfo":{"name":"a","version":"0"}}}"#;
    let answer = server.send(contradicted, ping).await;
    assert_eq!(answer.status(), 400);
    assert_eq!(answer.answer().await["id"], 5);
}

#[tokio::test]
async fn a_client_that_asks_for_no_stream_gets_json() {
    let server = TestServer::new().start_http().await;
    let call = r#"{"jsonrpc":"2.0","id":"a","method":"tools/call","params":{"name":"shell_exec",
        "arguments":{"command":"sleep 1.5; echo hi"},"_meta":{"progressToken":1}}}"#;
    for accept in [None, Some("application/json"), Some("application/*;q=0.8")] {
        let answer = server.send(post(&server, accept), call).await;
        assert_eq!(
            (answer.status().as_u16(), answer.header("content-type")),
            (200, "application/json")
        );
        let answer = answer.answer().await;
        assert_eq!(answer["id"], "a");
        assert_eq!(
            answer["result"]["structuredContent"]["stdout"], "hi\n",
            "{answer}"
        );
    }
    for accept in [
        "text/event-stream",
        "*/*",
        "application/json, text/event-stream",
    ] {
        let answer = server.send(post(&server, Some(accept)), call).await;
        assert_eq!(
            answer.header("content-type"),
            "text/event-stream",
            "{accept}"
        );
        assert_eq!(answer.result().await.stdout(), "hi\n");
    }
    let html = server.send(post(&server, Some("text/html")), call).await;
    assert_eq!(html.status(), 406);
}

#[tokio::test]
async fn invalid_messages_are_answered_with_their_id() {
    let server = TestServer::new().start_http().await;
    for (body, status, id, code) in [
        (
            r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"shell_exec","arguments":"ls"}}"#,
            200,
            json!(7),
            -32602,
        ),
        (
            r#"{"jsonrpc":"2.0","id":8,"method":"ping","params":{"a":"\ud83d"}}"#,
            400,
            json!(8),
            -32700,
        ),
        ("this is not JSON", 400, Value::Null, -32700),
        (r#"{"id":9}"#, 400, json!(9), -32600),
    ] {
        let answer = server.send(server.post("/mcp"), body).await;
        assert_eq!(answer.status(), status, "{body}");
        let answer = answer.answer().await;
        assert_eq!(
            (&answer["id"], &answer["error"]["code"]),
            (&id, &json!(code)),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn progress_comes_on_the_stream_of_its_call() {
    let server = TestServer::new().start_http().await;
    server.shell("true").await;
    let params = json!({
        "name": "shell_exec",
        "arguments": { "command": "for i in 1 2 3; do echo line $i; sleep 0.5; done" },
        "_meta": { "progressToken": "mine" },
    });
    for version in ["2025-06-18", MODERN] {
        let mut call = server.ask(version, "tools/call", &params).await;
        let (mut last, mut told) = (0.0, String::new());
        let answer = loop {
            let message = call.message().await.expect("an answer");
            if message["method"] != "notifications/progress" {
                break message;
            }
            assert_eq!(message["params"]["progressToken"], "mine");
            let progress = message["params"]["progress"].as_f64().expect("a number");
            assert!(progress > last, "{progress} after {last}");
            last = progress;
            told += message["params"]["message"].as_str().unwrap_or_default();
        };
        assert!(told.contains("line 1"), "{version}: {told:?}");
        let stdout = &answer["result"]["structuredContent"]["stdout"];
        assert_eq!(stdout, "line 1\nline 2\nline 3\n", "{version}");
        assert_eq!(call.message().await, None, "{version}");
    }
}

#[tokio::test]
async fn an_error_after_the_head_comes_as_an_event_with_the_id() {
    // An Engine that accepts and says nothing: the call fails after seconds.
    let engine = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let address = engine.local_addr().expect("an address");
    let server = TestServer::new()
        .env("DOCKER_HOST", &format!("tcp://{address}"))
        .start_http()
        .await;
    let call = server.start_call(MODERN, "shell_exec", json!({ "command": "true" }));
    let answer = call.await.answer().await;
    assert_eq!(answer["id"], 1);
    assert_eq!(answer["result"]["isError"], true, "{answer}");
}
