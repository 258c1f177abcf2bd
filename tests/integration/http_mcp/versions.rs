//! Versions of the protocol, and batches.

use serde_json::{Value, json};

use super::post;
use crate::harness::{MODERN, TestServer};

/// Versions with a handshake.
const LEGACY: [&str; 4] = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"];

fn initialize(version: &str) -> Value {
    json!({
        "protocolVersion": version,
        "capabilities": {},
        "clientInfo": { "name": "casemate-tests", "version": "0" },
    })
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
