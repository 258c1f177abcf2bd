//! Sandboxes are made, shared, ended and replaced: with several servers, with none, and with an
//! operator who intervenes.

mod idle;
mod lost;
mod orphans;
mod settings;
mod shared;
mod weaker;

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{CallResult, Pending, Server, docker, eventually};

/// Deadline for something that happens without a call.
const SOON: Duration = Duration::from_secs(10);

/// The reason in the note about a replacement; both forms of the result must agree.
fn restarted(result: &CallResult) -> Option<String> {
    let Value::Object(note) = &result.field("sandbox")["restarted"] else {
        assert!(
            !result.text().contains("[sandbox restarted"),
            "only the text says it: {}",
            result.0
        );
        return None;
    };
    let says = |name: &str| {
        note[name]
            .as_str()
            .unwrap_or_else(|| panic!("no {name}: {note:?}"))
            .to_owned()
    };
    let (reason, lost, kept) = (says("reason"), says("lost"), says("kept"));
    assert!(
        lost.contains("/tmp") && lost.contains("processes"),
        "{lost}"
    );
    assert_eq!(kept, "/workspace");
    let line = format!("[sandbox restarted: {reason}; lost: {lost}; kept: {kept}]");
    assert!(
        result.text().lines().any(|said| said == line),
        "{line}: {}",
        result.text()
    );
    Some(reason)
}

/// Waits until the container is gone from the Engine.
async fn until_gone(container: &str) {
    eventually("the container is gone", SOON, async || {
        docker::lines(&["ps", "--all", "--quiet", "--no-trunc"])
            .iter()
            .all(|id| id != container)
    })
    .await;
}

fn bridges(container: &str) -> Vec<String> {
    let processes = docker::top(container).into_iter();
    processes
        .filter(|(_, args)| args.ends_with("casemate-init bridge"))
        .map(|(pid, _)| pid)
        .collect()
}

/// Starts a command, and waits until it has made the file `runs`.
async fn start(server: &Server, command: &str) -> Pending {
    let command = json!({ "command": format!("touch runs; {command}"), "timeout_seconds": 60 });
    let (_, pending) = server.start_call("shell_exec", command).await;
    eventually("it runs", SOON, async || {
        !server.read("runs").await.is_error()
    })
    .await;
    pending
}

async fn result(pending: Pending) -> CallResult {
    let answer = pending.answer().await.expect("the server answers");
    CallResult(answer["result"].clone())
}

/// The name of a container, and options of `docker create` for another with its name and labels.
fn copied(container: &str) -> (String, Vec<String>) {
    let inspected = docker::inspect("container", container);
    let labels = inspected["Config"]["Labels"].as_object().expect("labels");
    let labels = labels
        .iter()
        .map(|(name, value)| format!("--label={name}={}", value.as_str().expect("text")));
    let name = inspected["Name"]
        .as_str()
        .expect("a name")
        .trim_start_matches('/')
        .to_owned();
    (
        name.clone(),
        [format!("--name={name}")]
            .into_iter()
            .chain(labels)
            .collect(),
    )
}
