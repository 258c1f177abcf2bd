//! What a command is given and what becomes of it.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::super::http_files::client::{ask, get, put};
use super::{exec, post};
use crate::harness::TestServer;

#[tokio::test]
async fn a_command_has_its_input_environment_and_directory_and_says_how_it_ended() {
    let server = TestServer::new().start_http().await;
    put(&server, "project/notes.txt", "a note\n").await;
    let said = exec(
        &server,
        &json!({
            "command": "cat; echo \"$NAME\" >&2; cat notes.txt; exit 3",
            "cwd": "project",
            "env": { "NAME": "it's é" },
            "stdin": "from the client\n",
        }),
    )
    .await;
    assert_eq!(said["stdout"], "from the client\na note\n");
    assert_eq!(said["stderr"], "it's é\n");
    assert_eq!(
        (&said["outcome"], &said["exit_code"]),
        (&json!("exited"), &json!(3))
    );
    assert!(said["duration_ms"].is_u64(), "{said}");
    // Without input it does not wait for any.
    let bare = exec(&server, &json!({ "command": "cat; pwd", "env": null })).await;
    assert_eq!(bare["stdout"], "/workspace\n");
    // Each command is a new shell in the same workspace.
    exec(
        &server,
        &json!({ "command": "echo kept > kept; export A=1" }),
    )
    .await;
    let next = exec(&server, &json!({ "command": "cat kept; echo \"[$A]\"" })).await;
    assert_eq!(next["stdout"], "kept\n[]\n");
}

#[tokio::test]
async fn a_megabyte_of_input_comes_whole() {
    let server = TestServer::new().start_http().await;
    let stdin = "0123456\n".repeat((1 << 20) / 8);
    let said = exec(&server, &json!({ "command": "wc -c", "stdin": stdin })).await;
    assert_eq!(said["stdout"], "1048576\n");
}

#[tokio::test]
async fn a_command_is_killed_at_its_timeout() {
    let server = TestServer::new().start_http().await;
    let start = Instant::now();
    let body = json!({ "command": "echo begun; sleep 60", "timeout_seconds": 1 });
    let said = exec(&server, &body).await;
    assert_eq!(
        (&said["outcome"], &said["stdout"]),
        (&json!("timed_out"), &json!("begun\n"))
    );
    assert!(start.elapsed() < Duration::from_secs(20));
}

#[tokio::test]
async fn a_long_command_is_gone_on_with_and_stopped() {
    let server = TestServer::new().start_http().await;
    let begin = async |command: &str| {
        let said = exec(&server, &json!({ "command": command, "wait_seconds": 0 })).await;
        assert_eq!(said["outcome"], "running", "{said}");
        format!("/v1/exec/{}", said["command_id"].as_str().expect("an id"))
    };
    let path = begin("echo begun; while [ ! -e go ]; do sleep 0.1; done; echo done").await;
    // Asked without waiting, it is answered at once.
    let start = Instant::now();
    let now = get(&server, &path).await.json();
    assert_eq!(now["outcome"], "running", "{now}");
    assert!(start.elapsed() < Duration::from_secs(5), "it waited");
    let waited = async {
        get(&server, &format!("{path}?wait_seconds=60"))
            .await
            .json()
    };
    let (ended, _) = tokio::join!(waited, put(&server, "go", ""));
    assert_eq!(ended["outcome"], "exited", "{ended}");
    assert_eq!(ended["stdout"], "begun\ndone\n");
    // Its result stays for those who ask again.
    assert_eq!(get(&server, &path).await.json()["stdout"], "begun\ndone\n");

    let path = begin("(setsid sleep 998 &); sleep 999").await;
    let stopped: Value = ask(&server, "DELETE", &path, &[], "").await.json();
    assert_eq!(stopped["outcome"], "cancelled", "{stopped}");
    let left = exec(
        &server,
        &json!({ "command": "pgrep -f 'sleep 99[89]' | wc -l" }),
    )
    .await;
    assert_eq!(left["stdout"], "0\n", "{left}");
}

#[tokio::test]
async fn an_answer_is_kept_by_no_cache_and_is_the_same_where_tools_answer_in_text() {
    let server = TestServer::new()
        .env("CASEMATE_RESULTS", "text")
        .start_http()
        .await;
    let reply = post(&server, "/v1/exec", &json!({ "command": "echo hi" })).await;
    assert_eq!(reply.json()["stdout"], "hi\n");
    assert_eq!(reply.header("cache-control"), "no-store");
    assert_eq!(reply.header("content-type"), "application/json");
}
