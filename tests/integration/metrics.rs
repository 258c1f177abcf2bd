//! `/metrics` on the admin address.

use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::{HttpServer, Instance, TestServer, docker, eventually};

const SOON: Duration = Duration::from_secs(15);

/// The value of a series; `None` if it is missing.
fn value(text: &str, series: &str) -> Option<f64> {
    let mut values = text.lines().filter_map(|line| line.strip_prefix(series));
    values.find_map(|rest| rest.strip_prefix(' ')?.parse().ok())
}

async fn start(server: TestServer) -> HttpServer {
    server.env("CASEMATE_ADMIN", "0").start_http().await
}

/// Series after one call of each kind, and their values.
const SERIES: [(&str, f64); 13] = [
    (
        r#"casemate_tool_calls_total{outcome="exited",tool="shell_exec"}"#,
        1.0,
    ),
    (
        r#"casemate_tool_calls_total{outcome="timed_out",tool="shell_exec"}"#,
        1.0,
    ),
    (
        r#"casemate_tool_calls_total{outcome="not_found",tool="read_file"}"#,
        1.0,
    ),
    (
        r#"casemate_tool_calls_total{outcome="ok",tool="list_files"}"#,
        1.0,
    ),
    (
        r#"casemate_tool_call_duration_seconds_count{tool="shell_exec"}"#,
        2.0,
    ),
    (r#"casemate_command_kills_total{reason="timeout"}"#, 1.0),
    (
        r#"casemate_command_output_bytes_total{stream="stdout"}"#,
        6.0,
    ),
    (
        r#"casemate_http_requests_total{route="/files/content/{*path}",status="404"}"#,
        1.0,
    ),
    (
        r#"casemate_http_requests_total{route="/mcp",status="200"}"#,
        4.0,
    ),
    (
        r#"casemate_sandboxes{mode="persistent",state="running"}"#,
        1.0,
    ),
    (r#"casemate_sandbox_starts_total{how="created"}"#, 1.0),
    // The second one never started: it gave the volume to its user.
    (
        r#"casemate_engine_request_duration_seconds_count{operation="create"}"#,
        2.0,
    ),
    ("casemate_calls_waiting", 0.0),
];

#[tokio::test]
async fn calls_are_counted_by_tool_and_outcome_and_sandboxes_by_mode_and_state() {
    let server = start(TestServer::new().user("very-secret-name")).await;
    let before = server.metrics().await;
    assert_eq!(value(&before, "casemate_engine_up"), Some(1.0));
    assert_eq!(server.instance.containers(), [""; 0], "a scrape makes none");
    server
        .call("shell_exec", json!({ "command": "echo 12345" }))
        .await;
    let timed_out = json!({ "command": "sleep 60", "timeout_seconds": 1 });
    server.call("shell_exec", timed_out).await;
    server.call("read_file", json!({ "path": "none" })).await;
    server.call("list_files", json!({})).await;
    let (status, _) = server.get("/files/content/none").await;
    assert_eq!(status, 404);
    let text = server.metrics().await;
    for (series, expected) in SERIES {
        assert_eq!(value(&text, series), Some(expected), "{series}\n{text}");
    }
    assert!(value(&text, "casemate_sandbox_memory_bytes") > Some(100_000.0));
    assert!(value(&text, "process_resident_memory_bytes") > Some(1e6));
    assert!(!text.contains("very-secret-name"), "{text}");
}

#[tokio::test]
async fn a_wait_for_room_is_in_the_time_that_calls_wait() {
    let instance = Instance::new();
    let alice = TestServer::on(&instance).user("alice").start().await;
    let long = json!({ "command": "sleep 1000", "wait_seconds": 0 });
    alice.call("shell_exec", long).await;
    let bob = TestServer::on(&instance).user("bob");
    let bob = bob.env("CASEMATE_MAX_SANDBOXES", "1");
    let bob = start(bob.env("CASEMATE_WARM", "off")).await;
    let shown = async {
        // A call that waits for room counts the containers again and again.
        let counted = r#"casemate_engine_request_duration_seconds_count{operation="list"}"#;
        eventually("bob waits", SOON, async || {
            value(&bob.metrics().await, counted) > Some(5.0)
        })
        .await;
        let seen = Instant::now();
        docker::quietly(&["rm", "--force", &instance.container()]);
        seen.elapsed()
    };
    let (result, waited) = tokio::join!(bob.shell("true"), shown);
    assert!(!result.is_error(), "{}", result.text());
    let text = bob.metrics().await;
    let sum = value(&text, "casemate_call_wait_seconds_sum");
    assert!(sum > Some(waited.as_secs_f64()), "{waited:?}\n{text}");
    assert_eq!(value(&text, "casemate_call_wait_seconds_count"), Some(1.0));
}

#[tokio::test]
async fn ends_of_sandboxes_and_channels_are_counted_by_reason() {
    let server = start(TestServer::new().env("CASEMATE_MEMORY", "96m")).await;
    let hungry = "python3 -c 'x = bytearray(2 << 30); x[::4096] = b\"x\" * (2 << 18)'";
    let eaten = server.shell(hungry).await;
    assert_eq!(eaten.outcome(), "out_of_memory", "{}", eaten.text());
    let container = server.instance.container();
    let mut bridges = docker::top(&container);
    bridges.retain(|(_, args)| args.ends_with(" bridge"));
    let pids: Vec<String> = bridges.into_iter().map(|(pid, _)| pid).collect();
    docker::kill_on_host(&pids);
    assert_eq!(server.shell("true").await.outcome(), "exited");
    docker::output(&["kill", &container]);
    assert_eq!(server.shell("true").await.outcome(), "exited");
    let text = server.metrics().await;
    for (series, least) in [
        ("casemate_oom_kills_total", 1.0),
        ("casemate_channel_reconnects_total", 1.0),
        (r#"casemate_sandbox_ends_total{reason="killed"}"#, 1.0),
        (r#"casemate_sandbox_starts_total{how="created"}"#, 2.0),
        ("casemate_engine_disk_free_bytes", 1e6),
    ] {
        assert!(value(&text, series) >= Some(least), "{series}\n{text}");
    }
}

#[tokio::test]
async fn ephemeral_commands_are_counted_by_whether_a_container_was_ready() {
    let server = start(TestServer::new().env("CASEMATE_MODE", "ephemeral")).await;
    for _ in 0..3 {
        assert_eq!(server.shell("true").await.outcome(), "exited");
    }
    let text = server.metrics().await;
    let seats = |result: &str| {
        let series = format!(r#"casemate_ephemeral_seats_total{{result="{result}"}}"#);
        value(&text, &series).unwrap_or_default()
    };
    // Whether a container is ready for the first depends on the client's earlier requests.
    assert_eq!(seats("hit") + seats("miss"), 3.0, "{text}");
    assert!(seats("hit") >= 2.0, "{text}");
}

#[tokio::test]
async fn bytes_of_files_are_counted_as_they_pass() {
    let server = start(TestServer::new()).await;
    let content = vec![7u8; 3 << 20];
    let put = server.request("PUT", "/files/content/a");
    assert_eq!(server.send(put, content).await.status(), 201);
    let (status, _) = server.get("/files/download/a").await;
    assert_eq!(status, 200);
    let text = server.metrics().await;
    for direction in ["in", "out"] {
        let series = format!(r#"casemate_transfer_bytes_total{{direction="{direction}"}}"#);
        assert_eq!(value(&text, &series), Some(3_145_728.0), "{text}");
    }
}

#[tokio::test]
async fn an_engine_that_is_gone_is_reported_at_once() {
    let nowhere = TestServer::new().env("DOCKER_HOST", "unix:///nonexistent/docker.sock");
    let server = start(nowhere).await;
    let start = Instant::now();
    let text = server.metrics().await;
    assert!(start.elapsed().as_secs() < 5, "{:?}", start.elapsed());
    assert_eq!(value(&text, "casemate_engine_up"), Some(0.0), "{text}");
    let unavailable = r#"casemate_engine_errors_total{error="unavailable","#;
    assert!(text.contains(unavailable), "{text}");
}

#[tokio::test]
async fn no_page_reads_what_is_counted() {
    let server = start(TestServer::new()).await;
    let address = server.admin.expect("an admin address");
    for (name, value) in [
        ("host", "evil.example"),
        ("origin", "http://localhost:8080"),
    ] {
        let request = hyper::Request::builder().uri("/metrics");
        let request = match name {
            "host" => request.header("host", value),
            _ => request
                .header("host", address.to_string())
                .header(name, value),
        };
        let answer = server.send_to(address, request, "").await;
        assert_eq!(answer.status(), 403, "{name}");
    }
}

#[tokio::test]
async fn an_address_in_use_ends_the_start_with_its_name() {
    let first = start(TestServer::new()).await;
    let address = first.admin.expect("an admin address").to_string();
    let second = TestServer::new().env("CASEMATE_ADMIN", &address);
    let ended = second.command().stdin(Stdio::null()).output().await;
    let ended = ended.expect("it runs");
    assert!(!ended.status.success());
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(
        said.contains(&address) && said.contains("metrics"),
        "{said}"
    );
}
