//! Every request is in the audit, as the tools' calls are.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::http_files::client::{ask, get, put};
use super::hang_up::{hang_up, runs};
use super::{exec, post};
use crate::audit::{audited, lines};
use crate::harness::{Directory, Instance, eventually};

/// Tool and outcome of each call, and the name of what was removed.
fn told(directory: &Directory) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let told = lines(directory)
        .into_iter()
        .filter_map(|line| match line["kind"].as_str() {
            Some("call") => Some((text(&line["tool"]), text(&line["outcome"]))),
            Some("removal") => Some((
                format!("remove {}", text(&line["what"])),
                text(&line["outcome"]),
            )),
            _ => None,
        });
    told.collect()
}

#[tokio::test]
async fn each_request_has_its_line() {
    let directory = Directory::new(0);
    let server = audited(&Instance::new(), &directory).start_http().await;
    exec(&server, &json!({ "command": "echo secret-$((40+2))" })).await;
    post(&server, "/v1/exec", &json!({ "command": 7 })).await;
    get(&server, "/v1/exec/0123456789abcdef0123456789abcdef").await;
    put(&server, "a", "text").await;
    post(
        &server,
        "/v1/files/move",
        &json!({ "from": "a", "to": "b" }),
    )
    .await;
    post(&server, "/v1/files/folder", &json!({ "path": "b" })).await;
    get(&server, "/v1/files/list").await;
    ask(&server, "DELETE", "/v1/workspace?confirm=tester", &[], "").await;
    let pair = |tool: &str, outcome: &str| (tool.to_owned(), outcome.to_owned());
    assert_eq!(
        told(&directory),
        [
            pair("shell_exec", "exited"),
            pair("shell_exec", "invalid_argument"),
            pair("shell_exec", "not_found"),
            pair("http_upload", "ok"),
            pair("http_move", "ok"),
            pair("http_folder", "exists"),
            pair("http_list", "ok"),
            pair("remove container", "begun"),
            pair("remove container", "done"),
            pair("remove volume", "begun"),
            pair("remove volume", "done"),
        ]
    );
    let all = lines(&directory);
    let first = all
        .iter()
        .find(|line| line["kind"] == "call")
        .expect("a call");
    assert_eq!(
        first["user"],
        json!({ "issuer": "local", "subject": "tester" })
    );
    assert!(first["container"].is_string(), "{first}");
    let begun = all.iter().filter(|line| line["kind"] == "begun");
    assert_eq!(
        begun.count(),
        2,
        "what starts a command is told before it does"
    );
    assert!(!json!(all).to_string().contains("secret"));
}

#[tokio::test]
async fn a_call_that_its_client_left_is_recorded_as_cancelled() {
    let directory = Directory::new(0);
    let server = audited(&Instance::new(), &directory).start_http().await;
    exec(&server, &json!({ "command": "true" })).await;
    let body = json!({ "command": "sleep 700" }).to_string();
    let runs = async || runs(&server, "sleep 700");
    hang_up(&server, "POST", "/v1/exec", body, runs).await;
    eventually("its line is there", Duration::from_secs(5), async || {
        told(&directory).last() == Some(&("shell_exec".to_owned(), "cancelled".to_owned()))
    })
    .await;
}
