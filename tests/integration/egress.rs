//! What a sandbox reaches by rules, and what it does not: docs/egress.md. The resolver and the
//! targets are the test's own, in network namespaces; programs in the sandbox are the real ones.

mod lab;

mod addresses;
mod carrying;
mod changes;
mod direct;
mod figures;
mod floods;
mod groups;
mod handshakes;
mod learning;
mod limits;
mod names;
mod over_http;
mod programs;
mod proxies;
mod records;
mod roots;
mod streams;
mod takeovers;
mod told;
mod toolchains;
mod users;

use serde_json::{Value, json};

use crate::harness::{CallResult, Server};
use lab::Lab;

/// What the scripts in the sandbox begin with.
const CLIENT: &str = include_str!("egress/client.py");

/// What a script printed, and the result of the call that ran it.
struct Run {
    said: Value,
    result: CallResult,
}

/// Runs a Python script in the sandbox, which says one value.
async fn run(server: &Server, script: &str) -> Run {
    let (_, pending) = start(server, script).await;
    let result = pending.result().await;
    let said = serde_json::from_str(result.stdout());
    let said = said.unwrap_or_else(|error| panic!("{error}: {}", result.0));
    Run { said, result }
}

/// Starts a Python script in the sandbox.
async fn start(server: &Server, script: &str) -> (u64, crate::harness::Pending) {
    let arguments = json!({
        "command": "python3 -",
        "stdin": format!("{CLIENT}\n{script}"),
        "timeout_seconds": 80,
    });
    server.start_call("shell_exec", arguments).await
}

/// What a script printed.
async fn said(server: &Server, script: &str) -> Value {
    run(server, script).await.said
}

/// Starts a server with these rules, whose sandbox trusts the lab's certificates.
async fn started(lab: &Lab, settings: &str) -> Server {
    let server = lab.server(settings).start().await;
    trust(lab, &server).await;
    server
}

/// Puts the certificate of the lab's authority into the sandbox.
async fn trust(lab: &Lab, server: &Server) {
    let written = server.write("ca.pem", lab.certificate()).await;
    assert!(!written.is_error(), "{}", written.0);
}

/// What the sandbox was refused, as the result says it: host and reason.
fn denied(result: &CallResult) -> Vec<(String, String)> {
    let denied = result.field("network")["denied"].as_array();
    let word = |entry: &Value, key: &str| entry[key].as_str().unwrap_or_default().to_owned();
    let entries = denied.into_iter().flatten();
    entries
        .map(|entry| (word(entry, "host"), word(entry, "reason")))
        .collect()
}

/// Asserts that the result says of this host, and of no other, that it was refused.
#[track_caller]
fn assert_denied(result: &CallResult, host: &str, reason: &str) {
    let expected = [(host.to_owned(), reason.to_owned())];
    assert_eq!(denied(result), expected, "{}", result.0);
    assert!(result.text().contains(host), "{}", result.text());
}
