//! Messages that are wrong or come too early.

use serde_json::json;

use super::NOWHERE;
use crate::harness::TestServer;

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
async fn invalid_messages_are_answered_and_the_server_goes_on() {
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
    // SDKs write the id last, so it comes after everything that is too long.
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
async fn a_message_before_the_handshake_ends_nothing() {
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
