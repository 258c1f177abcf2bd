//! Commands that use up memory or processes.

use std::cell::Cell;
use std::time::Duration;

use serde_json::json;

use super::{BACK, runs, timed, until_it_runs};
use crate::harness::{CallResult, TestServer, allowed, docker, eventually};

/// Takes 2 GiB of memory.
const HUNGRY: &str = "python3 -c 'x = bytearray(2 << 30); x[::4096] = b\"x\" * (2 << 18)'";

#[tokio::test]
async fn out_of_memory_is_reported_for_the_command_it_happened_to_only() {
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
    for command in [
        HUNGRY,
        &format!("exec {HUNGRY}"),
        &format!("{HUNGRY}; exit $?"),
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
    // If the shell continues, the outcome differs, and both forms say what happened.
    let result = server
        .shell(&format!("{HUNGRY} 2> /dev/null; echo after $?"))
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
    // A KILL by the user is not reported as lack of memory.
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

/// A fork bomb in the foreground.
const BOMB: &str = "touch begun; bomb() { bomb | bomb & }; bomb; sleep 7701";

/// The classic one, in the background: its shell ends at once.
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
        if docker::on_gvisor() {
            // A look inside would need the bomb's processor.
            let begun = async || !server.read("begun").await.is_error();
            eventually("it has begun", Duration::from_secs(10), begun).await;
        } else {
            until_it_runs(&server.instance, "bomb").await;
        }
        for round in 0..20 {
            let (result, elapsed) = timed(other.shell(&format!("seq {round} | wc -l"))).await;
            assert_eq!(result.stdout(), format!("{round}\n"));
            assert!(elapsed < allowed(BACK), "{elapsed:?}");
        }
    };
    let ((result, elapsed), ()) = tokio::join!(bomb, meanwhile);
    assert_eq!(result.outcome(), "timed_out", "{}", result.0);
    assert!(elapsed < allowed(Duration::from_secs(6)), "{elapsed:?}");
    assert_eq!(server.shell("echo fine | cat").await.stdout(), "fine\n");
    let left: Vec<_> = docker::top(&container)
        .into_iter()
        .filter(|(_, args)| args.contains("bomb"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
    assert!(server.instance.containers().contains(&container));
}

#[tokio::test]
async fn a_fork_bomb_in_the_background_does_not_take_the_sandbox() {
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
    // A call may still find a free process; its answer is true either way.
    eventually("a call is refused", Duration::from_secs(30), async || {
        let (result, elapsed) = timed(server.shell("echo a")).await;
        assert!(elapsed < allowed(Duration::from_secs(4)), "{elapsed:?}");
        match result.code() {
            "too_many_processes" => true,
            code => {
                assert_eq!((code, result.stdout()), ("", "a\n"), "{}", result.0);
                false
            }
        }
    })
    .await;
    // File calls need no process.
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
