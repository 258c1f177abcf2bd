//! Versions of the protocol, and batches.

use serde_json::{Value, json};

use super::{NOWHERE, modern};
use crate::harness::TestServer;

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
    assert_eq!(tools["result"]["tools"].as_array().map(Vec::len), Some(6));
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
    // A single request gets a single answer.
    let tools = server.rpc.request("tools/list", json!({})).await;
    assert!(tools.get("result").is_some());
}
