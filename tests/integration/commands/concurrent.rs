//! Many commands of one user at the same time.

use serde_json::json;

use super::facts;
use crate::harness::{CallResult, Server, TestServer};

/// Starts all of them before it waits for the first.
async fn all(server: &Server, commands: impl IntoIterator<Item = String>) -> Vec<CallResult> {
    let mut pending = Vec::new();
    for command in commands {
        pending.push(
            server
                .start_call("shell_exec", json!({ "command": command }))
                .await
                .1,
        );
    }
    let answers = pending
        .into_iter()
        .map(async |call| call.answer().await.expect("an answer"));
    let answers = futures_util::future::join_all(answers).await;
    answers
        .into_iter()
        .map(|answer| CallResult(answer["result"].clone()))
        .collect()
}

#[tokio::test]
async fn commands_of_one_user_run_at_the_same_time_and_each_gets_its_own_answer() {
    let server = TestServer::new()
        .env("CASEMATE_CALLS_PER_USER", "64")
        .start()
        .await;
    // Each ends only when all have started.
    server.shell("mkdir met").await;
    let meet = |n| {
        format!("touch met/{n}; until [ $(ls met | wc -l) = 10 ]; do sleep 0.02; done; echo {n}")
    };
    for (n, result) in all(&server, (0..10).map(meet)).await.iter().enumerate() {
        assert_eq!(result.stdout(), format!("{n}\n"), "{}", result.0);
    }
    let many = (0..50).map(|n| format!("echo {n}; echo {n} >&2; exit {n}"));
    for (n, result) in all(&server, many).await.iter().enumerate() {
        let wanted = json!({
            "outcome": "exited", "exit_code": n, "stdout": format!("{n}\n"), "stderr": format!("{n}\n"),
        });
        assert_eq!(facts(result), wanted);
    }
    // Commands above the limit wait for their turn.
    let narrow = TestServer::on(&server.instance)
        .env("CASEMATE_CALLS_PER_USER", "2")
        .start()
        .await;
    let count = "echo $$ > \"in$$\"; n=$(ls in* | wc -l); rm \"in$$\"; [ $n -le 2 ]";
    for result in all(&narrow, vec![count.to_owned(); 50]).await {
        assert_eq!(result.exit_code(), 0, "{}", result.0);
    }
}
