//! The end of a command: its timeout, a cancel, a killed server.

use std::time::Duration;

use serde_json::json;

use super::{BACK, facts, runs, timed, until_it_runs};
use crate::harness::{TestServer, allowed, docker, eventually};

#[tokio::test]
async fn a_command_ends_within_a_second_of_its_timeout_and_leaves_nothing() {
    let server = TestServer::new().start().await;
    server.shell("true").await;
    let container = server.instance.container();
    // All at once: no end may disturb another.
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
        assert!(elapsed < allowed(BACK), "{tree}: {elapsed:?}");
    }
    let seen_inside = server.shell("ps -eo args").await;
    let inside: Vec<&str> = seen_inside
        .stdout()
        .lines()
        .skip(1)
        .filter(|args| !args.starts_with("/casemate-init "))
        .collect();
    assert_eq!(inside, ["ps -eo args"]);
    // From where no program of the sandbox can hide anything.
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
    // On gVisor a supervisor is of another user: nothing happens to it, and the command runs on.
    let (seconds, outcome) = match docker::on_gvisor() {
        true => (1, "timed_out"),
        false => (5, "signaled"),
    };
    for tree in trees {
        let (result, elapsed) = timed(server.shell_within(tree, seconds)).await;
        // The status that wait() gave for its process, and never that the sandbox is gone.
        assert_eq!(result.outcome(), outcome, "{tree}: {}", result.0);
        if !docker::on_gvisor() {
            assert_eq!(result.field("signal"), "SIGKILL", "{tree}");
        }
        assert!(elapsed < allowed(BACK), "{tree}: {elapsed:?}");
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
    // A waiting call can be cancelled too, and is never run.
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
    assert!(elapsed < allowed(BACK), "{elapsed:?}");
    // A cancelled request gets no answer (MCP, Cancellation).
    for pending in [unanswered, never_run] {
        let answer = tokio::time::timeout(Duration::from_millis(200), pending.answer()).await;
        assert!(answer.is_err(), "{answer:?}");
    }
    assert_eq!(server.instance.container(), container);
}

#[tokio::test]
async fn the_commands_of_a_killed_server_end_even_if_no_server_is_left() {
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
async fn a_child_in_the_background_delays_no_answer_and_lives_on() {
    let server = TestServer::new().start().await;
    server.shell("true").await;
    let (result, elapsed) = timed(server.shell("sleep 7501 & echo x")).await;
    assert!(elapsed < allowed(BACK), "{elapsed:?}");
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
    // It belongs to the user, who may end it.
    assert_eq!(server.shell("pkill -f '^sleep 750'").await.exit_code(), 0);
    eventually("they have ended", Duration::from_secs(5), async || {
        server.shell("pgrep -c sleep").await.stdout() == "0\n"
    })
    .await;
}

/// Each process starts its successor and ends at once, until there is a file `stop`.
const SUCCESSION: &str = r#"
#include <unistd.h>
int main(void) {
    while (access("stop", F_OK))
        if (fork() > 0)
            _exit(0);
}
"#;

/// A look at all processes, one after the other, may meet none of them alive.
#[tokio::test]
async fn processes_that_replace_one_another_faster_than_they_are_counted_are_told_of() {
    let server = TestServer::new().start().await;
    server.write("succession.c", SUCCESSION).await;
    let built = server.shell("cc -O2 -o succession succession.c").await;
    assert_eq!(built.exit_code(), 0, "{}", built.0);
    for attempt in 0..20 {
        let result = server
            .shell("rm -f stop; ./succession > /dev/null 2>&1 & sleep 0.1")
            .await;
        assert_eq!(result.exit_code(), 0, "{}", result.0);
        let survivors = result.field("survivors").as_u64().unwrap_or(0);
        assert!(survivors > 0, "attempt {attempt}: {}", result.0);
        server.write("stop", "").await;
    }
}
