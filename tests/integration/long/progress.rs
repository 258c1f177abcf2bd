//! Progress while a command runs.

use serde_json::{Value, json};

use crate::harness::{Server, TestServer};

/// Runs a command with the progress token `tok`; the answer, when it succeeded.
async fn run_with_progress(server: &Server, command: &str) -> Value {
    let params = json!({
        "name": "shell_exec",
        "arguments": { "command": command },
        "_meta": { "progressToken": "tok" },
    });
    let answer = server.rpc.request("tools/call", params).await;
    assert_eq!(answer["result"]["structuredContent"]["exit_code"], 0);
    answer
}

#[tokio::test]
async fn progress_tears_no_character_and_tells_the_last_frame_of_a_bar() {
    let server = TestServer::new().start().await;
    server.shell("true").await;
    // 3 bytes each: 1 KiB of them begins within one, and each write ends within another.
    let text = "for i in $(seq 30); do printf '日%.0s' $(seq 400); printf '\\346'; sleep 0.1; \
                printf '\\227\\245'; done; echo";
    let bar = "for i in $(seq 20); do printf '\\rdone: %d %%' $i; sleep 0.1; done";
    for (command, is_right) in [
        (
            text,
            (|message: &str| message.chars().all(|c| c == '日')) as fn(&str) -> bool,
        ),
        (bar, |message| message.matches("done").count() <= 1),
    ] {
        let before = server.rpc.notifications().len();
        run_with_progress(&server, command).await;
        let told = server.rpc.notifications();
        let messages = told[before..].iter().map(|it| &it["params"]["message"]);
        let messages: Vec<&str> = messages.filter_map(Value::as_str).collect();
        assert!(messages.len() >= 3, "{messages:?}");
        for message in messages {
            assert!(is_right(message), "{message:?}");
        }
    }
}

#[tokio::test]
async fn progress_has_the_clients_token_rises_and_stops_before_the_answer() {
    let server = TestServer::new().start().await;
    server.shell("true").await;
    let command = "for i in $(seq 1 30); do echo line $i; sleep 0.1; done";
    let answer = run_with_progress(&server, command).await;
    let told = server.rpc.notifications();
    let progress: Vec<&Value> = told
        .iter()
        .filter(|message| message["method"] == "notifications/progress")
        .map(|message| &message["params"])
        .collect();
    // At most four a second, for three seconds or longer on a busy machine.
    let duration = answer["result"]["structuredContent"]["duration_ms"].as_u64();
    let most = usize::try_from(duration.expect("milliseconds") / 250).expect("a count") + 2;
    assert!((3..=most).contains(&progress.len()), "{most}: {progress:?}");
    let numbers: Vec<f64> = progress
        .iter()
        .filter_map(|p| p["progress"].as_f64())
        .collect();
    assert!(
        numbers.windows(2).all(|pair| pair[0] < pair[1]),
        "{numbers:?}"
    );
    for told in &progress {
        assert_eq!(told["progressToken"], "tok");
        let message = told["message"].as_str().expect("a message");
        assert!(
            message.contains("line ") && message.len() <= 4096,
            "{message}"
        );
    }
    server.shell("true").await;
    assert_eq!(server.rpc.notifications().len(), told.len());
}
