//! Clients that leave, and a server that is told to stop.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::{HttpServer, MODERN, TestServer, docker, eventually};

/// Whether the command line of a process of the sandbox contains this, as the host sees it.
fn runs(server: &HttpServer, what: &str) -> bool {
    let containers = server.instance.containers();
    containers
        .iter()
        .flat_map(|container| docker::top(container))
        .any(|(_, args)| args.contains(what))
}

#[tokio::test]
async fn a_client_that_leaves_ends_its_command_and_all_it_started() {
    let server = TestServer::new().start_http().await;
    server.shell("true").await;
    // At each stage: before the head, after it was committed, after the first message.
    let tree = "(setsid sleep 4242 &); sleep 4242";
    for (version, wait, token) in [
        (MODERN, Duration::ZERO, false),
        (MODERN, Duration::from_secs(2), false),
        (MODERN, Duration::from_secs(2), true),
        ("2025-06-18", Duration::from_secs(2), false),
    ] {
        let mut params = json!({ "name": "shell_exec", "arguments": { "command": tree } });
        if token {
            params["arguments"]["command"] = json!(format!("echo hi; {tree}"));
            params["_meta"] = json!({ "progressToken": 1 });
        }
        let call = server.ask(version, "tools/call", &params);
        if wait.is_zero() {
            tokio::pin!(call);
            let seen = eventually("it runs", Duration::from_secs(5), async || {
                runs(&server, "sleep 4242")
            });
            tokio::select! {
                _ = &mut call => panic!("nothing was to be said in the first second"),
                () = seen => {}
            }
        } else {
            let call = call.await;
            eventually("it runs", Duration::from_secs(5), async || {
                runs(&server, "sleep 4242")
            })
            .await;
            drop(call);
        }
        eventually("all of it is gone", Duration::from_secs(2), async || {
            !runs(&server, "sleep 4242")
        })
        .await;
    }
    assert_eq!(server.shell("echo next").await.stdout(), "next\n");
}

#[tokio::test]
async fn a_stop_lets_a_running_call_end_and_answers_it() {
    let mut server = TestServer::new().start_http().await;
    server.shell("true").await;
    let sleep = json!({ "command": "sleep 3; echo over" });
    let call = server.start_call(MODERN, "shell_exec", sleep).await;
    server.signal("TERM");
    let start = Instant::now();
    assert_eq!(call.result().await.stdout(), "over\n");
    assert!(server.wait().await.success());
    assert!(start.elapsed() < Duration::from_secs(6));
}

#[tokio::test]
async fn a_stop_ends_what_outlasts_its_grace_with_all_it_started() {
    let mut server = TestServer::new().start_http().await;
    server.shell("true").await;
    let tree = json!({ "command": "(setsid sleep 4243 &); sleep 4243", "timeout_seconds": 60 });
    let call = server.start_call(MODERN, "shell_exec", tree).await;
    server.signal("INT");
    let refused = eventually(
        "it accepts nothing more",
        Duration::from_secs(2),
        async || {
            tokio::net::TcpStream::connect(server.address)
                .await
                .is_err()
        },
    );
    refused.await;
    let result = call.result().await;
    assert_eq!(result.outcome(), "cancelled");
    assert!(server.wait().await.success());
    assert!(!runs(&server, "sleep 4243"));
}

#[tokio::test]
async fn a_stop_of_an_idle_server_takes_no_time_and_retires_what_is_used_up_once() {
    let mut server = TestServer::new()
        .env("CASEMATE_MODE", "ephemeral")
        .start_http()
        .await;
    assert_eq!(server.shell("echo hi").await.stdout(), "hi\n");
    let mut session = server.send(server.request("GET", "/sse"), "").await;
    session.event().await.expect("the endpoint");
    let start = Instant::now();
    server.signal("TERM");
    assert!(server.wait().await.success());
    assert!(
        start.elapsed() < Duration::from_secs(4),
        "{:?}",
        start.elapsed()
    );
    eventually("no container is left", Duration::from_secs(5), async || {
        server.instance.containers().is_empty()
    })
    .await;
}

#[tokio::test]
async fn a_client_that_ends_its_session_is_told_that_there_is_none() {
    let server = TestServer::new().start_http().await;
    // The SDKs send these with a DELETE too, which has no body, and warn of any answer except 405.
    let headers = [
        ("content-type", "application/json"),
        ("accept", "application/json, text/event-stream"),
        ("mcp-session-id", "0123456789abcdef"),
        ("mcp-protocol-version", "2025-11-25"),
    ];
    let request = server.request("DELETE", "/mcp");
    let request = headers.into_iter().fold(request, |request, (name, value)| {
        request.header(name, value)
    });
    assert_eq!(server.send(request, "").await.status(), 405);
}
