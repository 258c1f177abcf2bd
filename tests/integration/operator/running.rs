//! `ps USER`, `ps --size` and `ps --watch`.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Stdio};

use super::*;

/// What a terminal would obey, and what looks like another table.
const HOSTILE: &str =
    "# \u{1b}[2J\u{1b}]52;c;AAAA\u{7}\u{9b}31m \u{202e}desrever\u{2066} <b>USER ISSUER</b>";

pub(super) fn details(instance: &Instance, user: &str) -> Vec<Value> {
    let output = casemate(instance, &["ps", user, "--json"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[tokio::test]
async fn ps_of_a_user_shows_what_runs_with_its_text_and_pid_and_output() {
    let instance = Instance::new();
    let ada = TestServer::on(&instance).user("ada").start().await;
    let bob = TestServer::on(&instance).user("bob").start().await;
    bob.shell("true").await;
    let (_, call) = ada
        .start_call(
            "shell_exec",
            json!({ "command": "echo $$ > pid; echo written; exec sleep 1000" }),
        )
        .await;
    ada.shell("sleep 1001 >/dev/null 2>&1 & echo left").await;
    eventually(
        "the first wrote and the second is in the background",
        SOON,
        async || {
            let rows = details(&instance, "ada");
            let commands = rows[0]["commands"].as_array().cloned().unwrap_or_default();
            commands.len() == 2 && commands.iter().any(|one| one["output_bytes"] == 8)
        },
    )
    .await;
    let rows = details(&instance, "ada");
    assert_eq!(rows.len(), 1, "only ada's: {rows:?}");
    let commands = rows[0]["commands"].as_array().expect("commands");
    let running = commands.iter().find(|one| one["background"] == false);
    let running = running.expect("one runs");
    assert_eq!(
        running["text"],
        "echo $$ > pid; echo written; exec sleep 1000"
    );
    assert_eq!(running["text_bytes"], 44);
    let pid = ada.read("pid").await.text().trim().to_owned();
    assert_eq!(running["pid"].to_string(), pid, "{running}");
    assert_eq!(running["id"].as_str().map(str::len), Some(32));
    let left = commands.iter().find(|one| one["background"] == true);
    let left = left.expect("one is in the background");
    assert!(
        left["pid"].is_null() && left["output_bytes"].is_null(),
        "{left}"
    );
    assert_eq!(left["text"], "sleep 1001 >/dev/null 2>&1 & echo left");

    let table = text(&casemate(&instance, &["ps", "ada"]).stdout);
    for words in [
        "ada of local",
        "COMMAND ID",
        "exec sleep 1000",
        "background",
        &pid,
    ] {
        assert!(table.contains(words), "{words}: {table}");
    }
    let none = text(&casemate(&instance, &["ps", "bob"]).stdout);
    assert!(none.contains("no command runs"), "{none}");
    // The list of all users has no texts.
    assert!(
        ps(&instance)
            .iter()
            .all(|row| row["commands"][0].get("text").is_none())
    );
    let nobody = casemate(&instance, &["ps", "eve"]);
    assert_eq!(nobody.status.code(), Some(1));
    assert!(
        text(&nobody.stderr).contains("no user \"eve\""),
        "{}",
        text(&nobody.stderr)
    );
    drop(call);
}

#[tokio::test]
async fn no_text_of_a_command_reaches_the_terminal_as_a_command_of_the_terminal() {
    let instance = Instance::new();
    let server = TestServer::on(&instance).user("ada").start().await;
    let long = format!("{HOSTILE}\nsleep 1000 # {}", "x".repeat(10_000));
    for script in [format!("{HOSTILE}\nsleep 1001"), long.clone()] {
        let arguments = json!({ "command": script, "wait_seconds": 0 });
        assert_eq!(
            server.call("shell_exec", arguments).await.outcome(),
            "running"
        );
    }
    let output = casemate(&instance, &["ps", "ada"]);
    let table = text(&output.stdout);
    let is_plain = |c: char| c == '\n' || !c.is_control() && !"\u{202e}\u{2066}".contains(c);
    assert!(table.chars().all(is_plain), "{table:?}");
    assert!(table.contains("\\u{1b}[2J"), "{table}");
    assert!(
        table.contains(&format!("… ({} bytes)", long.len())),
        "{table}"
    );
    let widest = table.lines().map(|line| line.chars().count()).max();
    assert!(widest < Some(300), "{table}");
    let json = casemate(&instance, &["ps", "ada", "--json"]).stdout;
    assert!(text(&json).chars().all(is_plain), "{}", text(&json));
    let rows: Vec<Value> = serde_json::from_slice(&json).expect("JSON");
    let commands = rows[0]["commands"].as_array().expect("commands");
    let whole = commands
        .iter()
        .find(|one| one["text_bytes"].as_u64() < Some(1000));
    let whole = whole.expect("the short one")["text"]
        .as_str()
        .expect("a text");
    assert_eq!(whole, format!("{HOSTILE}\nsleep 1001"));
    let cut = commands.iter().find(|one| one["text_bytes"] == long.len());
    let cut = cut.expect("the long one")["text"].as_str().expect("a text");
    assert!(cut.len() <= 1024 && long.starts_with(cut), "{cut}");
}

#[tokio::test]
async fn sizes_are_those_of_workspaces_and_only_there_when_asked_for() {
    let server = TestServer::new().start().await;
    let instance = server.instance.clone();
    server.shell("head -c 5000000 /dev/zero > file").await;
    assert!(ps(&instance)[0].get("workspace_bytes").is_none());
    let sized = casemate(&instance, &["ps", "--size", "--json"]);
    let rows: Vec<Value> = serde_json::from_slice(&sized.stdout).expect("JSON");
    assert!(
        rows[0]["workspace_bytes"].as_u64() >= Some(5_000_000),
        "{rows:?}"
    );
    let table = text(&casemate(&instance, &["ps", "--size"]).stdout);
    assert!(
        table.contains("SIZE") && table.contains("4.7 MiB"),
        "{table}"
    );
}

fn watch(instance: &Instance, args: &[&str]) -> Child {
    let all = [&["ps", "--watch"], args].concat();
    let mut command = instance.command(&all);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("it runs")
}

/// Reads looks until their rows are like this.
fn until(next: &mut impl FnMut() -> Value, is_so: impl Fn(&[Value]) -> bool) {
    let end = std::time::Instant::now() + 6 * SOON;
    loop {
        let look = next();
        let rows = look["sandboxes"].as_array().expect("an array");
        if is_so(rows) {
            return;
        }
        assert!(std::time::Instant::now() < end, "{look}");
    }
}

fn interrupt(child: &Child) {
    let pid = rustix::process::Pid::from_child(child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("a signal");
}

#[tokio::test]
async fn a_watch_prints_a_line_for_each_look_while_sandboxes_come_and_go_and_ends_with_ctrl_c() {
    let instance = Instance::new();
    let mut child = watch(&instance, &["--json"]);
    let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
    let mut next = || -> Value {
        let line = lines.next().expect("a line").expect("text");
        serde_json::from_str(&line).expect("JSON")
    };
    let first = next();
    assert_eq!(first["sandboxes"], json!([]));
    assert!(humantime::parse_rfc3339(first["time"].as_str().expect("a time")).is_ok());
    let server = TestServer::on(&instance).user("ada").start().await;
    let arguments = json!({ "command": "sleep 1000", "wait_seconds": 0 });
    server.call("shell_exec", arguments).await;
    until(&mut next, |rows| {
        rows.len() == 1
            && rows[0]["commands"]
                .as_array()
                .is_some_and(|all| all.len() == 1)
    });
    assert!(
        casemate(&instance, &["rm", "ada", "--force"])
            .status
            .success()
    );
    until(&mut next, |rows| rows.is_empty());
    interrupt(&child);
    let status = child.wait().expect("it ends");
    assert_eq!(status.code(), Some(0));
    let mut errors = String::new();
    let mut stderr = child.stderr.take().expect("stderr");
    stderr.read_to_string(&mut errors).expect("text");
    assert_eq!(errors, "");
}

#[test]
fn a_watch_whose_reader_has_seen_enough_ends_without_a_word() {
    let instance = Instance::new();
    for args in [&["--json"][..], &[]] {
        let mut child = watch(&instance, args);
        let mut output = BufReader::new(child.stdout.take().expect("its output"));
        let mut line = String::new();
        output.read_line(&mut line).expect("a line");
        assert!(!line.is_empty());
        drop(output);
        assert_eq!(child.wait().expect("it ends").code(), Some(141));
        let mut errors = String::new();
        let mut stderr = child.stderr.take().expect("stderr");
        stderr.read_to_string(&mut errors).expect("text");
        assert_eq!(errors, "");
    }
}

#[test]
fn a_terminal_is_drawn_again_from_its_top() {
    let instance = Instance::new();
    let watch = instance.command(&["ps", "--watch"]);
    let program = watch.get_program().to_string_lossy().into_owned();
    // script(1) gives it a terminal; timeout(1) sends what Ctrl-C sends.
    let output = std::process::Command::new("script")
        .args(["--quiet", "--return", "--command"])
        .arg(format!(
            "timeout --foreground --signal INT 8 {program} ps --watch"
        ))
        .arg("/dev/null")
        .env("CASEMATE_INSTANCE", instance.name())
        .stdin(Stdio::null())
        .output()
        .expect("script(1) runs");
    let said = text(&output.stdout);
    assert!(said.matches("\u{1b}[H\u{1b}[J").count() >= 2, "{said:?}");
    assert!(said.contains("USER") && said.contains("EGRESS"), "{said:?}");
}
