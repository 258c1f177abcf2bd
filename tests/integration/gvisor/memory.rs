//! A sandbox on gVisor that runs out of memory. At its limit it ends whole, so PID 1 ends the largest
//! process before that; what it cannot see or is too fast for it ends the sandbox.

use serde_json::json;

use super::on_gvisor;
use crate::harness::{CallResult, TestServer};

/// Takes a MiB at a time, as a program does that leaks.
const STEPS: &str = "python3 -c 'import time\nkept = []\nwhile True:\n kept.append(b\"x\" * (1 << 20))\n time.sleep(0.005)'";

/// Fills sockets: that is memory of gVisor's kernel, which it does not show inside.
const UNSEEN: &str = r#"
import socket
kept = []
while True:
    kept.append(socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM))
    try:
        while True:
            kept[-1][0].send(bytes(90000), socket.MSG_DONTWAIT)
    except BlockingIOError:
        pass
"#;

#[tokio::test]
async fn a_program_that_takes_more_and_more_memory_is_ended_alone_and_said_to_be() {
    let server = TestServer::new().env("CASEMATE_MEMORY", "256m");
    let Some(server) = on_gvisor(server).await else {
        return;
    };
    let container = server.instance.container();
    let beside = "until [ -e ended ]; do sleep 0.1; done; echo lives";
    let beside = json!({ "command": beside, "timeout_seconds": 120 });
    let beside = server.start_call("shell_exec", beside).await.1;
    for command in [STEPS, &format!("{STEPS}; exit $?")] {
        let result = server.shell(command).await;
        assert_eq!(result.outcome(), "out_of_memory", "{}", result.0);
        let said = (result.exit_code(), result.field("oom_kills"));
        assert_eq!(said, (137, &json!(1)), "{}", result.0);
        assert!(result.text().contains("[out of memory"), "{}", result.0);
    }
    // If the shell goes on, the outcome is its own, and says what happened.
    let result = server.shell(&format!("{STEPS} 2>&1; echo after $?")).await;
    let said = (result.outcome(), result.field("oom_kills"));
    assert_eq!(said, ("exited", &json!(1)), "{}", result.0);
    assert!(result.stdout().ends_with("after 137\n"), "{}", result.0);
    // A KILL by the user is none for memory.
    assert_eq!(server.shell("kill -KILL $$").await.outcome(), "signaled");

    assert_eq!(server.shell("touch ended").await.exit_code(), 0);
    let beside = beside.answer().await.expect("an answer");
    let beside = CallResult(beside["result"].clone());
    assert_eq!(beside.stdout(), "lives\n", "{}", beside.0);
    assert_eq!(server.instance.container(), container);
}

/// Asserts that the sandbox was lost for memory, with nothing of its files.
async fn is_lost_with_whole_files(command: serde_json::Value) {
    let server = TestServer::new().env("CASEMATE_MEMORY", "128m");
    let Some(server) = on_gvisor(server).await else {
        return;
    };
    let container = server.instance.container();
    assert_eq!(server.write("kept", "whole").await.code(), "");
    let result = server.call("shell_exec", command).await;
    assert_eq!(result.outcome(), "sandbox_lost", "{}", result.0);
    assert!(result.text().contains("for memory"), "{}", result.0);
    let next = server.shell("cat kept runs").await;
    assert_eq!(next.stdout(), "wholebegan\n", "{}", next.0);
    assert_ne!(server.instance.container(), container);
}

#[tokio::test]
async fn memory_that_pid_1_cannot_see_ends_the_sandbox_its_files_are_whole_and_the_next_call_works()
{
    let command = "echo began >>runs; exec python3 -";
    is_lost_with_whole_files(json!({ "command": command, "stdin": UNSEEN })).await;
}

/// One call takes it all, and no signal ends it before it has: reading zeros fills the buffer.
#[tokio::test]
async fn memory_that_is_taken_at_once_ends_the_sandbox_its_files_are_whole_and_the_next_call_works()
{
    let command = "echo began >>runs; dd if=/dev/zero of=/dev/null bs=2G count=1";
    is_lost_with_whole_files(json!({ "command": command })).await;
}
