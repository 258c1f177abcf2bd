//! The operator's command line: `ps`, `exec`, `rm`, `stop`, `users`.

mod running;
mod stopped;
mod user_list;

use std::process::Output;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Instance, TestServer, eventually};

/// Deadline for something that needs no waiting.
const SOON: Duration = Duration::from_secs(10);

fn casemate(instance: &Instance, args: &[&str]) -> Output {
    instance.command(args).output().expect("it runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn ps(instance: &Instance) -> Vec<Value> {
    let output = casemate(instance, &["ps", "--json"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[tokio::test]
async fn ps_shows_what_runs_for_whom_and_counts_as_no_use() {
    let instance = Instance::new();
    assert!(ps(&instance).is_empty());
    let alice = TestServer::on(&instance).user("alice").start().await;
    let bob = TestServer::on(&instance).user("bob").start().await;
    let (_, call) = alice
        .start_call("shell_exec", json!({ "command": "sleep 1000" }))
        .await;
    bob.shell("sleep 1001 >/dev/null 2>&1 & echo left").await;
    eventually("both are there and work", SOON, async || {
        ps(&instance).iter().all(|row| row["commands"] != json!([]))
    })
    .await;
    let rows = ps(&instance);
    assert_eq!(rows.len(), 2);
    let (first, second) = (&rows[0], &rows[1]);
    assert_eq!(
        (&first["user"], &second["user"]),
        (&json!("alice"), &json!("bob"))
    );
    for row in &rows {
        assert_eq!(
            (&row["state"], &row["mode"]),
            (&json!("running"), &json!("persistent"))
        );
        assert_eq!(row["issuer"], "local");
        assert_eq!(row["idle_seconds"], 0, "{row}");
        assert!(row["memory_bytes"].as_u64() > Some(0), "{row}");
        assert!(row["cpu_ms"].as_u64() > Some(0), "{row}");
        assert_eq!(row["processes"], 1, "{row}");
    }
    assert_eq!(first["commands"][0]["background"], false);
    assert_eq!(second["commands"][0]["background"], true);
    let table = text(&casemate(&instance, &["ps"]).stdout);
    assert!(table.starts_with("USER "), "{table}");
    assert!(table.contains("0 + 1 in background"), "{table}");
    drop(alice);
    drop(call);
}

#[tokio::test]
async fn processes_are_the_users_and_no_threads_and_memory_is_no_page_cache() {
    let server = TestServer::new().start().await;
    let instance = server.instance.clone();
    let cached = 100 << 20;
    let big = format!("head -c {cached} /dev/zero > big && cat big > /dev/null");
    assert_eq!(server.shell(&big).await.exit_code(), 0);
    let row = ps(&instance)[0].clone();
    assert_eq!(row["processes"], 0, "{row}");
    let unused = row["memory_bytes"].as_u64().expect("a number");
    assert!((1..cached / 2).contains(&unused), "{row}");

    let threads = "import threading, time\nkept = b'x' * (50 << 20)\n\
                   for _ in range(20): threading.Thread(target=time.sleep, args=(1000,)).start()\n\
                   open('started', 'w').close()";
    server.write("threads.py", threads).await;
    let command = json!({ "command": "exec python3 threads.py", "wait_seconds": 0 });
    server.call("shell_exec", command).await;
    eventually("it runs", SOON, async || {
        server.shell("test -e started").await.exit_code() == 0
    })
    .await;
    let row = ps(&instance)[0].clone();
    assert_eq!(row["processes"], 1, "{row}");
    let used = row["memory_bytes"].as_u64().expect("a number");
    assert!(used > unused + (50 << 20), "{unused}: {row}");
}

#[tokio::test]
async fn looking_at_a_sandbox_does_not_keep_it_alive() {
    let server = TestServer::new()
        .env("CASEMATE_IDLE_TIMEOUT", "3s")
        .start()
        .await;
    server.shell("true").await;
    let instance = server.instance.clone();
    eventually("it ends although it is looked at", SOON, async || {
        ps(&instance).is_empty()
    })
    .await;
}

#[tokio::test]
async fn exec_runs_in_the_users_sandbox_and_ends_with_the_commands_code() {
    let instance = Instance::new();
    let server = TestServer::on(&instance).user("alice").start().await;
    server.shell("echo mine > file").await;
    let run = |args: &[&str]| casemate(&instance, &[&["exec", "alice"], args].concat());
    let cat = run(&["--", "cat file; echo problem >&2; exit 7"]);
    assert_eq!(cat.status.code(), Some(7));
    assert_eq!(
        (text(&cat.stdout), text(&cat.stderr)),
        ("mine\n".into(), "problem\n".into())
    );
    let words = run(&["--", "printf", "[%s]", "a b", "$HOME", "it's"]);
    assert_eq!(text(&words.stdout), "[a b][$HOME][it's]");
    let late = run(&["--timeout", "1", "--", "sleep 100"]);
    assert_eq!(late.status.code(), Some(124), "{}", text(&late.stderr));
    let json = run(&["--json", "--", "echo a"]);
    let result: Value = serde_json::from_slice(&json.stdout).expect("JSON");
    assert_eq!(
        (&result["outcome"], &result["stdout"]),
        (&json!("exited"), &json!("a\n"))
    );
    assert_eq!(instance.containers().len(), 1);
    let bad = casemate(
        &instance,
        &["exec", "alice", "--timeout", "0", "--", "true"],
    );
    assert_eq!(bad.status.code(), Some(1));
    assert!(
        text(&bad.stderr).contains("timeout"),
        "{}",
        text(&bad.stderr)
    );
}

#[tokio::test]
async fn rm_leaves_what_works_and_what_is_anothers_alone() {
    let instance = Instance::new();
    let alice = TestServer::on(&instance).user("alice").start().await;
    let bob = TestServer::on(&instance).user("bob").start().await;
    bob.write("file", "bob's").await;
    let arguments = json!({ "command": "sleep 1000", "wait_seconds": 0 });
    alice.call("shell_exec", arguments).await;
    let busy = casemate(&instance, &["rm", "alice"]);
    assert_eq!(busy.status.code(), Some(1));
    assert!(
        text(&busy.stderr).contains("--force"),
        "{}",
        text(&busy.stderr)
    );
    assert_eq!(instance.containers().len(), 2);

    let removed = casemate(&instance, &["rm", "alice", "--force", "--volume", "--json"]);
    assert!(removed.status.success(), "{}", text(&removed.stderr));
    let removed: Value = serde_json::from_slice(&removed.stdout).expect("JSON");
    assert_eq!(removed["containers"].as_array().map(Vec::len), Some(1));
    assert_eq!(removed["volumes"].as_array().map(Vec::len), Some(1));
    assert_eq!(
        (instance.containers().len(), instance.volumes().len()),
        (1, 1)
    );
    assert_eq!(bob.read("file").await.text(), "bob's");

    let nobody = casemate(&instance, &["rm", "alic", "--volume"]);
    assert_eq!(nobody.status.code(), Some(1));
    assert!(
        text(&nobody.stderr).contains("casemate ps"),
        "{}",
        text(&nobody.stderr)
    );
}

#[tokio::test]
async fn rm_of_an_idle_sandbox_keeps_the_files_and_the_next_call_reports_it() {
    let instance = Instance::new();
    let alice = TestServer::on(&instance).user("alice").start().await;
    alice.write("file", "kept").await;
    let removed = casemate(&instance, &["rm", "alice"]);
    assert!(removed.status.success(), "{}", text(&removed.stderr));
    assert!(instance.containers().is_empty());
    let shell = alice.shell("cat file").await;
    assert_eq!(shell.stdout(), "kept", "{}", shell.0);
    let reason = &shell.field("sandbox")["restarted"]["reason"];
    assert!(
        reason
            .as_str()
            .is_some_and(|said| said.contains("asked to end")),
        "{}",
        shell.0
    );
}
