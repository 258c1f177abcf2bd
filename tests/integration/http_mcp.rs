//! MCP over Streamable HTTP: every version of the protocol, calls that are quiet,
//! calls that are left, the end of the server.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{HttpServer, MODERN, TestServer, docker, eventually};

/// Versions with a handshake.
const LEGACY: [&str; 4] = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"];

/// A place where no Engine is.
const NOWHERE: &str = "unix:///nonexistent/docker.sock";

fn initialize(version: &str) -> Value {
    json!({
        "protocolVersion": version,
        "capabilities": {},
        "clientInfo": { "name": "casemate-tests", "version": "0" },
    })
}

/// Whether a process of the sandbox has this in its command line, as the host sees it.
fn runs(server: &HttpServer, what: &str) -> bool {
    let containers = server.instance.containers();
    containers
        .iter()
        .flat_map(|container| docker::top(container))
        .any(|(_, args)| args.contains(what))
}

#[tokio::test]
async fn every_version_of_the_protocol_makes_the_whole_way() {
    let server = TestServer::new().start_http().await;
    for version in LEGACY {
        let answer = server
            .ask(version, "initialize", &initialize(version))
            .await;
        assert_eq!(answer.header("mcp-session-id").len(), 32, "{version}");
        let answer = answer.answer().await;
        assert_eq!(answer["result"]["protocolVersion"], version);
    }
    let discovered = server.ask(MODERN, "server/discover", &json!({})).await;
    let discovered = discovered.answer().await;
    let versions = discovered["result"]["supportedVersions"].as_array();
    assert!(versions.is_some_and(|all| all.contains(&json!(MODERN))));
    for version in LEGACY.into_iter().chain([MODERN]) {
        let tools = server.ask(version, "tools/list", &json!({})).await;
        let tools = tools.answer().await;
        assert_eq!(
            tools["result"]["tools"][0]["name"], "shell_exec",
            "{version}"
        );
        let command = json!({ "command": "echo hi" });
        let call = server.start_call(version, "shell_exec", command).await;
        assert_eq!(call.result().await.stdout(), "hi\n", "{version}");
    }
}

#[tokio::test]
async fn two_eras_at_once_share_a_sandbox_and_nothing_else() {
    let server = TestServer::new().start_http().await;
    let command = |text: &str| json!({ "command": format!("echo {text} >> /workspace/both") });
    let calls = (0..20).map(|at| {
        let version = if at % 2 == 0 { MODERN } else { "2025-06-18" };
        let (server, command) = (&server, command(version));
        async move {
            let call = server.start_call(version, "shell_exec", command).await;
            call.result().await.exit_code()
        }
    });
    let codes = futures_util::future::join_all(calls).await;
    assert_eq!(codes, [0; 20]);
    let lines = server
        .shell("sort /workspace/both | uniq -c | tr -s ' '")
        .await;
    assert_eq!(lines.stdout(), " 10 2025-06-18\n 10 2026-07-28\n");
}

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
    // What is wrong with a request is a status.
    let contradicted = server
        .post("/mcp")
        .header("mcp-protocol-version", "2025-06-18");
    let contradicted = contradicted.header("mcp-method", "tools/list");
    let ping = r#"{"jsonrpc":"2.0","id":5,"method":"initialize","params":{"protocolVersion":"2024-11-05","capabilities":{},"clientInfo":{"name":"a","version":"0"}}}"#;
    let answer = server.send(contradicted, ping).await;
    assert_eq!(answer.status(), 400);
    assert_eq!(answer.answer().await["id"], 5);
}

/// A POST with this `Accept`, or none.
fn post(server: &HttpServer, accept: Option<&str>) -> hyper::http::request::Builder {
    let request = server.request("POST", "/mcp");
    let request = request.header("content-type", "application/json");
    match accept {
        Some(accept) => request.header("accept", accept),
        None => request,
    }
}

#[tokio::test]
async fn who_asks_for_no_stream_gets_the_one_message_as_json() {
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
async fn batches_are_answered_in_the_version_that_has_them_and_refused_in_others() {
    let server = TestServer::new().start_http().await;
    let batch = r#"[{"jsonrpc":"2.0","id":1,"method":"ping"},
        {"jsonrpc":"2.0","method":"notifications/initialized"},7,
        {"jsonrpc":"2.0","id":"1","method":"tools/call","params":{"name":"shell_exec","arguments":{"command":"echo hi"}}}]"#;
    let json = server.send(post(&server, None), batch).await.text().await;
    let json: Vec<Value> = serde_json::from_str(&json).expect("an array");
    assert_eq!(json.len(), 3, "{json:?}");
    assert_eq!(json[2]["result"]["structuredContent"]["stdout"], "hi\n");
    let mut stream = server.send(server.post("/mcp"), batch).await;
    assert_eq!(stream.header("content-type"), "text/event-stream");
    let mut ids = Vec::new();
    while let Some(message) = stream.message().await {
        ids.push(message["id"].to_string());
    }
    ids.sort();
    assert_eq!(ids, ["\"1\"", "1", "null"]);
    let quiet = r#"[{"jsonrpc":"2.0","method":"notifications/initialized"}]"#;
    assert_eq!(server.send(server.post("/mcp"), quiet).await.status(), 202);
    let later = server
        .post("/mcp")
        .header("mcp-protocol-version", "2025-06-18");
    let refused = server.send(later, batch).await;
    assert_eq!(refused.status(), 400);
    let refused = refused.answer().await;
    let message = refused["error"]["message"].as_str().unwrap_or_default();
    assert!(message.contains("2025-03-26"), "{refused}");
}

#[tokio::test]
async fn what_is_no_message_is_answered_with_its_id() {
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
async fn progress_comes_on_the_stream_of_its_own_call() {
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
async fn who_leaves_ends_the_command_and_all_it_started() {
    let server = TestServer::new().start_http().await;
    server.shell("true").await;
    // At each stage: before the head, after it was committed, after the first message.
    let tree = "(setsid sleep 4242 &); sleep 4242";
    for (version, wait, token) in [
        (MODERN, Duration::ZERO, false),
        (MODERN, Duration::from_secs(2), false),
        (MODERN, Duration::from_secs(2), true),
        ("2025-06-18", Duration::from_secs(2), false),
    ] {
        let mut params = json!({ "name": "shell_exec", "arguments": { "command": tree } });
        if token {
            params["arguments"]["command"] = json!(format!("echo hi; {tree}"));
            params["_meta"] = json!({ "progressToken": 1 });
        }
        let call = server.ask(version, "tools/call", &params);
        if wait.is_zero() {
            tokio::pin!(call);
            let seen = eventually("it runs", Duration::from_secs(5), async || {
                runs(&server, "sleep 4242")
            });
            tokio::select! {
                _ = &mut call => panic!("nothing was to be said in the first second"),
                () = seen => {}
            }
        } else {
            let call = call.await;
            eventually("it runs", Duration::from_secs(5), async || {
                runs(&server, "sleep 4242")
            })
            .await;
            drop(call);
        }
        eventually("all of it is gone", Duration::from_secs(2), async || {
            !runs(&server, "sleep 4242")
        })
        .await;
    }
    assert_eq!(server.shell("echo next").await.stdout(), "next\n");
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

#[tokio::test]
async fn health_says_whether_it_serves_and_whether_the_engine_answers() {
    let server = TestServer::new().start_http().await;
    assert_eq!(server.get("/healthz").await.0, 200);
    assert_eq!(server.get("/readyz").await.0, 200);
    let alone = TestServer::new()
        .env("DOCKER_HOST", NOWHERE)
        .start_http()
        .await;
    assert_eq!(alone.get("/healthz").await.0, 200);
    assert_eq!(alone.get("/readyz").await.0, 503);
    let tools = alone.ask(MODERN, "tools/list", &json!({})).await;
    assert!(tools.answer().await["result"]["tools"].is_array());
}

#[tokio::test]
async fn a_stop_lets_a_running_call_end_and_answers_it() {
    let mut server = TestServer::new().start_http().await;
    server.shell("true").await;
    let sleep = json!({ "command": "sleep 3; echo over" });
    let call = server.start_call(MODERN, "shell_exec", sleep).await;
    server.signal("TERM");
    let start = Instant::now();
    assert_eq!(call.result().await.stdout(), "over\n");
    assert!(server.wait().await.success());
    assert!(start.elapsed() < Duration::from_secs(6));
}

#[tokio::test]
async fn a_stop_ends_what_outlasts_its_grace_with_all_it_started() {
    let mut server = TestServer::new().start_http().await;
    server.shell("true").await;
    let tree = json!({ "command": "(setsid sleep 4243 &); sleep 4243", "timeout_seconds": 60 });
    let call = server.start_call(MODERN, "shell_exec", tree).await;
    server.signal("INT");
    let refused = eventually(
        "it accepts nothing more",
        Duration::from_secs(2),
        async || {
            tokio::net::TcpStream::connect(server.address)
                .await
                .is_err()
        },
    );
    refused.await;
    let result = call.result().await;
    assert_eq!(result.outcome(), "cancelled");
    assert!(server.wait().await.success());
    assert!(!runs(&server, "sleep 4243"));
}

#[tokio::test]
async fn a_stop_of_an_idle_server_takes_no_time_and_retires_what_is_used_up_once() {
    let mut server = TestServer::new()
        .env("CASEMATE_MODE", "ephemeral")
        .start_http()
        .await;
    assert_eq!(server.shell("echo hi").await.stdout(), "hi\n");
    let mut session = server.send(server.request("GET", "/sse"), "").await;
    session.event().await.expect("the endpoint");
    let start = Instant::now();
    server.signal("TERM");
    assert!(server.wait().await.success());
    assert!(
        start.elapsed() < Duration::from_secs(4),
        "{:?}",
        start.elapsed()
    );
    eventually("no container is left", Duration::from_secs(5), async || {
        server.instance.containers().is_empty()
    })
    .await;
}

#[tokio::test]
async fn a_client_that_ends_its_conversation_is_told_that_there_is_nothing_to_end() {
    let server = TestServer::new().start_http().await;
    // The SDKs send these with a DELETE too, which has no body, and warn of all but a 405.
    let headers = [
        ("content-type", "application/json"),
        ("accept", "application/json, text/event-stream"),
        ("mcp-session-id", "0123456789abcdef"),
        ("mcp-protocol-version", "2025-11-25"),
    ];
    let request = server.request("DELETE", "/mcp");
    let request = headers.into_iter().fold(request, |request, (name, value)| {
        request.header(name, value)
    });
    assert_eq!(server.send(request, "").await.status(), 405);
}
