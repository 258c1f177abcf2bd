//! `serve` on stdio: both protocol eras, the Engine down, the end.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{TestServer, eventually};

/// A place where no Engine is.
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
    assert_eq!(tools["result"]["tools"].as_array().expect("tools").len(), 5);
    assert!(start.elapsed() < Duration::from_secs(2));

    let result = server.shell("true").await;
    assert!(result.is_error());
    assert_eq!(result.code(), "engine_unavailable");
    assert!(result.text().contains("Start Docker"), "{}", result.text());
    // And it goes on.
    assert_eq!(server.list(".").await.code(), "engine_unavailable");
}

#[tokio::test]
async fn every_older_version_of_the_protocol_is_spoken_as_it_was_asked() {
    for version in ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"] {
        let server = TestServer::new()
            .env("DOCKER_HOST", NOWHERE)
            .raw()
            .start()
            .await;
        let result = server.initialize(version).await;
        assert_eq!(result["protocolVersion"], version);
        assert_eq!(result["serverInfo"]["name"], "casemate");
    }
}

#[tokio::test]
async fn the_newest_version_needs_no_handshake() {
    let server = TestServer::new().raw().start().await;
    let discovered = server
        .rpc
        .request("server/discover", modern(&json!({})))
        .await;
    let versions = discovered["result"]["supportedVersions"]
        .as_array()
        .expect("versions");
    assert!(versions.contains(&json!("2026-07-28")), "{discovered}");
    let tools = server.rpc.request("tools/list", modern(&json!({}))).await;
    assert_eq!(tools["result"]["tools"][0]["name"], "shell_exec");
    let call = json!({ "name": "shell_exec", "arguments": { "command": "echo hi" } });
    let answer = server.rpc.request("tools/call", modern(&call)).await;
    assert_eq!(answer["result"]["structuredContent"]["stdout"], "hi\n");
    assert_eq!(answer["result"]["resultType"], "complete");
}

#[tokio::test]
async fn discover_and_initialize_may_come_on_one_pipe() {
    let server = TestServer::new()
        .env("DOCKER_HOST", NOWHERE)
        .raw()
        .start()
        .await;
    let discovered = server
        .rpc
        .request("server/discover", modern(&json!({})))
        .await;
    assert!(discovered.get("result").is_some(), "{discovered}");
    assert_eq!(
        server.initialize("2025-11-25").await["protocolVersion"],
        "2025-11-25"
    );
    let tools = server.rpc.request("tools/list", json!({})).await;
    assert_eq!(tools["result"]["tools"].as_array().map(Vec::len), Some(5));
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
    // Who waited was still told.
    let answer = pending.answer().await.expect("an answer");
    assert_eq!(
        answer["result"]["structuredContent"]["outcome"],
        "cancelled"
    );
}

#[tokio::test]
async fn an_unknown_tool_and_unknown_method_are_protocol_errors_and_it_goes_on() {
    let server = TestServer::new().env("DOCKER_HOST", NOWHERE).start().await;
    let call = json!({ "name": "rm_rf", "arguments": {} });
    let answer = server.rpc.request("tools/call", call).await;
    assert!(
        answer["error"]["message"]
            .as_str()
            .expect("message")
            .contains("rm_rf")
    );
    assert!(
        server
            .rpc
            .request("nonsense/method", json!({}))
            .await
            .get("error")
            .is_some()
    );
    server.rpc.send_line("this is not JSON").await;
    let tools = server.rpc.request("tools/list", json!({})).await;
    assert!(tools.get("result").is_some());
}

#[tokio::test]
async fn whatever_is_no_message_is_answered_and_the_server_goes_on() {
    let server = TestServer::new().env("DOCKER_HOST", NOWHERE).start().await;
    let call = |id: u64, content: &str| {
        format!(
            r#"{{"jsonrpc":"2.0","method":"tools/call","params":{{"name":"write_file",
               "arguments":{{"path":"a","content":"{content}"}}}},"id":{id}}}"#
        )
        .replace('\n', "")
    };
    let mut no_utf8 = call(9002, "X").into_bytes();
    let at = no_utf8.iter().position(|byte| *byte == b'X').expect("X");
    no_utf8[at] = 0xff;
    // SDKs write the id last: it stands behind all that is too long.
    let large = call(9003, &"x".repeat(21 << 20));
    let arguments = r#"{"jsonrpc":"2.0","id":9004,"method":"tools/call","params":{"name":"shell_exec","arguments":"ls"}}"#;
    for (id, line, code, part) in [
        (
            9001,
            call(9001, r"a\ud83d").into_bytes(),
            -32700,
            "surrogate",
        ),
        (9002, no_utf8, -32700, "UTF-8"),
        (9003, large.into_bytes(), -32600, "20 MiB"),
        (9004, arguments.into(), -32602, "a string"),
    ] {
        let answer = server.rpc.ask(id, line).await;
        assert_eq!(answer["error"]["code"], code, "{answer}");
        let message = answer["error"]["message"].as_str().expect("a message");
        assert!(message.contains(part), "{message}");
    }
    for line in [
        "this is not JSON",
        r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#,
        "[]",
        "7",
    ] {
        let before = server.rpc.notifications().len();
        assert!(server.rpc.send_line(line).await);
        let told = server.rpc.told(before + 1).await;
        let answer = told.last().expect("an answer");
        assert!(
            answer["id"].is_null() && answer["error"]["code"].is_i64(),
            "{line}: {answer}"
        );
    }
    let tools = server.rpc.request("tools/list", json!({})).await;
    assert!(tools.get("result").is_some());
}

#[tokio::test]
async fn what_comes_before_a_handshake_ends_nothing() {
    let server = TestServer::new()
        .env("DOCKER_HOST", NOWHERE)
        .raw()
        .start()
        .await;
    server
        .rpc
        .notify("notifications/initialized", json!({}))
        .await;
    server
        .rpc
        .notify("notifications/cancelled", json!({ "requestId": 1 }))
        .await;
    server
        .rpc
        .send_line(r#"{"jsonrpc":"2.0","id":5,"result":{}}"#)
        .await;
    let early = server.rpc.request("tools/list", json!({})).await;
    let message = early["error"]["message"].as_str().unwrap_or_default();
    assert!(message.contains("initialize first"), "{early}");
    let bare = json!({ "protocolVersion": "2025-11-25", "capabilities": {} });
    let refused = server.rpc.request("initialize", bare).await;
    assert_eq!(refused["error"]["code"], -32602, "{refused}");
    let message = refused["error"]["message"].as_str().unwrap_or_default();
    assert!(
        message.ends_with("missing or wrong: clientInfo"),
        "{message}"
    );
    let result = server.initialize("2025-11-25").await;
    assert_eq!(result["protocolVersion"], "2025-11-25");
}

#[tokio::test]
async fn the_version_that_has_batches_has_them_answered_in_one_line() {
    let server = TestServer::new()
        .env("DOCKER_HOST", NOWHERE)
        .raw()
        .start()
        .await;
    server.initialize("2025-03-26").await;
    let batch = r#"[{"jsonrpc":"2.0","id":71,"method":"ping"},
        {"jsonrpc":"2.0","method":"notifications/initialized"}, 7,
        {"jsonrpc":"2.0","id":"72","method":"tools/list"}]"#;
    assert!(server.rpc.send_line(batch.replace('\n', "")).await);
    let told = server.rpc.told(1).await;
    let mut answers = told[0].as_array().expect("an array").clone();
    answers.sort_by_key(|answer| answer["id"].to_string());
    let ids: Vec<&Value> = answers.iter().map(|answer| &answer["id"]).collect();
    assert_eq!(ids, [&json!("72"), &json!(71), &Value::Null]);
    assert!(answers[0]["result"]["tools"].is_array() && answers[1]["result"].is_object());
    assert_eq!(answers[2]["error"]["code"], -32600);
    // What comes alone is answered alone.
    let tools = server.rpc.request("tools/list", json!({})).await;
    assert!(tools.get("result").is_some());
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
