//! `shell_exec`: what it answers, what it leaves behind, what it withstands.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::future::Future;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{CallResult, Instance, Server, TestServer, docker, eventually};

/// In how much time a command with a timeout of 1 s is back, whatever it does.
const BACK: Duration = Duration::from_secs(2);

async fn timed<T>(future: impl Future<Output = T>) -> (T, Duration) {
    let start = Instant::now();
    (future.await, start.elapsed())
}

/// The structured half without what differs from run to run.
fn facts(result: &CallResult) -> Value {
    let mut facts = result.0["structuredContent"].clone();
    let fields = facts
        .as_object_mut()
        .unwrap_or_else(|| panic!("no fields: {}", result.0));
    assert!(
        fields.remove("duration_ms").is_some_and(|ms| ms.is_u64()),
        "{}",
        result.0
    );
    facts
}

/// Whether the container has a process whose command line contains `part`.
fn runs(container: &str, part: &str) -> bool {
    docker::top(container)
        .iter()
        .any(|(_, args)| args.contains(part))
}

/// Waits until a command that was not waited for is there.
async fn until_it_runs(instance: &Instance, part: &str) {
    eventually(
        &format!("{part} runs"),
        Duration::from_secs(10),
        async || {
            let containers = instance.containers();
            containers.iter().any(|container| runs(container, part))
        },
    )
    .await;
}

#[tokio::test]
async fn each_half_of_a_result_says_the_same_facts_and_no_field_says_nothing() {
    let server = TestServer::new().start().await;
    let exited = |code: i64, stdout: &str, stderr: &str| json!({ "outcome": "exited", "exit_code": code, "stdout": stdout, "stderr": stderr });
    for (command, text, facts_wanted) in [
        ("true", "[no output]", exited(0, "", "")),
        ("echo", "\n[only white space]", exited(0, "\n", "")),
        ("printf a", "a", exited(0, "a", "")),
        ("false", "[exit code: 1]", exited(1, "", "")),
        (
            "printf a; exit 255",
            "a\n[exit code: 255]",
            exited(255, "a", ""),
        ),
        (
            "echo a; echo b >&2",
            "a\n[stderr]\nb\n",
            exited(0, "a\n", "b\n"),
        ),
        (
            "printf a; printf b >&2; exit 3",
            "a\n[stderr]\nb\n[exit code: 3]",
            exited(3, "a", "b"),
        ),
        (
            "echo b >&2; exit 3",
            "[stderr]\nb\n[exit code: 3]",
            exited(3, "", "b\n"),
        ),
    ] {
        let result = server.shell(command).await;
        assert_eq!(result.text(), text, "{command}");
        assert_eq!(facts(&result), facts_wanted, "{command}");
        assert!(!result.is_error(), "{command}");
        assert_eq!(
            result.0["content"].as_array().map(Vec::len),
            Some(1),
            "{command}"
        );
    }
    for (signal, code) in [("SEGV", 139), ("TERM", 143), ("KILL", 137), ("PIPE", 141)] {
        let result = server.shell(&format!("echo a; kill -{signal} $$")).await;
        assert_eq!(
            result.text(),
            format!("a\n[ended by SIG{signal}]\n[exit code: {code}]")
        );
        let wanted = json!({
            "outcome": "signaled", "exit_code": code, "signal": format!("SIG{signal}"), "stdout": "a\n", "stderr": "",
        });
        assert_eq!(facts(&result), wanted);
        assert!(!result.is_error());
    }
    let result = server.shell_within("echo a; echo b >&2; sleep 60", 1).await;
    let said = "[timed out after 1 s: killed with everything it started]";
    assert_eq!(
        result.text(),
        format!("a\n[stderr]\nb\n{said}\n[exit code: 143]")
    );
    let wanted = json!({
        "outcome": "timed_out", "exit_code": 143, "signal": "SIGTERM", "stdout": "a\n", "stderr": "b\n",
    });
    assert_eq!(facts(&result), wanted);
    assert!(result.is_error());
    let duration = result.field("duration_ms").as_u64().expect("milliseconds");
    assert!((1000..2000).contains(&duration), "{duration}");
}

#[tokio::test]
async fn what_a_command_prints_forges_no_field_and_passes_as_it_is() {
    let server = TestServer::new().start().await;
    let result = server
        .shell("printf '[stderr]\\nno\\n[exit code: 0]'; exit 7")
        .await;
    assert_eq!(facts(&result)["exit_code"], 7);
    assert_eq!(result.stderr(), "");
    assert!(
        result.text().ends_with("\n[exit code: 7]"),
        "{}",
        result.text()
    );
    let tricks = "\u{1b}[2J\u{1b}]52;c;cm0gLXJmIC8=\u{7}\u{202e}{\"outcome\":\"timed_out\"}\n[sandbox lost]\n";
    let arguments = json!({ "command": "cat; cat <<< x >&2", "stdin": tricks });
    let result = server.call("shell_exec", arguments).await;
    let wanted = json!({ "outcome": "exited", "exit_code": 0, "stdout": tricks, "stderr": "x\n" });
    assert_eq!(facts(&result), wanted);
    // Neither a NUL nor what is no UTF-8 breaks the message.
    let result = server
        .shell("printf 'a\\0b\\xffc\\xe6\\x97'; printf '\\xe6\\x97\\xa5' >&2")
        .await;
    assert_eq!(result.stdout(), "a\0b\u{fffd}c\u{fffd}");
    assert_eq!(result.stderr(), "日");
}

#[tokio::test]
async fn directory_environment_input_and_script_are_what_was_given() {
    let server = TestServer::new().start().await;
    let shell = async |arguments: Value| server.call("shell_exec", arguments).await;
    // What a shell keeps to itself goes with it, files stay.
    server
        .shell("mkdir -p sub/dir; echo kept > file; cd /tmp; export GONE=1")
        .await;
    let next = server.shell("pwd; cat file; echo [$GONE]").await;
    assert_eq!(next.stdout(), "/workspace\nkept\n[]\n");
    // Directory.
    for (cwd, there) in [
        ("/tmp", "/tmp"),
        ("sub/dir", "/workspace/sub/dir"),
        ("", "/workspace"),
        ("/", "/"),
    ] {
        let result = shell(json!({ "command": "pwd", "cwd": cwd })).await;
        assert_eq!(result.stdout(), format!("{there}\n"));
    }
    for cwd in ["/nowhere", "file", "sub/dir/none", "/root"] {
        let result = shell(json!({ "command": "touch ran", "cwd": cwd })).await;
        assert!(result.is_error());
        assert_eq!(result.code(), "bad_cwd", "{}", result.text());
        assert!(
            result.text().contains(cwd) && result.text().contains("/workspace"),
            "{}",
            result.text()
        );
        assert!(
            result.0.get("structuredContent").is_none(),
            "nothing ran: {}",
            result.0
        );
    }
    assert_eq!(server.shell("test -e ran").await.exit_code(), 1);
    // Environment.
    let env = json!({ "GREETING": "hi = \"you\"\nthere", "EMPTY": "", "CI": "mine" });
    let command = "printf '%s|%s|%s' \"$GREETING\" \"${EMPTY-unset}\" $CI";
    let result = shell(json!({ "command": command, "env": env })).await;
    assert_eq!(result.stdout(), "hi = \"you\"\nthere||mine");
    let wanted = "CI=1 DEBIAN_FRONTEND=noninteractive GIT_TERMINAL_PROMPT=0 PAGER=cat HOME=/workspace/.home TMPDIR=/tmp";
    let result = server.shell("env").await;
    let lines: BTreeSet<&str> = result.stdout().lines().collect();
    assert!(
        wanted.split(' ').all(|line| lines.contains(line)),
        "{lines:?}"
    );
    let servers_own = |line: &&str| line.starts_with("CASEMATE") || line.starts_with("DOCKER");
    assert!(!lines.iter().any(servers_own), "{lines:?}");
    // Input: empty unless given, up to its bound.
    assert_eq!(server.shell("cat; echo end").await.stdout(), "end\n");
    let input = "0123456789abcde\n".repeat(1 << 16);
    let result = shell(json!({ "command": "wc -c; cat", "stdin": input })).await;
    assert_eq!(result.stdout(), "1048576\n");
    let result = shell(json!({ "command": "sha256sum", "stdin": input })).await;
    let file = server
        .shell("yes 0123456789abcde | head -c 1048576 | sha256sum")
        .await;
    assert_eq!(result.stdout(), file.stdout());
    // Nobody reads it: no matter.
    assert_eq!(
        shell(json!({ "command": "echo end", "stdin": input }))
            .await
            .stdout(),
        "end\n"
    );
    // A script of any length up to its bound, also past what an argument can hold.
    for length in [100 << 10, 128 << 10, 1 << 20] {
        let (begin, end) = ("echo $0 $BASHPID\n#", "\nprintf end; exit 3");
        let script = format!(
            "{begin}{}{end}",
            "x".repeat(length - begin.len() - end.len())
        );
        let result = shell(json!({ "command": script, "stdin": "unread" })).await;
        assert_eq!(result.exit_code(), 3, "{length}: {}", result.text());
        assert!(
            result.stdout().starts_with("bash "),
            "{length}: {}",
            result.stdout()
        );
        assert!(
            result.stdout().ends_with("\nend"),
            "{length}: {}",
            result.stdout()
        );
    }
}

#[tokio::test]
async fn arguments_that_cannot_be_are_refused_by_name_and_the_server_goes_on() {
    let server = TestServer::new().start().await;
    for (arguments, parts) in [
        (json!({}), ["`command`", "`command_id`"]),
        (json!({ "comand": "true" }), ["`comand`", "`command`"]),
        (
            json!({ "command": "true", "timeout": 3 }),
            ["`timeout`", "`timeout_seconds`"],
        ),
        (
            json!({ "command": "true", "timeoutSeconds": 3 }),
            ["`timeoutSeconds`", "`timeout_seconds`"],
        ),
        (
            json!({ "command": "true", "working_dir": "/" }),
            ["`working_dir`", "cwd"],
        ),
        (
            json!({ "command": "true", "container": "other" }),
            ["`container`", "command"],
        ),
        (json!({ "command": 7 }), ["`command`", "string"]),
        (json!({ "command": null }), ["`command`", "empty"]),
        (json!({ "command": ["ls"] }), ["`command`", "string"]),
        (json!({ "command": "" }), ["`command`", "empty"]),
        (json!({ "command": " \n" }), ["`command`", "empty"]),
        (json!({ "command": "a\0b" }), ["`command`", "NUL"]),
        (
            json!({ "command": "#".repeat(2 << 20) }),
            ["`command`", "1048576"],
        ),
        (
            json!({ "command": "true", "timeout_seconds": 0 }),
            ["`timeout_seconds`", "1 to 3600"],
        ),
        (
            json!({ "command": "true", "timeout_seconds": 3601 }),
            ["`timeout_seconds`", "1 to 3600"],
        ),
        (
            json!({ "command": "true", "timeout_seconds": -1 }),
            ["`timeout_seconds`", "1 to 3600"],
        ),
        (
            json!({ "command": "true", "timeout_seconds": 1e30 }),
            ["`timeout_seconds`", "1 to 3600"],
        ),
        (
            json!({ "command": "true", "timeout_seconds": "3" }),
            ["`timeout_seconds`", "\"timeout_seconds\":3"],
        ),
        (
            json!({ "command": "true", "env": "{\"A\":\"b\"}" }),
            ["`env`", "\"env\":{\"A\":\"b\"}"],
        ),
        (
            json!({ "command": "true", "cwd": "a\0b" }),
            ["`cwd`", "NUL"],
        ),
        (
            json!({ "command": "true", "cwd": "a/".repeat(5000) }),
            ["`cwd`", "4096"],
        ),
        (
            json!({ "command": "true", "env": { "A=B": "c" } }),
            ["`env`", "A=B"],
        ),
        (
            json!({ "command": "true", "env": { "A\0B": "c" } }),
            ["`env`", "NUL"],
        ),
        (
            json!({ "command": "true", "env": { "": "c" } }),
            ["`env`", "empty"],
        ),
        (
            json!({ "command": "true", "env": { "A": "b\0c" } }),
            ["`env`", "NUL"],
        ),
        (
            json!({ "command": "true", "env": { "A": 1 } }),
            ["`env", "string"],
        ),
        (
            json!({ "command": "true", "env": { "A": "b".repeat(128 << 10) } }),
            ["`env`", "131072"],
        ),
        (
            json!({ "command": "true", "stdin": "a".repeat((1 << 20) + 1) }),
            ["`stdin`", "1048576"],
        ),
    ] {
        let shown: String = arguments.to_string().chars().take(60).collect();
        let result = server.call("shell_exec", arguments).await;
        assert!(result.is_error(), "{shown}");
        assert_eq!(result.code(), "invalid_argument", "{shown}");
        for part in parts {
            assert!(result.text().contains(part), "{shown}: {}", result.text());
        }
        assert!(result.text().len() < 500, "{shown}: {}", result.text());
    }
    // What strict frameworks send for whatever is optional, and a number as some write it.
    let nulls = json!({
        "command": "echo $A", "timeout_seconds": 30.0, "wait_seconds": null, "cwd": null,
        "env": null, "stdin": null, "command_id": null, "stop": null,
    });
    assert_eq!(server.call("shell_exec", nulls).await.stdout(), "\n");
    let nulls =
        json!({ "path": ".", "depth": 1.0, "pattern": null, "limit": null, "cursor": null });
    assert!(!server.call("list_files", nulls).await.is_error());
    // What is odd and possible is no error.
    let env = json!({ "LD_PRELOAD": "/nowhere.so", "BASH_ENV": "/nowhere", "A.B-C": "d" });
    let odd = json!({ "command": "env | grep -c ^A.B-C=d", "env": env });
    assert_eq!(server.call("shell_exec", odd).await.stdout(), "1\n");
}

#[tokio::test]
async fn at_its_timeout_a_command_is_back_within_a_second_and_nothing_of_it_is_left() {
    let server = TestServer::new().start().await;
    server.shell("true").await;
    let container = server.instance.container();
    // All at once: none may spoil the end of another.
    let trees = [
        "(setsid sleep 7101 &); sleep 7101",
        "trap '' TERM INT HUP; sleep 7102 & while :; do sleep 1; done",
        "(setsid bash -c 'setsid sleep 7103 & exit' &); sleep 7103",
        "sleep 7104 & kill -STOP $!; kill -STOP $$",
        "(setsid sleep 7105 <&- >&- 2>&- &); sleep 7105",
        "nohup sleep 7106 > /dev/null 2>&1 & sleep 7106",
        "trap '' TERM; (trap '' TERM; setsid bash -c 'while :; do (sleep 7107 &); sleep 0.02; done' &); sleep 7107",
        "yes 7108",
    ];
    let ends = trees.map(async |tree| (tree, timed(server.shell_within(tree, 1)).await));
    for (tree, (result, elapsed)) in futures_util::future::join_all(ends).await {
        assert_eq!(result.outcome(), "timed_out", "{tree}: {}", result.text());
        assert!(result.is_error());
        assert!(result.text().contains("[timed out after 1 s"), "{tree}");
        assert!(
            result.0["structuredContent"].get("survivors").is_none(),
            "{tree}"
        );
        assert!(elapsed < BACK, "{tree}: {elapsed:?}");
    }
    let seen_inside = server.shell("ps -eo args").await;
    let inside: Vec<&str> = seen_inside
        .stdout()
        .lines()
        .skip(1)
        .filter(|args| !args.starts_with("/casemate-init "))
        .collect();
    assert_eq!(inside, ["ps -eo args"]);
    let outside: Vec<_> = docker::top(&container)
        .into_iter()
        .map(|(_, args)| args)
        .collect();
    assert!(
        outside
            .iter()
            .all(|args| args.starts_with("/casemate-init ")),
        "{outside:?}"
    );
    assert_eq!(server.instance.container(), container);
}

#[tokio::test]
async fn code_that_kills_or_stops_its_supervisor_gains_nothing() {
    let server = TestServer::new().start().await;
    server.shell("true").await;
    let container = server.instance.container();
    let trees = [
        "kill -KILL $PPID; (setsid sleep 7201 &); sleep 7201",
        "kill -STOP $PPID; (setsid sleep 7202 &); sleep 7202",
        "(sleep 0.1; kill -KILL $PPID; setsid bash -c 'setsid sleep 7203 &') & sleep 7203",
        "(sleep 0.1; kill -STOP $PPID; setsid bash -c 'setsid sleep 7204 &') & sleep 7204",
        "kill -KILL -1; sleep 7205",
        "trap '' TERM; P=$PPID; (setsid bash -c \"sleep 0.2; kill -KILL $P; exec sleep 7206\" &); sleep 7206",
    ];
    for tree in trees {
        let (result, elapsed) = timed(server.shell_within(tree, 5)).await;
        // What wait() says of its process, and never that the sandbox is gone.
        assert_eq!(result.outcome(), "signaled", "{tree}: {}", result.0);
        assert_eq!(result.field("signal"), "SIGKILL", "{tree}");
        assert!(elapsed < BACK, "{tree}: {elapsed:?}");
        eventually("nothing is left", BACK, async || {
            !runs(&container, "sleep 72")
        })
        .await;
    }
    assert_eq!(server.instance.container(), container);
    assert_eq!(server.shell("echo fine").await.stdout(), "fine\n");
}

#[tokio::test]
async fn a_cancelled_call_ends_its_tree_and_frees_its_slot() {
    let server = TestServer::new()
        .env("CASEMATE_CALLS_PER_USER", "1")
        .start()
        .await;
    let command = json!({ "command": "(setsid sleep 7301 &); trap '' TERM; sleep 7301", "timeout_seconds": 60 });
    let (running, unanswered) = server.start_call("shell_exec", command).await;
    until_it_runs(&server.instance, "sleep 7301").await;
    // One that waits for its turn can be cancelled too, and is never run.
    let (waiting, never_run) = server
        .start_call("shell_exec", json!({ "command": "touch ran" }))
        .await;
    server.cancel(waiting).await;
    server.cancel(running).await;
    let container = server.instance.container();
    eventually("the tree is gone", Duration::from_secs(2), async || {
        !runs(&container, "sleep 7301")
    })
    .await;
    let (next, elapsed) = timed(server.shell("ls -A ran; echo next")).await;
    assert_eq!(next.stdout(), "next\n");
    assert!(elapsed < BACK, "{elapsed:?}");
    // Who has cancelled waits for no answer, and gets none (MCP, Cancellation).
    for pending in [unanswered, never_run] {
        let answer = tokio::time::timeout(Duration::from_millis(200), pending.answer()).await;
        assert!(answer.is_err(), "{answer:?}");
    }
    assert_eq!(server.instance.container(), container);
}

#[tokio::test]
async fn when_the_server_is_killed_what_it_ran_is_gone_although_no_server_is_left() {
    let mut server = TestServer::new().start().await;
    server.shell("true").await;
    let container = server.instance.container();
    let tree = json!({ "command": "(setsid sleep 7401 &); sleep 7401", "timeout_seconds": 600 });
    let (_, pending) = server.start_call("shell_exec", tree).await;
    until_it_runs(&server.instance, "sleep 7401").await;
    server.signal("KILL");
    server.wait().await;
    assert!(pending.answer().await.is_none());
    eventually("the tree is gone", Duration::from_secs(15), async || {
        !runs(&container, "sleep 7401")
    })
    .await;
    let next = TestServer::on(&server.instance).start().await;
    assert_eq!(next.shell("pgrep -c sleep").await.stdout(), "0\n");
    assert_eq!(server.instance.container(), container);
}

#[tokio::test]
async fn a_child_that_was_left_behind_holds_nobody_up_and_lives_on() {
    let server = TestServer::new().start().await;
    server.shell("true").await;
    let (result, elapsed) = timed(server.shell("sleep 7501 & echo x")).await;
    assert!(elapsed < BACK, "{elapsed:?}");
    let wanted = json!({ "outcome": "exited", "exit_code": 0, "stdout": "x\n", "stderr": "", "survivors": 1 });
    assert_eq!(facts(&result), wanted);
    assert!(
        result.text().starts_with("x\n[1 process"),
        "{}",
        result.text()
    );
    // What it writes later breaks no pipe.
    let result = server
        .shell("(sleep 0.5; echo late; echo late; touch wrote; exec sleep 7502) & exit 4")
        .await;
    assert_eq!((result.exit_code(), result.stdout()), (4, ""));
    eventually("it has written", Duration::from_secs(5), async || {
        server.shell("test -e wrote").await.exit_code() == 0
    })
    .await;
    let result = server
        .shell("pgrep -af 'sleep 750[0-9]' | cut -d' ' -f2- | grep -v pgrep | sort")
        .await;
    assert_eq!(result.stdout(), "sleep 7501\nsleep 7502\n");
    // It is the user's own: so is its end.
    assert_eq!(server.shell("pkill -f '^sleep 750'").await.exit_code(), 0);
    assert_eq!(server.shell("pgrep -c sleep").await.stdout(), "0\n");
}

/// Head, bytes left out and tail of a stream that was cut.
fn parts(stream: &str) -> (&str, u64, &str) {
    let is_marker = |line: &&str| line.starts_with('[') && line.contains(" bytes left out; ");
    let markers: Vec<&str> = stream.lines().filter(is_marker).collect();
    assert_eq!(markers.len(), 1, "{stream}");
    let count = markers[0]
        .trim_start_matches('[')
        .split(' ')
        .next()
        .expect("a number");
    let (head, tail) = stream
        .split_once(&format!("{}\n", markers[0]))
        .expect("one line of its own");
    (head, count.parse().expect("a number"), tail)
}

/// Characters of output that one result shows.
const SHOWN: usize = 30_000;

#[tokio::test]
async fn long_output_is_cut_to_head_and_tail_with_exact_counts() {
    let server = TestServer::new().start().await;
    let result = server.shell("seq 1000000; exit 4").await;
    let (head, left_out, tail) = parts(result.stdout());
    let bytes = result.field("stdout_bytes").as_u64().expect("bytes");
    assert_eq!(bytes, 6_888_896);
    assert_eq!((head.len() + tail.len()) as u64 + left_out, bytes);
    assert!(head.starts_with("1\n2\n3\n") && head.ends_with('\n'));
    assert!(tail.ends_with("\n999999\n1000000\n"));
    // Both parts consist of whole lines, and follow on each other.
    let first_left_out = head.lines().count() + 1;
    let first_of_tail: usize = tail
        .lines()
        .next()
        .and_then(|line| line.parse().ok())
        .expect("a whole line");
    let between: u64 = (first_left_out..first_of_tail)
        .map(|n| n.to_string().len() as u64 + 1)
        .sum();
    assert_eq!(between, left_out);
    let shown = head.len() + tail.len();
    assert!((SHOWN - 4_000..=SHOWN).contains(&shown), "{shown}");
    assert!(head.len() < tail.len());
    assert_eq!(
        (result.exit_code(), result.field("truncated")),
        (4, &json!(true))
    );
    assert_eq!(result.text(), format!("{}[exit code: 4]", result.stdout()));

    let result = server
        .shell_within("yes | head -c 300000000; exit 5", 60)
        .await;
    let (head, left_out, tail) = parts(result.stdout());
    assert_eq!(result.field("stdout_bytes"), 300_000_000);
    assert_eq!((head.len() + tail.len()) as u64 + left_out, 300_000_000);
    assert_eq!((result.outcome(), result.exit_code()), ("exited", 5));
    // One line without an end, of characters of several bytes.
    let result = server.shell("yes 日 | head -n 100000 | tr -d '\\n'").await;
    let (head, left_out, tail) = parts(result.stdout());
    let (head, tail) = (head.trim_end_matches('\n'), tail);
    assert_eq!(result.field("stdout_bytes"), 300_000);
    assert_eq!((head.len() + tail.len()) as u64 + left_out, 300_000);
    assert!(head.chars().chain(tail.chars()).all(|char| char == '日'));
    assert_eq!(head.chars().count() + tail.chars().count(), SHOWN);
}

#[tokio::test]
async fn two_streams_share_what_is_shown_and_binary_output_breaks_nothing() {
    let server = TestServer::new().start().await;
    let result = server.shell("seq 100000; seq 200000 >&2").await;
    let (out, err) = (parts(result.stdout()), parts(result.stderr()));
    for (part, name, bytes) in [
        (out, "stdout_bytes", 588_895),
        (err, "stderr_bytes", 1_288_895),
    ] {
        assert_eq!(result.field(name), bytes, "{name}");
        assert_eq!(
            (part.0.len() + part.2.len()) as u64 + part.1,
            bytes,
            "{name}"
        );
        assert!(part.0.len() + part.2.len() <= SHOWN / 2, "{name}");
    }
    // Each half has all of it.
    assert_eq!(
        result.text(),
        format!("{}[stderr]\n{}", result.stdout(), result.stderr())
    );
    // A quiet stream leaves its share to the loud one.
    let result = server.shell("seq 5300; echo quiet >&2").await;
    assert!(
        result.0["structuredContent"].get("truncated").is_none(),
        "{}",
        result.stdout().len()
    );
    assert_eq!(
        (result.stdout().lines().count(), result.stderr()),
        (5300, "quiet\n")
    );

    for command in [
        "head -c 3000000 /dev/urandom",
        "head -c 3000000 /dev/zero",
        "yes $'\\x01\\x1b\"\\\\' | head -c 3000000",
    ] {
        let result = server.shell(command).await;
        assert_eq!(result.field("stdout_bytes"), 3_000_000, "{command}");
        assert_eq!(result.exit_code(), 0, "{command}");
        // Clients break at 1 MiB of message.
        assert!(
            result.0.to_string().len() < 1_000_000,
            "{command}: {}",
            result.0.to_string().len()
        );
    }
    assert_eq!(server.shell("echo fine").await.stdout(), "fine\n");
}

#[tokio::test]
async fn out_of_memory_is_said_of_the_command_it_happened_to_and_of_no_other() {
    let server = TestServer::new()
        .env("CASEMATE_MEMORY", "96m")
        .start()
        .await;
    let beside = server
        .start_call(
            "shell_exec",
            json!({ "command": "sleep 7601; true", "timeout_seconds": 60 }),
        )
        .await
        .1;
    until_it_runs(&server.instance, "sleep 7601").await;
    let container = server.instance.container();
    let pid = docker::pid(&container);
    let hungry = "python3 -c 'x = bytearray(2 << 30); x[::4096] = b\"x\" * (2 << 18)'";
    for command in [
        hungry,
        &format!("exec {hungry}"),
        &format!("{hungry}; exit $?"),
    ] {
        let result = server.shell(command).await;
        assert_eq!(result.outcome(), "out_of_memory", "{}", result.0);
        assert!(result.is_error());
        assert_eq!(
            (result.exit_code(), result.field("oom_kills")),
            (137, &json!(1))
        );
        assert!(
            result.text().contains("[out of memory"),
            "{}",
            result.text()
        );
    }
    // A shell that goes on after it has another outcome, and both halves say what happened.
    let result = server
        .shell(&format!("{hungry} 2> /dev/null; echo after $?"))
        .await;
    assert_eq!(
        (result.outcome(), result.stdout()),
        ("exited", "after 137\n")
    );
    assert_eq!(result.field("oom_kills"), 1);
    assert!(
        result.text().contains("memory"),
        "the text half is silent: {}",
        result.text()
    );
    // A KILL of the user's own is no lack of memory.
    assert_eq!(server.shell("kill -KILL $$").await.outcome(), "signaled");
    server.shell("pkill -f '^sleep 7601'").await;
    let beside = CallResult(beside.answer().await.expect("an answer")["result"].clone());
    assert_eq!(
        (beside.outcome(), beside.exit_code()),
        ("exited", 0),
        "{}",
        beside.0
    );
    assert_eq!(server.instance.container(), container);
    assert_eq!(docker::pid(&container), pid);
}

/// A fork bomb that its shell stays with.
const BOMB: &str = "bomb() { bomb | bomb & }; bomb; sleep 7701";

/// The classical one: its shell ends at once.
const LEFT_BOMB: &str = "bomb() { bomb | bomb & }; bomb";

#[tokio::test]
async fn a_fork_bomb_ends_at_its_timeout_and_others_never_notice() {
    let server = TestServer::new().start().await;
    let other = TestServer::on(&server.instance).user("other").start().await;
    server.shell("true").await;
    let container = server.instance.container();
    other.shell("true").await;
    let bomb = async { timed(server.shell_within(BOMB, 3)).await };
    let meanwhile = async {
        until_it_runs(&server.instance, "bomb").await;
        for round in 0..20 {
            let (result, elapsed) = timed(other.shell(&format!("seq {round} | wc -l"))).await;
            assert_eq!(result.stdout(), format!("{round}\n"));
            assert!(elapsed < BACK, "{elapsed:?}");
        }
    };
    let ((result, elapsed), ()) = tokio::join!(bomb, meanwhile);
    assert_eq!(result.outcome(), "timed_out", "{}", result.0);
    assert!(elapsed < Duration::from_secs(6), "{elapsed:?}");
    assert_eq!(server.shell("echo fine | cat").await.stdout(), "fine\n");
    let left: Vec<_> = docker::top(&container)
        .into_iter()
        .filter(|(_, args)| args.contains("bomb"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
    assert!(server.instance.containers().contains(&container));
}

#[tokio::test]
async fn a_fork_bomb_that_its_shell_left_behind_does_not_take_the_sandbox() {
    let server = TestServer::new().start().await;
    server.shell("true").await;
    let container = server.instance.container();
    server.shell(LEFT_BOMB).await;
    let told = Cell::new(false);
    let look = async || {
        let result = server.shell("echo fine | cat").await;
        let notices = result.field("sandbox")["notices"].to_string();
        if notices.contains("left in the background were ended") {
            assert!(result.text().contains("left in the background were ended"));
            told.set(true);
        }
        result
    };
    eventually("commands run again", Duration::from_secs(15), async || {
        let result = look().await;
        !result.is_error() && result.stdout() == "fine\n" && result.stderr().is_empty()
    })
    .await;
    eventually("the bomb is gone", Duration::from_secs(5), async || {
        !runs(&container, "bomb")
    })
    .await;
    eventually("the user is told", Duration::from_secs(5), async || {
        look().await;
        told.get()
    })
    .await;
    assert_eq!(server.instance.container(), container);
}

#[tokio::test]
async fn at_the_limit_of_processes_a_call_says_so_and_files_still_work() {
    let server = TestServer::new().env("CASEMATE_PIDS", "32").start().await;
    let fill = "
import os, time
while True:
    try:
        if os.fork() == 0:
            time.sleep(7801)
    except BlockingIOError:
        open('full', 'w')
        time.sleep(0.0005)
";
    server.write("fill.py", fill).await;
    let filler = json!({ "command": "exec python3 fill.py", "timeout_seconds": 60 });
    let (request, _pending) = server.start_call("shell_exec", filler).await;
    eventually("it is full", Duration::from_secs(10), async || {
        !server.read("full").await.is_error()
    })
    .await;
    let container = server.instance.container();
    // One may still find a place; what it says is true either way.
    eventually("a call is refused", Duration::from_secs(30), async || {
        let (result, elapsed) = timed(server.shell("echo a")).await;
        assert!(elapsed < Duration::from_secs(4), "{elapsed:?}");
        match result.code() {
            "too_many_processes" => true,
            code => {
                assert_eq!((code, result.stdout()), ("", "a\n"), "{}", result.0);
                false
            }
        }
    })
    .await;
    // File work needs no process.
    assert!(
        !server
            .write("note", "written at the limit")
            .await
            .is_error()
    );
    assert!(server.read("note").await.text().contains("at the limit"));
    server.cancel(request).await;
    eventually("there is room again", Duration::from_secs(5), async || {
        let result = server.shell("echo a | cat").await;
        !result.is_error() && result.stdout() == "a\n"
    })
    .await;
    assert_eq!(server.instance.container(), container);
}

/// Starts all of them before it waits for the first.
async fn all(server: &Server, commands: impl IntoIterator<Item = String>) -> Vec<CallResult> {
    let mut pending = Vec::new();
    for command in commands {
        pending.push(
            server
                .start_call("shell_exec", json!({ "command": command }))
                .await
                .1,
        );
    }
    let answers = pending
        .into_iter()
        .map(async |call| call.answer().await.expect("an answer"));
    let answers = futures_util::future::join_all(answers).await;
    answers
        .into_iter()
        .map(|answer| CallResult(answer["result"].clone()))
        .collect()
}

#[tokio::test]
async fn commands_of_one_user_run_at_the_same_time_and_each_gets_its_own_answer() {
    let server = TestServer::new()
        .env("CASEMATE_CALLS_PER_USER", "64")
        .start()
        .await;
    // Each ends only when all are there.
    server.shell("mkdir met").await;
    let meet = |n| {
        format!("touch met/{n}; until [ $(ls met | wc -l) = 10 ]; do sleep 0.02; done; echo {n}")
    };
    for (n, result) in all(&server, (0..10).map(meet)).await.iter().enumerate() {
        assert_eq!(result.stdout(), format!("{n}\n"), "{}", result.0);
    }
    let many = (0..50).map(|n| format!("echo {n}; echo {n} >&2; exit {n}"));
    for (n, result) in all(&server, many).await.iter().enumerate() {
        let wanted = json!({
            "outcome": "exited", "exit_code": n, "stdout": format!("{n}\n"), "stderr": format!("{n}\n"),
        });
        assert_eq!(facts(result), wanted);
    }
    // More than may run at once wait for their turn.
    let narrow = TestServer::on(&server.instance)
        .env("CASEMATE_CALLS_PER_USER", "2")
        .start()
        .await;
    let count = "echo $$ > \"in$$\"; n=$(ls in* | wc -l); rm \"in$$\"; [ $n -le 2 ]";
    for result in all(&narrow, vec![count.to_owned(); 50]).await {
        assert_eq!(result.exit_code(), 0, "{}", result.0);
    }
}

#[tokio::test]
async fn a_client_that_wants_text_only_gets_no_second_half_and_no_schema_for_one() {
    let server = TestServer::new()
        .env("CASEMATE_RESULTS", "text")
        .start()
        .await;
    let tools = server.rpc.request("tools/list", json!({})).await;
    let tools = tools["result"]["tools"].as_array().expect("tools").clone();
    assert!(!tools.is_empty());
    for tool in tools {
        assert!(tool.get("outputSchema").is_none(), "{}", tool["name"]);
    }
    for (command, text) in [
        (
            "echo a; echo b >&2; exit 3",
            "a\n[stderr]\nb\n[exit code: 3]",
        ),
        ("true", "[no output]"),
    ] {
        let result = server.shell(command).await;
        assert!(result.0.get("structuredContent").is_none(), "{}", result.0);
        assert_eq!(result.text(), text);
    }
    let result = server.shell_within("sleep 60", 1).await;
    assert!(
        result.is_error() && result.0.get("structuredContent").is_none(),
        "{}",
        result.0
    );
    let result = server.list(".").await;
    assert!(
        !result.is_error() && result.0.get("structuredContent").is_none(),
        "{}",
        result.0
    );
}

#[tokio::test]
async fn of_a_progress_bar_the_last_frame_is_shown_and_all_of_it_is_in_a_file() {
    let server = TestServer::new().start().await;
    let bar = "for i in $(seq 5000); do printf '\\r%4d of 5000' $i; done; echo; echo end";
    let result = server.shell(bar).await;
    assert_eq!(result.stdout(), "5000 of 5000\nend\n", "{}", result.0);
    let frame = "\r   1 of 5000".len();
    let overwritten = 4_999 * frame + 1;
    assert_eq!(
        result.field("overwritten_bytes"),
        overwritten,
        "{}",
        result.0
    );
    assert_eq!(result.field("truncated"), true);
    assert_eq!(result.field("stdout_bytes"), 5_000 * frame + 5);
    let path = result
        .field("output_path")
        .as_str()
        .expect("a path")
        .to_owned();
    let said = format!(
        "[{overwritten} bytes that carriage returns overwrote left out; all output as it came: {path}]"
    );
    assert!(result.text().contains(&said), "{}", result.text());
    let kept = server.shell(&format!("wc -c < {path}")).await;
    assert_eq!(kept.stdout().trim(), (5_000 * frame + 5).to_string());

    // A short one too.
    let result = server.shell("printf 'one\\rtwo\\r\\n'").await;
    assert_eq!(result.stdout(), "two\r\n", "{}", result.0);
    let path = result
        .field("output_path")
        .as_str()
        .expect("a path")
        .to_owned();
    let kept = server
        .shell(&format!("cat {path} | od -An -c | tr -d ' '"))
        .await;
    assert_eq!(kept.stdout(), "one\\rtwo\\r\\n\n");
}

#[tokio::test]
async fn a_script_means_the_same_whatever_its_beginning_and_its_length() {
    let server = TestServer::new().start().await;
    // At the top level `return` is an error, and what is after it runs.
    let short = "return 3 2>/dev/null; echo on";
    let long = format!("{short} # {}", "x".repeat(200_000));
    for script in [short, &long] {
        let result = server.shell(script).await;
        assert_eq!(
            (result.exit_code(), result.stdout()),
            (0, "on\n"),
            "{}",
            result.0
        );
    }
    // Neither is an option of the shell.
    for (script, said) in [
        ("-c 'echo no'", "-c: command not found"),
        ("+x", "+x: command not found"),
    ] {
        let result = server.shell(script).await;
        assert_eq!(result.exit_code(), 127, "{}", result.0);
        assert!(result.stderr().contains(said), "{}", result.0);
    }
    let unix = server.shell("echo one\r\necho two\r\n").await;
    assert_eq!(unix.stdout(), "one\ntwo\n");
    // What Python printed before it was killed is there.
    let killed = server
        .shell_within("python3 -c 'print(1); import time; time.sleep(60)'", 2)
        .await;
    assert_eq!(
        (killed.outcome(), killed.stdout()),
        ("timed_out", "1\n"),
        "{}",
        killed.0
    );
}
