//! The content of the lines.

use serde_json::{Value, json};

use super::{SOON, audited, calls, lines, sha256, verify};
use crate::harness::{Directory, Instance, eventually};

#[tokio::test]
async fn every_call_has_one_line_that_says_whose_it_was_and_not_what_was_in_it() {
    let (instance, directory) = (Instance::new(), Directory::new(0));
    let server = audited(&instance, &directory).user("ada").start().await;
    let arguments = json!({ "command": "echo secret-$((40+2))" });
    server.call("shell_exec", arguments.clone()).await;
    server.read("none").await;
    server.call("shell_exec", json!({ "command": 7 })).await;
    let container = instance.container();
    assert!(server.end().await.success());
    let calls = calls(&directory);
    let said = calls.iter().map(|line| (&line["tool"], &line["outcome"]));
    assert_eq!(
        json!(said.collect::<Vec<_>>()),
        json!([
            ["shell_exec", "exited"],
            ["read_file", "not_found"],
            ["shell_exec", "invalid_argument"],
        ])
    );
    let first = &calls[0];
    assert_eq!(
        first["user"],
        json!({ "issuer": "local", "subject": "ada" })
    );
    assert_eq!(first["arguments_sha256"], sha256(arguments.to_string()));
    assert_eq!(first["container"], container.as_str());
    assert_eq!(first["server"]["instance"], instance.name());
    assert!(first["duration_ms"].as_u64() > Some(0), "{first}");
    // The refused call never reached a container.
    assert_eq!(calls[2]["container"], Value::Null);
    let all = lines(&directory);
    let kinds = all.iter().map(|line| &line["kind"]);
    assert_eq!(
        json!(kinds.collect::<Vec<_>>()),
        json!([
            "started", "begun", "call", "call", "begun", "call", "stopped"
        ])
    );
    assert!(!json!(all).to_string().contains("secret"));
    let (output, said) = verify(directory.text());
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.starts_with("7 lines in 1 files"), "{said}");
}

#[tokio::test]
async fn contents_are_recorded_where_that_is_asked_for_and_up_to_a_bound() {
    let (instance, directory) = (Instance::new(), Directory::new(0));
    let server = audited(&instance, &directory).env("CASEMATE_AUDIT_CONTENT", "on");
    let server = server.start().await;
    server.shell("echo out-$((40+2))").await;
    server.write("long", &"a".repeat(100_000)).await;
    assert!(server.end().await.success());
    let calls = calls(&directory);
    let text = |line: &Value, field: &str| line[field].as_str().expect(field).to_owned();
    assert!(
        text(&calls[0], "arguments").contains("echo out-"),
        "{calls:?}"
    );
    assert!(text(&calls[0], "result").contains("out-42"));
    let long = text(&calls[1], "arguments");
    assert!((65_536..66_000).contains(&long.len()) && long.contains("bytes in all"));
    assert_eq!(verify(directory.text()).0.status.code(), Some(0));
}

#[tokio::test]
async fn files_over_http_are_recorded_with_the_hash_of_what_went_in_and_out() {
    let (instance, directory) = (Instance::new(), Directory::new(0));
    let server = audited(&instance, &directory).start_http().await;
    let content = vec![7u8; 3 << 20];
    let put = server.request("PUT", "/files/content/a");
    assert_eq!(server.send(put, content.clone()).await.status(), 201);
    let (status, text) = server.get("/files/download/a").await;
    assert_eq!((status.as_u16(), text.len()), (200, content.len()));
    let (_, listing) = server.get("/files/list").await;
    let head = server.request("HEAD", "/files/content/a");
    assert_eq!(server.send(head, "").await.status(), 200);
    let (status, _) = server.get("/files/download/none").await;
    assert_eq!(status, 404);
    assert_eq!(server.get("/files/download/").await.0, 200, "an archive");
    let delete = server.request("DELETE", "/files/content/a");
    assert!(server.send(delete, "").await.status().is_success());
    let calls = calls(&directory);
    let said = calls.iter().map(|line| (&line["tool"], &line["outcome"]));
    assert_eq!(
        json!(said.collect::<Vec<_>>()),
        json!([
            ["http_upload", "ok"],
            ["http_download", "ok"],
            ["http_list", "ok"],
            ["http_stat", "ok"],
            ["http_download", "not_found"],
            ["http_download", "ok"],
            ["http_delete", "ok"],
        ])
    );
    assert_eq!(calls[0]["content_sha256"], sha256(&content));
    assert_eq!(calls[0]["arguments_sha256"], sha256("/files/content/a"));
    assert_eq!(calls[1]["result_sha256"], sha256(&content));
    assert_eq!(calls[1].get("content_sha256"), None);
    assert_eq!(calls[2]["result_sha256"], sha256(listing));
    let container = instance.container();
    assert!(
        calls
            .iter()
            .all(|line| line["container"] == container.as_str()),
        "{calls:?}"
    );
    assert!(calls.iter().all(|line| line["user"]["subject"] == "tester"));
}

#[tokio::test]
async fn a_download_that_its_client_leaves_is_recorded_as_broken_off() {
    let (instance, directory) = (Instance::new(), Directory::new(0));
    let server = audited(&instance, &directory).start_http().await;
    server.shell("truncate -s 200M big").await;
    let answer = server
        .send(server.request("GET", "/files/download/big"), "")
        .await;
    assert_eq!(answer.status(), 200);
    drop(answer);
    eventually("its line is there", SOON, async || {
        calls(&directory)
            .iter()
            .any(|line| line["outcome"] == "broken_off")
    })
    .await;
}
