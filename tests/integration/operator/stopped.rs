//! `stop`: a command ends, its caller is told why, and all else stays.

use super::running::details;
use super::*;
use crate::harness::{Directory, docker};

/// The ids of what runs.
fn ids(instance: &Instance, user: &str) -> Vec<String> {
    // Before its first container or volume there is no such user.
    if casemate(instance, &["ps", user]).status.code() == Some(1) {
        return Vec::new();
    }
    let rows = details(instance, user);
    let commands = rows.iter().flat_map(|row| row["commands"].as_array());
    let ids = commands.flatten().map(|command| command["id"].as_str());
    ids.map(|id| id.expect("an id").to_owned()).collect()
}

async fn ids_of(instance: &Instance, user: &str, count: usize) -> Vec<String> {
    eventually("they run", SOON, async || {
        ids(instance, user).len() == count
    })
    .await;
    ids(instance, user)
}

#[tokio::test]
async fn the_caller_of_a_stopped_command_is_told_that_an_operator_stopped_it() {
    let (instance, audit) = (Instance::new(), Directory::new(0));
    let ada = TestServer::on(&instance).user("ada").start().await;
    let (_, call) = ada
        .start_call("shell_exec", json!({ "command": "echo begun; sleep 1000" }))
        .await;
    let id = ids_of(&instance, "ada", 1).await.remove(0);
    let container = instance.container();
    let stopped = instance
        .command(&["stop", "ada", &id])
        .env("CASEMATE_AUDIT", audit.text())
        .output()
        .expect("it runs");
    let (said, errors) = (text(&stopped.stdout), text(&stopped.stderr));
    assert!(stopped.status.success(), "{errors}");
    assert_eq!(said, format!("stopped the command {id} of ada\n"));

    let result = call.result().await;
    assert!(result.is_error(), "{}", result.0);
    assert_eq!(result.outcome(), "cancelled");
    assert_eq!(result.stdout(), "begun\n");
    assert_eq!(result.field("detail"), "an operator stopped the command");
    assert!(
        result.text().contains("[an operator stopped the command]"),
        "{}",
        result.text()
    );
    // The sandbox is the same.
    assert_eq!(
        ada.shell("pgrep -f 'sleep 100[0]' || echo none")
            .await
            .stdout(),
        "none\n"
    );
    assert_eq!(instance.container(), container);

    let lines = audit_lines(&audit);
    let of = |outcome: &str| {
        let found = lines.iter().filter(|line| {
            line["kind"] == "removal" && line["what"] == "command" && line["outcome"] == outcome
        });
        found.cloned().collect::<Vec<_>>()
    };
    for outcome in ["begun", "done"] {
        let found = of(outcome);
        assert_eq!(found.len(), 1, "{outcome}: {lines:?}");
        assert_eq!(found[0]["name"], id);
        assert_eq!(
            found[0]["user"],
            json!({ "issuer": "local", "subject": "ada" })
        );
        assert_eq!(found[0]["reason"], "casemate stop");
    }
}

/// All lines of an audit.
fn audit_lines(audit: &Directory) -> Vec<Value> {
    let files = std::fs::read_dir(audit.text()).expect("a directory");
    let files = files.map(|file| std::fs::read_to_string(file.expect("one").path()));
    let text: String = files.map(|text| text.expect("text")).collect();
    let lines = text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    lines.collect()
}

#[tokio::test]
async fn one_command_ends_and_the_others_of_the_user_and_of_others_go_on() {
    let instance = Instance::new();
    let ada = TestServer::on(&instance).user("ada").start().await;
    let bob = TestServer::on(&instance).user("bob").start().await;
    for server in [&ada, &bob] {
        let arguments = json!({ "command": "sleep 1000", "wait_seconds": 0 });
        server.call("shell_exec", arguments).await;
    }
    // It ignores TERM, has a child in another session, and is known by its command_id.
    let deaf = "trap '' TERM; setsid sleep 1001 & while :; do sleep 0.1; done";
    let running = ada
        .call("shell_exec", json!({ "command": deaf, "wait_seconds": 0 }))
        .await;
    let id = running
        .field("command_id")
        .as_str()
        .expect("an id")
        .to_owned();
    assert!(ids_of(&instance, "ada", 2).await.contains(&id));
    // Another user's command has no such id.
    let wrong = casemate(&instance, &["stop", "bob", &id]);
    assert_eq!(wrong.status.code(), Some(1));
    let errors = text(&wrong.stderr);
    assert!(
        errors.contains(&format!("no command {id} of bob runs")),
        "{errors}"
    );
    let stopped = casemate(&instance, &["stop", "ada", &id, "--json"]);
    let rows: Value = serde_json::from_slice(&stopped.stdout).expect("JSON");
    assert_eq!(rows[0]["id"], id);
    assert_eq!(
        (&rows[0]["told"], &rows[0]["ended"]),
        (&json!(true), &json!(true))
    );
    let result = ada.call("shell_exec", json!({ "command_id": id })).await;
    assert_eq!(result.outcome(), "cancelled");
    assert_eq!(result.field("detail"), "an operator stopped the command");
    assert_eq!(ids(&instance, "ada").len(), 1);
    assert_eq!(ids(&instance, "bob").len(), 1);
    // It has ended: the second time it is not found.
    let again = casemate(&instance, &["stop", "ada", &id]);
    assert_eq!(again.status.code(), Some(1));
    assert!(
        text(&again.stderr).contains("casemate ps USER"),
        "{}",
        text(&again.stderr)
    );
}

#[tokio::test]
async fn all_ends_everything_and_the_next_result_says_so_of_the_background() {
    let instance = Instance::new();
    let ada = TestServer::on(&instance).user("ada").start().await;
    let arguments = json!({ "command": "sleep 1000", "wait_seconds": 0 });
    ada.call("shell_exec", arguments).await;
    ada.shell("sleep 1001 >/dev/null 2>&1 & echo left").await;
    ids_of(&instance, "ada", 2).await;
    let stopped = casemate(&instance, &["stop", "ada", "--all"]);
    let said = text(&stopped.stdout);
    assert!(stopped.status.success(), "{}", text(&stopped.stderr));
    assert_eq!(said.lines().count(), 2, "{said}");
    assert!(said.contains("in the background"), "{said}");
    assert_eq!(ids(&instance, "ada"), [""; 0]);
    let next = ada.shell("pgrep sleep || echo none").await;
    assert_eq!(next.stdout(), "none\n");
    assert!(
        next.text().contains("an operator stopped them"),
        "{}",
        next.text()
    );
    let nothing = casemate(&instance, &["stop", "ada", "--all"]);
    assert_eq!(text(&nothing.stdout), "nothing runs\n");
}

#[tokio::test]
async fn an_exec_at_another_terminal_says_who_ended_it() {
    let instance = Instance::new();
    let ada = TestServer::on(&instance).user("ada").start().await;
    ada.shell("true").await;
    let exec = instance
        .command(&["exec", "ada", "--", "sleep 1000"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("it runs");
    let id = ids_of(&instance, "ada", 1).await.remove(0);
    assert!(casemate(&instance, &["stop", "ada", &id]).status.success());
    let ended = exec.wait_with_output().expect("it ends");
    assert_eq!(ended.status.code(), Some(125));
    let errors = text(&ended.stderr);
    assert!(
        errors.contains("an operator stopped the command"),
        "{errors}"
    );
}

#[tokio::test]
async fn errors_name_what_is_missing_and_hostile_ids_and_names_stay_on_one_line() {
    let instance = Instance::new();
    let ada = TestServer::on(&instance).user("ada").start().await;
    ada.shell("true").await;
    let hostile = "\u{1b}[2J\u{202e}<b>".repeat(900);
    for (args, words) in [
        (["stop", "ada", hostile.as_str()], "no command \\u{1b}[2J"),
        (["stop", "eve", "1"], "no user \"eve\""),
    ] {
        let output = casemate(&instance, &args);
        let errors = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{errors}");
        assert!(errors.contains(words), "{errors}");
        assert!(
            !errors.contains(['\u{1b}', '\u{202e}']) && errors.len() < 500,
            "{errors}"
        );
        assert_eq!(errors.lines().count(), 1, "{errors}");
    }
    let elsewhere = casemate(
        &instance,
        &["stop", "ada", "--all", "--workspace", "chat-1"],
    );
    let errors = text(&elsewhere.stderr);
    assert!(
        errors.contains("ada (chat-1) has no running sandbox"),
        "{errors}"
    );
    assert!(casemate(&instance, &["rm", "ada"]).status.success());
    let gone = casemate(&instance, &["stop", "ada", "--all"]);
    assert_eq!(gone.status.code(), Some(1));
    let errors = text(&gone.stderr);
    assert!(errors.contains("ada has no running sandbox"), "{errors}");
    let usage = casemate(&instance, &["stop", "ada"]);
    assert_eq!(usage.status.code(), Some(2));
}

#[tokio::test]
async fn in_mode_ephemeral_the_container_ends_with_its_command_and_stop_says_that_it_is_done() {
    let instance = Instance::new();
    let ada = TestServer::on(&instance)
        .user("ada")
        .env("CASEMATE_MODE", "ephemeral")
        .start()
        .await;
    let (_, call) = ada
        .start_call("shell_exec", json!({ "command": "sleep 1000" }))
        .await;
    let id = ids_of(&instance, "ada", 1).await.remove(0);
    let stopped = casemate(&instance, &["stop", "ada", &id]);
    assert!(stopped.status.success(), "{}", text(&stopped.stdout));
    assert_eq!(
        text(&stopped.stdout),
        format!("stopped the command {id} of ada\n")
    );
    assert_eq!(call.result().await.outcome(), "cancelled");
}

#[tokio::test]
async fn all_names_a_silent_sandbox_and_ends_what_runs_in_the_others() {
    let instance = &Instance::new();
    let own = TestServer::on(instance).user("ada").start().await;
    let chat = TestServer::on(instance).user("ada");
    let chat = chat.env("CASEMATE_WORKSPACE", "chat").start().await;
    for server in [&own, &chat] {
        let arguments = json!({ "command": "sleep 1000", "wait_seconds": 0 });
        server.call("shell_exec", arguments).await;
    }
    ids_of(instance, "ada", 2).await;
    let silent = instance.containers().remove(0);
    docker::output(&["pause", &silent]);
    let stopped = casemate(instance, &["stop", "ada", "--all"]);
    docker::output(&["unpause", &silent]);
    let (said, errors) = (text(&stopped.stdout), text(&stopped.stderr));
    assert_eq!(stopped.status.code(), Some(1), "{said}{errors}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.starts_with("stopped the command"), "{said}");
    assert!(errors.contains("does not answer"), "{errors}");
}
