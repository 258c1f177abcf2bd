//! Wrong requests are refused with their codes, and run nothing.

use serde_json::{Value, json};

use super::super::http_files::client::ask;
use super::{JSON, code, post, refused};
use crate::harness::TestServer;

/// An address without an Engine: a call that needs one is answered `engine_unavailable`.
const NOWHERE: &str = "unix:///nonexistent/docker.sock";

/// An id of no command.
const UNKNOWN: &str = "/v1/exec/0123456789abcdef0123456789abcdef";

#[tokio::test]
async fn each_wrong_argument_is_named() {
    let server = TestServer::new()
        .env("DOCKER_HOST", NOWHERE)
        .start_http()
        .await;
    let large = "a".repeat((1 << 20) + 1);
    for (body, named) in [
        (json!({}), "`command`"),
        (json!({ "command": "" }), "`command`"),
        (json!({ "command": " \n" }), "`command`"),
        (json!({ "command": 7 }), "`command`"),
        (json!({ "command": "a\u{0}b" }), "`command`"),
        (json!({ "command": large }), "`command`"),
        (json!({ "command": "true", "stdin": large }), "`stdin`"),
        (json!({ "command": "true", "stdin": ["a"] }), "`stdin`"),
        (json!({ "command": "true", "cwd": "a\u{0}" }), "`cwd`"),
        (json!({ "command": "true", "env": { "A=B": "" } }), "`env`"),
        (json!({ "command": "true", "env": { "": "" } }), "`env`"),
        (json!({ "command": "true", "env": { "A": 1 } }), "`env`"),
        (json!({ "command": "true", "env": { "A": large } }), "`env`"),
        (
            json!({ "command": "true", "timeout_seconds": 0 }),
            "`timeout_seconds`",
        ),
        (
            json!({ "command": "true", "timeout_seconds": 3601 }),
            "`timeout_seconds`",
        ),
        (
            json!({ "command": "true", "timeout_seconds": 1.5 }),
            "`timeout_seconds`",
        ),
        (
            json!({ "command": "true", "wait_seconds": -1 }),
            "`wait_seconds`",
        ),
        (
            json!({ "command": "true", "timeout": 3 }),
            "`timeout_seconds`",
        ),
        (
            json!({ "command": "true", "command_id": "a" }),
            "`command_id`",
        ),
        (json!({ "command": "true", "stop": true }), "`stop`"),
    ] {
        let reply = post(&server, "/v1/exec", &body).await;
        let shown: String = body.to_string().chars().take(80).collect();
        assert_eq!(
            code(&reply),
            (400, "invalid_argument".to_owned()),
            "{shown}"
        );
        let message = reply.json()["error"]["message"].to_string();
        assert!(message.contains(named), "{shown}: {message}");
    }
}

#[tokio::test]
async fn what_is_no_json_object_is_refused_before_anything_else() {
    let server = TestServer::new()
        .env("DOCKER_HOST", NOWHERE)
        .start_http()
        .await;
    let huge = json!({ "command": "true", "stdin": "a".repeat(9 << 20) }).to_string();
    let form = ("content-type", "application/x-www-form-urlencoded");
    let gzip = ("content-encoding", "gzip");
    for (headers, body, status, expected) in [
        (&[JSON][..], "[]", 400, "invalid_argument"),
        (&[JSON], "{", 400, "invalid_argument"),
        (&[JSON], "\"true\"", 400, "invalid_argument"),
        (&[JSON], "", 400, "invalid_argument"),
        (&[JSON], huge.as_str(), 413, "too_large"),
        (&[form], "command=true", 415, "invalid_argument"),
        (&[], "{}", 415, "invalid_argument"),
        (&[JSON, gzip], "{}", 415, "invalid_argument"),
    ] {
        let reply = ask(&server, "POST", "/v1/exec", headers, body.to_owned()).await;
        let shown: String = body.chars().take(40).collect();
        assert_eq!(code(&reply), (status, expected.to_owned()), "{shown}");
    }
    for path in ["/v1/files/move", "/v1/files/folder"] {
        let long = json!({ "path": "a".repeat(200_000) }).to_string();
        let reply = ask(&server, "POST", path, &[JSON], long).await;
        assert_eq!(code(&reply), (413, "too_large".to_owned()), "{path}");
    }
}

#[tokio::test]
async fn ids_parameters_and_methods_that_are_none_are_refused() {
    let server = TestServer::new().start_http().await;
    let bad = (400, "invalid_argument".to_owned());
    for path in [
        "/v1/exec/a",
        "/v1/exec/..%2f..%2fetc",
        "/v1/exec/0123456789abcdef0123456789abcdeg",
        "/v1/exec/%30123456789abcdef0123456789abcdef",
        &format!("{UNKNOWN}?wait_seconds=3601"),
        &format!("{UNKNOWN}?wait_seconds=x"),
        &format!("{UNKNOWN}?wait=1"),
        &format!("{UNKNOWN}?wait_seconds=1&wait_seconds=1"),
    ] {
        assert_eq!(refused(&server, "GET", path, &[]).await, bad, "{path}");
    }
    assert_eq!(refused(&server, "DELETE", "/v1/exec/a", &[]).await, bad);
    let unknown = (404, "not_found".to_owned());
    for method in ["GET", "DELETE"] {
        assert_eq!(refused(&server, method, UNKNOWN, &[]).await, unknown);
    }
    for (method, path) in [
        ("GET", "/v1/exec"),
        ("PUT", UNKNOWN),
        ("GET", "/v1/workspace"),
    ] {
        assert_eq!(
            ask(&server, method, path, &[], "").await.status,
            405,
            "{method} {path}"
        );
    }
    assert_eq!(ask(&server, "GET", "/v1/none", &[], "").await.status, 404);
}

#[tokio::test]
async fn what_the_sandbox_says_has_the_status_of_its_code() {
    let server = TestServer::new().start_http().await;
    let reply = post(
        &server,
        "/v1/exec",
        &json!({ "command": "true", "cwd": "none" }),
    )
    .await;
    assert_eq!(code(&reply), (400, "bad_cwd".to_owned()));
    let nowhere = TestServer::new()
        .env("DOCKER_HOST", NOWHERE)
        .start_http()
        .await;
    let reply = post(&nowhere, "/v1/exec", &json!({ "command": "true" })).await;
    assert_eq!(code(&reply), (503, "engine_unavailable".to_owned()));
    assert_eq!(reply.header("retry-after"), "2");
    let said: Value = reply.json();
    assert!(said.get("outcome").is_none(), "{said}");
}
