//! The page in a browser: headless Chromium, driven by the scripts in `tests/page`.
//!
//! `scripts/setup-tests` installs it. Where it could not, these tests say so and end, except in
//! CI, where they fail. Their screenshots, light and dark, narrow and wide, are in
//! `target/tmp/page`.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::process::Command;
use tokio::sync::Semaphore;

use super::tokens_file;
use crate::harness::{Directory, HttpServer, TestServer, eventually, not_run_but_in_ci};
use crate::http_auth::oidc_issuer::{Issuer, at};

/// How long a scenario may take; the longest has 1,005 uploads, and takes some 60 s.
const SCENARIO: Duration = Duration::from_secs(300);

/// How long a browser may take to be gone after its driver.
const GONE: Duration = Duration::from_secs(10);

/// A browser keeps two cores busy: one at a time.
static TURN: Semaphore = Semaphore::const_new(1);

/// Where `scripts/setup-tests` puts the driver's packages and the name of the browser.
pub fn tools() -> Option<PathBuf> {
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/page");
    // Written last, when all is there.
    if tools.join("browser").is_file() {
        return Some(tools);
    }
    not_run_but_in_ci("no browser; scripts/setup-tests gets one, or says why not");
    None
}

/// Runs a scenario of `tests/page/drive.mjs`, and sees that no process of its browser
/// is left.
pub async fn drive(scenario: &str, mut settings: Value) {
    let Some(tools) = tools() else { return };
    let _turn = TURN.acquire().await.expect("it is never closed");
    let profile = Directory::new(0);
    settings["tools"] = json!(tools);
    settings["profile"] = json!(profile.text());
    settings["out"] = json!(Path::new(env!("CARGO_TARGET_TMPDIR")).join("page"));
    let driver = Command::new("node")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/page/drive.mjs"))
        .args([scenario, &settings.to_string()])
        .stdin(Stdio::null())
        // The browser ends when its driver does: it reads from it.
        .kill_on_drop(true)
        .output();
    let driven = tokio::time::timeout(SCENARIO, driver).await;
    let output = driven.ok().map(|output| output.expect("node runs"));
    let gone = || async { processes_of(profile.text()).is_empty() };
    eventually("no process of the browser", GONE, gone).await;
    let output = output.unwrap_or_else(|| panic!("{scenario}: not within {SCENARIO:?}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

/// The command lines of all processes that name this directory.
fn processes_of(directory: &str) -> Vec<String> {
    let processes = std::fs::read_dir("/proc").expect("/proc").flatten();
    let lines = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
    let lines = lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
    lines.filter(|line| line.contains(directory)).collect()
}

fn address(server: &HttpServer) -> String {
    format!("http://{}", server.address)
}

#[tokio::test]
async fn a_person_signs_in_and_brings_a_file_there_and_back_byte_for_byte() {
    let directory = Directory::new(0);
    let rows = [("of-alice", r#"user = "alice""#, r#"["tools", "files"]"#)];
    let server = TestServer::new().env("CASEMATE_AUTH", "tokens");
    let server = server.env("CASEMATE_TOKENS_FILE", &tokens_file(&directory, &rows));
    let server = server.start_http().await;
    let settings = json!({ "base": address(&server), "token": "of-alice" });
    drive("with-token", settings).await;
}

/// The issuer is on another site, so the browser shows which cookies it sends on the way back.
#[tokio::test]
async fn a_person_signs_in_at_the_issuer_and_out_again() {
    let issuer = Issuer::start(None).await;
    let server = at(&issuer).start_http().await;
    let base = format!("http://localhost:{}", server.address.port());
    issuer.send_back_to(&base);
    drive("at-issuer", json!({ "base": base })).await;
}

#[tokio::test]
async fn without_authentication_the_page_is_the_workspace_at_once() {
    let server = TestServer::new().start_http().await;
    let command = json!({ "command": "sleep 300", "wait_seconds": 0 });
    server.call("shell_exec", command).await;
    drive("without-token", json!({ "base": address(&server) })).await;
}

#[tokio::test]
async fn a_refused_or_unanswered_page_shows_one_sentence() {
    let directory = Directory::new(0);
    let rows = [
        ("of-alice", r#"user = "alice""#, r#"["tools", "files"]"#),
        ("of-carol", r#"user = "carol""#, r#"["tools"]"#),
        ("of-an-app", "delegate = true", r#"["tools", "files"]"#),
    ];
    let tokens = tokens_file(&directory, &rows);
    let server = TestServer::new()
        .env("CASEMATE_AUTH", "tokens")
        .env("CASEMATE_TOKENS_FILE", &tokens)
        .env("CASEMATE_UPLOAD_LIMIT", "1m");
    let server = server.start_http().await;
    let settings = json!({
        "base": address(&server),
        "tokens": tokens,
        "token": "of-alice",
        "toolsOnly": "of-carol",
        "delegate": "of-an-app",
        "pid": server.child.id(),
    });
    drive("refusals", settings).await;
}

#[tokio::test]
async fn a_server_without_an_engine_or_without_space_says_so_on_the_page() {
    let no_engine = TestServer::new().env("DOCKER_HOST", "unix:///nowhere/docker.sock");
    let no_engine = no_engine.start_http().await;
    let no_space = TestServer::new().env("CASEMATE_MIN_FREE_DISK", "1024t");
    let no_space = no_space.start_http().await;
    let settings = json!({ "noEngine": address(&no_engine), "noSpace": address(&no_space) });
    drive("unready", settings).await;
}

/// A server with tokens of two users, and what their scenario is told.
async fn with_users(directory: &Directory) -> (HttpServer, Value) {
    let both = r#"["tools", "files"]"#;
    let rows = [
        ("of-alice", r#"user = "alice""#, both),
        ("of-bob", r#"user = "bob""#, both),
    ];
    let server = super::with_tokens(directory, &rows).await;
    let settings = json!({ "base": address(&server), "token": "of-alice", "other": "of-bob" });
    (server, settings)
}

#[tokio::test]
async fn file_names_open_and_hostile_files_are_shown_as_what_they_are() {
    let directory = Directory::new(0);
    let (_server, settings) = with_users(&directory).await;
    drive("contents", settings).await;
}

#[tokio::test]
async fn a_person_orders_a_folder_and_changes_what_is_in_it() {
    let directory = Directory::new(0);
    let (_server, settings) = with_users(&directory).await;
    drive("changes", settings).await;
}

#[tokio::test]
async fn a_person_sees_what_runs_and_was_run_and_stops_a_command() {
    let directory = Directory::new(0);
    let (_server, settings) = with_users(&directory).await;
    drive("commands", settings).await;
}

#[tokio::test]
async fn a_person_shares_a_file_and_a_port_and_opens_them() {
    let directory = Directory::new(0);
    let (_server, settings) = with_users(&directory).await;
    drive("sharing", settings).await;
}
