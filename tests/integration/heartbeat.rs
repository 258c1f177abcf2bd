//! A silent command sends a heartbeat every ten seconds, and none after its answer.

use serde_json::json;

use crate::harness::TestServer;

#[tokio::test]
async fn a_silent_call_gets_a_heartbeat_every_ten_seconds_until_its_answer() {
    let server = TestServer::new().start().await;
    server.shell("true").await;
    let told = || {
        let mut told = server.rpc.notifications();
        told.retain(|message| message["method"] == "notifications/progress");
        told
    };
    let params = json!({
        "name": "shell_exec",
        "arguments": { "command": "sleep 21" },
        "_meta": { "progressToken": "silent" },
    });
    // Long enough for one more heartbeat, in a call without a token.
    let longer = server.shell_within("sleep 33", 40);
    let silent = async {
        let answer = server.rpc.request("tools/call", params).await;
        assert_eq!(answer["result"]["structuredContent"]["exit_code"], 0);
        told().len()
    };
    let (longer, heartbeats) = tokio::join!(longer, silent);
    assert_eq!(longer.exit_code(), 0, "{}", longer.0);
    let told = told();
    assert_eq!(told.len(), heartbeats, "one came after the answer");
    assert_eq!(told.len(), 2, "{told:?}");
    let mut last = 0.0;
    for (message, seconds) in told.iter().zip([10, 20]) {
        let params = &message["params"];
        assert_eq!(params["progressToken"], "silent");
        let progress = params["progress"].as_f64().expect("a number");
        assert!(progress > last, "{told:?}");
        last = progress;
        // Allows a busy machine to be late by a second.
        let on_time = [seconds, seconds + 1].map(|after| format!("still running after {after} s"));
        let said = params["message"].as_str();
        assert!(on_time.iter().any(|text| said == Some(text)), "{told:?}");
    }
}
