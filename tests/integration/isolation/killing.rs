//! `kill(-1)`, and commands that attack their supervisor.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{pid_1_lives, processes};
use crate::harness::{CallResult, TestServer, allowed, docker, eventually};

#[tokio::test]
async fn killing_everything_ends_the_users_own_commands_and_says_so() {
    let server = TestServer::new().start().await;
    server.shell("true").await;
    let container = server.instance.container();
    let (_, other) = server
        .start_call("shell_exec", json!({ "command": "sleep 1000" }))
        .await;
    eventually(
        "the other command runs",
        Duration::from_secs(10),
        async || processes(&server).await == ["sleep 1000"],
    )
    .await;
    // kill(2) with -1 spares the caller: the shell itself, then a program that the shell waits for.
    let spared = server.shell("kill -KILL -1; echo spared").await;
    if spared.outcome() == "exited" {
        assert_eq!((spared.stdout(), spared.exit_code()), ("spared\n", 0));
    } else {
        assert_eq!(
            (spared.outcome(), spared.exit_code()),
            ("signaled", 137),
            "{}",
            spared.0
        );
    }
    let other = CallResult(other.answer().await.expect("an answer")["result"].clone());
    assert_eq!(
        (other.outcome(), other.exit_code()),
        ("signaled", 137),
        "{}",
        other.0
    );
    assert_eq!(other.field("signal"), "SIGKILL");
    pid_1_lives(&server, &container).await;

    let hit = server.shell("/bin/kill -KILL -1; echo not reached").await;
    assert_eq!(
        (hit.outcome(), hit.exit_code(), hit.stdout()),
        ("signaled", 137, ""),
        "{}",
        hit.0
    );
    pid_1_lives(&server, &container).await;
    assert_eq!(processes(&server).await, [""; 0]);
}

#[tokio::test]
async fn a_command_that_kills_or_stops_its_supervisor_ends_and_leaves_nothing() {
    const TIMEOUT: u32 = 2;
    let server = TestServer::new().start().await;
    server.shell("true").await;
    let container = server.instance.container();
    for signal in ["KILL", "STOP"] {
        for command in [
            format!("kill -{signal} $PPID; sleep 1000"),
            format!("setsid sleep 1000 & kill -{signal} $PPID; exec sleep 1000"),
            format!(
                "(setsid setsid sleep 1000 > /dev/null 2>&1 &); kill -{signal} $PPID; exec sleep 1000"
            ),
            format!(
                "trap '' TERM HUP INT; while :; do kill -{signal} $PPID; kill -CONT $PPID; done"
            ),
        ] {
            let start = Instant::now();
            let result = server.shell_within(&command, TIMEOUT).await;
            assert!(
                start.elapsed() < allowed(Duration::from_secs((TIMEOUT + 2).into())),
                "{command}"
            );
            // PID 1 ends a command that lost its supervisor, and reports the status of wait(). On
            // gVisor the supervisor is another user's, so that the command ends at its timeout.
            let outcome = match docker::on_gvisor() {
                true => "timed_out",
                false => "signaled",
            };
            assert_eq!(result.outcome(), outcome, "{command}: {}", result.0);
            if outcome == "signaled" {
                assert_eq!(result.exit_code(), 137, "{command}: {}", result.0);
            }
            assert_eq!(processes(&server).await, [""; 0], "{command}");
        }
    }
    pid_1_lives(&server, &container).await;
}
