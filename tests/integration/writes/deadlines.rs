//! File calls that are cancelled, or whose sandbox does not answer.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::json;

use super::SOON;
use crate::harness::{TestServer, docker, eventually};

/// The deadline of a file call, and a margin.
const DEADLINE: Duration = Duration::from_secs(33);

/// CPU time of PID 1, in the kernel's ticks.
fn cpu_ticks(pid: &str) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("PID 1 runs");
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .expect("fields")
        .split_whitespace()
        .collect();
    let ticks = |at: usize| fields[at].parse::<u64>().expect("a number");
    ticks(11) + ticks(12)
}

#[tokio::test]
async fn a_cancelled_call_stops_its_work_and_others_have_their_turn() {
    let server = TestServer::new().start().await;
    // Each read has to read all of it.
    let make = "yes a long line of text | head -c 1G > large; echo small > small";
    assert_eq!(server.shell_within(make, 60).await.exit_code(), 0);
    let pid = docker::pid(&server.instance.container());
    let read = json!({ "path": "large", "start_line": 1_000_000_000 });
    let before = cpu_ticks(&pid);
    assert!(!server.call("read_file", read.clone()).await.is_error());
    let one = cpu_ticks(&pid) - before;

    let before = cpu_ticks(&pid);
    let mut calls = Vec::new();
    for _ in 0..16 {
        calls.push(server.start_call("read_file", read.clone()).await);
    }
    eventually("they run", SOON, async || cpu_ticks(&pid) > before).await;
    for (id, _) in &calls {
        server.cancel(*id).await;
    }
    assert_eq!(server.read("small").await.text(), "small\n");
    let used = cpu_ticks(&pid) - before;
    assert!(
        used < 8 * one,
        "{used} ticks for 16 cancelled calls of {one} each"
    );
    let still = cpu_ticks(&pid);
    tokio::time::sleep(Duration::from_millis(300)).await;
    let later = cpu_ticks(&pid);
    assert!(later <= still + 2, "it works on: {still}, {later}");
}

#[tokio::test]
async fn every_file_call_of_a_silent_sandbox_ends_truthfully_at_its_deadline() {
    let server = TestServer::new().start().await;
    server.write("file", "old\n").await;
    let pid = docker::pid(&server.instance.container());
    let signal = |name: &str| {
        let kill = std::process::Command::new("kill")
            .args(["-s", name, &pid])
            .status();
        assert!(kill.expect("kill").success());
    };
    signal("STOP");
    let start = Instant::now();
    let calls = [
        (
            "read_file",
            json!({ "path": "file" }),
            "sandbox_unavailable",
        ),
        ("list_files", json!({}), "sandbox_unavailable"),
        (
            "write_file",
            json!({ "path": "over", "content": "whole\n" }),
            "sandbox_unavailable",
        ),
        (
            "write_file",
            json!({ "path": "log", "content": "x\n", "mode": "append" }),
            "uncertain",
        ),
        (
            "edit_file",
            json!({ "path": "file", "old_text": "old", "new_text": "new" }),
            "uncertain",
        ),
    ];
    let calls = calls.map(async |(tool, arguments, code)| {
        let result = server.call(tool, arguments).await;
        assert_eq!(result.code(), code, "{tool}: {}", result.text());
        let changes = ["write_file", "edit_file"].contains(&tool);
        let doubts = result.text().contains("may or may not");
        assert_eq!(doubts, changes, "{tool}: {}", result.text());
        assert!(start.elapsed() < DEADLINE, "{tool}: {:?}", start.elapsed());
    });
    join_all(calls).await;
    signal("CONT");
    // A write that was given up is whole or was not made.
    let log = server.shell("cat log; cat file over").await;
    let file = server.read("file").await;
    assert!(
        ["old\n", "new\n"]
            .iter()
            .any(|text| file.text().starts_with(text)),
        "{}",
        file.text()
    );
    assert!(log.stdout().matches('x').count() <= 1, "{}", log.stdout());
}
