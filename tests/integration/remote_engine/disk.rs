//! The Engine's disk, which the server cannot see; PID 1 sees it from inside.

use std::process::Stdio;

use serde_json::Value;

use super::is_remote;
use crate::harness::{Instance, TestServer};

/// More than any disk has free.
const EVERYTHING: &str = "1024t";

/// This machine may have a directory where that Engine says it keeps its data.
#[tokio::test]
async fn no_number_of_this_machines_disk_is_given_for_the_engines() {
    if !is_remote() {
        return;
    }
    let server = TestServer::new().env("CASEMATE_ADMIN", "0");
    let server = server.start_http().await;
    server.shell("true").await;
    let metrics = server.metrics().await;
    assert!(metrics.contains("casemate_tool_calls_total"), "{metrics}");
    let line = metrics
        .lines()
        .find(|it| it.starts_with("casemate_engine_disk_free_bytes"));
    assert_eq!(line, None);
}

/// The server makes the workspace, because it does not know better; what writes there is refused.
#[tokio::test]
async fn the_floor_is_held_from_inside() {
    if !is_remote() {
        return;
    }
    let server = TestServer::new().env("CASEMATE_MIN_FREE_DISK", EVERYTHING);
    let server = server.start().await;
    let refused = server.write("file", "content").await;
    assert_eq!(refused.code(), "no_space", "{}", refused.0);
    assert!(refused.text().contains("must stay free"), "{}", refused.0);
    let shell = server.shell("ls").await;
    assert_eq!(shell.exit_code(), 0, "{}", shell.0);
}

#[test]
fn doctor_says_what_it_cannot_see() {
    if !is_remote() {
        return;
    }
    let instance = Instance::new();
    let mut doctor = instance.command(&["doctor", "--json"]);
    let output = doctor.stderr(Stdio::null()).output().expect("it runs");
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let findings = report["findings"].as_array().expect("findings");
    let says = |check: &str, text: &str| {
        let mut of_it = findings.iter().filter(|it| it["check"] == check);
        of_it.any(|it| it["found"].as_str().is_some_and(|it| it.contains(text)))
    };
    assert!(says("disk", "cannot be seen from here"), "{report}");
    assert!(says("sockets", "cannot be seen from here"), "{report}");
    // What it reads from inside.
    assert!(says("terminals", "pseudo-terminals that all"), "{report}");
    assert!(says("capabilities", "no capabilities"), "{report}");
    assert!(
        !findings.iter().any(|it| it["level"] == "error"),
        "{report}"
    );
}
