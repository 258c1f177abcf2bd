//! Long commands: answered `running`, gone on with by id, ended by `stop`; progress
//! while they run; their whole output in a file.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{CallResult, Server, TestServer, eventually};

/// Starts a command and does not wait for it. Gives its id.
async fn started(server: &Server, command: &str) -> String {
    let result = server
        .call(
            "shell_exec",
            // Its own timeout is no part of any of these tests.
            json!({ "command": command, "wait_seconds": 0, "timeout_seconds": 600 }),
        )
        .await;
    assert_eq!(result.outcome(), "running", "{}", result.0);
    result
        .field("command_id")
        .as_str()
        .expect("an id")
        .to_owned()
}

async fn resumed(server: &Server, id: &str, more: Value) -> CallResult {
    let mut arguments = json!({ "command_id": id });
    let fields = arguments.as_object_mut().expect("an object");
    fields.extend(more.as_object().expect("an object").clone());
    server.call("shell_exec", arguments).await
}

#[tokio::test]
async fn a_command_that_still_runs_is_gone_on_with_until_its_end_is_known() {
    let server = TestServer::new().start().await;
    let command = "echo one; until test -e go; do sleep 0.05; done; echo two; exit 4";
    let first = server
        .call(
            "shell_exec",
            json!({ "command": command, "wait_seconds": 1 }),
        )
        .await;
    assert_eq!(first.outcome(), "running");
    assert!(!first.is_error());
    assert_eq!(first.stdout(), "one\n");
    let id = first
        .field("command_id")
        .as_str()
        .expect("an id")
        .to_owned();
    assert!(
        first.text().contains(&format!("command_id={id}")),
        "{}",
        first.text()
    );

    // Still running, and all of the output so far again.
    let again = resumed(&server, &id, json!({ "wait_seconds": 0 })).await;
    assert_eq!((again.outcome(), again.stdout()), ("running", "one\n"));

    server.shell("touch go").await;
    let end = resumed(&server, &id, json!({})).await;
    assert_eq!((end.outcome(), end.exit_code()), ("exited", 4));
    assert_eq!(end.stdout(), "one\ntwo\n");
    // A lost answer loses nothing.
    let lost = resumed(&server, &id, json!({})).await;
    assert_eq!((lost.exit_code(), lost.stdout()), (4, "one\ntwo\n"));
}

#[tokio::test]
async fn stop_ends_a_running_command_with_all_it_started() {
    let server = TestServer::new().start().await;
    let id = started(&server, "(setsid sleep 7001 &); trap '' TERM; sleep 7002").await;
    let start = Instant::now();
    let stopped = resumed(&server, &id, json!({ "stop": true })).await;
    assert_eq!(stopped.outcome(), "cancelled", "{}", stopped.0);
    assert!(start.elapsed() < Duration::from_secs(2));
    assert_eq!(server.shell("pgrep -f 'sleep 700'").await.exit_code(), 1);
}

#[tokio::test]
async fn its_timeout_ends_a_running_command_also_when_nobody_asks() {
    let server = TestServer::new().start().await;
    let arguments = json!({ "command": "sleep 7003", "timeout_seconds": 2, "wait_seconds": 0 });
    let running = server.call("shell_exec", arguments).await;
    let id = running
        .field("command_id")
        .as_str()
        .expect("an id")
        .to_owned();
    eventually("the timeout", Duration::from_secs(6), async || {
        server.shell("pgrep -f '^sleep 7003'").await.exit_code() == 1
    })
    .await;
    assert_eq!(
        resumed(&server, &id, json!({})).await.outcome(),
        "timed_out"
    );
}

#[tokio::test]
async fn a_running_command_outlives_its_client_and_its_server_and_is_found_again() {
    let server = TestServer::new().start().await;
    let instance = server.instance.clone();
    let id = started(&server, "until test -e go; do sleep 0.1; done; echo found").await;
    // A client that goes away while it waits again does not end it.
    let (request, _pending) = server
        .start_call("shell_exec", json!({ "command_id": id }))
        .await;
    server.cancel(request).await;
    server.signal("KILL");
    drop(server);
    // Longer than an unwatched command that nobody was told of would live.
    tokio::time::sleep(Duration::from_secs(12)).await;
    let next = TestServer::on(&instance).start().await;
    next.shell("touch go").await;
    let end = resumed(&next, &id, json!({})).await;
    assert_eq!((end.outcome(), end.stdout()), ("exited", "found\n"));
}

#[tokio::test]
async fn an_id_is_its_users_own() {
    let server = TestServer::new().start().await;
    let id = started(&server, "sleep 7004").await;
    let other = TestServer::on(&server.instance).user("other").start().await;
    let foreign = resumed(&other, &id, json!({ "stop": true })).await;
    let unknown = resumed(&other, &"0".repeat(32), json!({ "stop": true })).await;
    assert_eq!((foreign.code(), unknown.code()), ("not_found", "not_found"));
    assert_eq!(
        foreign.text().replace(&id, ""),
        unknown.text().replace(&"0".repeat(32), "")
    );
    assert_eq!(server.shell("pgrep -f '^sleep 7004'").await.exit_code(), 0);
}

#[tokio::test]
async fn a_command_and_an_id_together_or_neither_are_refused_by_name() {
    let server = TestServer::new().start().await;
    let id = "0123456789abcdef0123456789abcdef";
    for (arguments, named) in [
        (
            json!({ "command": "true", "command_id": id }),
            "`command_id`",
        ),
        (json!({}), "`command`"),
        (json!({ "command": "true", "stop": true }), "`stop`"),
        (json!({ "command_id": "../../etc/passwd" }), "`command_id`"),
        (
            json!({ "command": "true", "wait_seconds": 3601 }),
            "`wait_seconds`: is 3601; it is a whole number from 0 to 3600",
        ),
    ] {
        let result = server.call("shell_exec", arguments).await;
        assert_eq!(result.code(), "invalid_argument", "{}", result.0);
        assert!(result.text().contains(named), "{}", result.text());
    }
}

#[tokio::test]
async fn progress_tears_no_character_and_tells_the_last_frame_of_a_bar() {
    let server = TestServer::new().start().await;
    server.shell("true").await;
    // 3 bytes each: 1 KiB of them begins within one, and each write ends within another.
    let text = "for i in $(seq 30); do printf '日%.0s' $(seq 400); printf '\\346'; sleep 0.1; \
                printf '\\227\\245'; done; echo";
    let bar = "for i in $(seq 20); do printf '\\rdone: %d %%' $i; sleep 0.1; done";
    for (command, is_right) in [
        (
            text,
            (|message: &str| message.chars().all(|c| c == '日')) as fn(&str) -> bool,
        ),
        (bar, |message| message.matches("done").count() <= 1),
    ] {
        let before = server.rpc.notifications().len();
        let params = json!({
            "name": "shell_exec",
            "arguments": { "command": command },
            "_meta": { "progressToken": "tok" },
        });
        let answer = server.rpc.request("tools/call", params).await;
        assert_eq!(answer["result"]["structuredContent"]["exit_code"], 0);
        let told = server.rpc.notifications();
        let messages = told[before..].iter().map(|it| &it["params"]["message"]);
        let messages: Vec<&str> = messages.filter_map(Value::as_str).collect();
        assert!(messages.len() >= 3, "{messages:?}");
        for message in messages {
            assert!(is_right(message), "{message:?}");
        }
    }
}

#[tokio::test]
async fn progress_is_told_with_the_clients_token_rising_and_never_after_the_answer() {
    let server = TestServer::new().start().await;
    server.shell("true").await;
    let command = "for i in $(seq 1 30); do echo line $i; sleep 0.1; done";
    let params = json!({
        "name": "shell_exec",
        "arguments": { "command": command },
        "_meta": { "progressToken": "tok" },
    });
    let answer = server.rpc.request("tools/call", params).await;
    assert_eq!(answer["result"]["structuredContent"]["exit_code"], 0);
    let told = server.rpc.notifications();
    let progress: Vec<&Value> = told
        .iter()
        .filter(|message| message["method"] == "notifications/progress")
        .map(|message| &message["params"])
        .collect();
    // Four a second at most: three seconds, and longer on a machine that is busy.
    let duration = answer["result"]["structuredContent"]["duration_ms"].as_u64();
    let most = usize::try_from(duration.expect("milliseconds") / 250).expect("a count") + 2;
    assert!((3..=most).contains(&progress.len()), "{most}: {progress:?}");
    let numbers: Vec<f64> = progress
        .iter()
        .filter_map(|p| p["progress"].as_f64())
        .collect();
    assert!(
        numbers.windows(2).all(|pair| pair[0] < pair[1]),
        "{numbers:?}"
    );
    for told in &progress {
        assert_eq!(told["progressToken"], "tok");
        let message = told["message"].as_str().expect("a message");
        assert!(
            message.contains("line ") && message.len() <= 4096,
            "{message}"
        );
    }
    server.shell("true").await;
    assert_eq!(server.rpc.notifications().len(), told.len());
}

#[tokio::test]
async fn what_a_result_cannot_show_is_whole_in_the_file_it_names() {
    let server = TestServer::new().start().await;
    let result = server.shell("seq 1 200000; printf 'e\\xffe' >&2").await;
    assert_eq!(result.field("truncated"), true);
    assert_eq!(result.field("lossy"), true);
    let path = result
        .field("output_path")
        .as_str()
        .expect("a path")
        .to_owned();
    assert!(result.text().contains(&path), "{}", result.text().len());
    // Of two pipes nobody knows which was written to first.
    let check = format!(
        "tr -d 'e\\377' < {path} | cmp - <(seq 1 200000) && tr -cd 'e\\377' < {path} | od -An -c"
    );
    assert_eq!(server.shell(&check).await.stdout(), "   e 377   e\n");

    // What is shown whole leaves no file.
    assert!(
        server
            .shell("seq 1 1000")
            .await
            .field("output_path")
            .is_null()
    );
    assert_eq!(
        server.shell("ls .casemate/output | wc -l").await.stdout(),
        "1\n"
    );
}

/// What PID 1 holds of its own, in KiB: /proc/1/status is any process's to read.
async fn held(server: &Server) -> u64 {
    let status = server
        .shell("grep -E '^(RssAnon|VmHWM):' /proc/1/status")
        .await;
    let peak = status
        .stdout()
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"));
    let peak = peak.and_then(|peak| peak.trim().trim_end_matches(" kB").parse().ok());
    peak.unwrap_or_else(|| panic!("{}", status.0))
}

#[tokio::test]
async fn any_number_of_files_beside_those_of_output_costs_pid_1_little() {
    let server = TestServer::new().start().await;
    let fill = "import os
os.makedirs('.casemate/output', exist_ok=True)
for n in range(150_000):
    os.close(os.open(f'.casemate/output/{n:032x}.log', os.O_CREAT | os.O_WRONLY))
";
    server.write("fill.py", fill).await;
    let fill = json!({
        "command": "python3 fill.py", "timeout_seconds": 600, "wait_seconds": 600,
    });
    let filled = server.call("shell_exec", fill).await;
    assert_eq!(filled.exit_code(), 0, "{}", filled.0);
    // What a first file costs anyway, threads' stacks and buffers, is its peak already.
    let before = held(&server).await;
    let result = server.shell("seq 100000").await;
    let path = result.field("output_path").as_str().expect("a path");
    let size = server.shell(&format!("wc -c < {path}")).await;
    assert_eq!(size.stdout(), "588895\n", "{}", size.0);
    let after = held(&server).await;
    assert!(after < before + 6 * 1024, "{before} KiB, then {after} KiB");
    assert_eq!(server.shell("echo fine").await.stdout(), "fine\n");
}

#[tokio::test]
async fn the_files_of_output_are_bounded_by_command_and_by_user() {
    let server = TestServer::new().start().await;
    for _ in 0..5 {
        let result = server.shell("head -c 20000000 /dev/zero").await;
        assert_eq!(result.field("stdout_bytes"), 20_000_000);
    }
    let sizes = server.shell("stat -c %s .casemate/output/*").await;
    let sizes: Vec<u64> = sizes
        .stdout()
        .lines()
        .filter_map(|size| size.parse().ok())
        .collect();
    assert!(sizes.iter().all(|size| *size <= 16 << 20), "{sizes:?}");
    assert!(
        sizes.iter().sum::<u64>() <= 64 << 20 && sizes.len() >= 2,
        "{sizes:?}"
    );
}

#[tokio::test]
async fn what_a_command_used_is_told_when_it_was_much() {
    let server = TestServer::new().start().await;
    let busy = server
        .shell("python3 -c 'import time; x = bytearray(64 << 20); all(iter(lambda: time.process_time() < 1.5, False))'")
        .await;
    let usage = busy.field("usage");
    assert!(
        usage["cpu_ms"].as_u64().is_some_and(|ms| ms > 1000),
        "{}",
        busy.0
    );
    assert!(
        usage["max_rss_kib"]
            .as_u64()
            .is_some_and(|kib| kib > 64 << 10),
        "{}",
        busy.0
    );
    assert!(server.shell("true").await.field("usage").is_null());
}
