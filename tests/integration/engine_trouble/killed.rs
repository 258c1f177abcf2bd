//! The Engine, or the connection to it, breaks and returns.

use std::time::Duration;

use serde_json::json;

use super::{LATE, answered, count, on, restarted, says_to_retry, tagged, until_tagged};
use crate::harness::{CallResult, Engine, Proxy, Server, TestServer, eventually};

/// How long dockerd may take to work with a new containerd.
const MENDED: Duration = Duration::from_secs(40);

/// Kills the Engine under a command and starts it again, to end the containers that it
/// finds or to `live_restore` them; the command's answer, and the container it ran in.
async fn through_a_kill(
    engine: &Engine,
    server: &Server,
    live_restore: bool,
) -> (CallResult, String) {
    server.shell("touch count").await;
    let container = engine.container();
    let deadline = Duration::from_secs(60);
    let running = tagged(server, "under", "sleep 8; echo end", (60, 60), deadline);
    let kill = async {
        until_tagged(server, &["under"]).await;
        engine.kill().await;
        for (tool, arguments) in [
            ("shell_exec", json!({ "command": "echo never >> count" })),
            ("list_files", json!({})),
        ] {
            let result = answered(server, tool, arguments, LATE).await;
            assert_eq!(result.code(), "engine_unavailable", "{}", result.0);
            says_to_retry(&result);
        }
        engine.run(live_restore);
        engine.up().await;
    };
    let (result, ()) = tokio::join!(running, kill);
    assert_eq!(count(server).await, ["under"]);
    (result, container)
}

#[tokio::test]
async fn an_engine_that_is_killed_takes_its_containers_along_and_that_is_said() {
    let engine = Engine::start().await;
    let server = on(&engine).start().await;
    let (result, container) = through_a_kill(&engine, &server, false).await;
    assert_eq!(result.outcome(), "sandbox_lost", "{}", result.0);
    assert!(restarted(&result).is_some(), "{}", result.0);
    assert_ne!(engine.container(), container);
    assert_eq!(restarted(&server.shell("true").await), None);
}

/// Even with `--live-restore` an Engine before 23 removes containers with auto-remove
/// (moby, `daemon.restore`).
#[tokio::test]
async fn with_live_restore_a_command_ends_or_its_loss_is_reported() {
    let engine = Engine::start().await;
    let server = on(&engine).start().await;
    let (result, container) = through_a_kill(&engine, &server, true).await;
    if engine.container() == container {
        assert_eq!(result.outcome(), "exited", "{}", result.0);
        assert_eq!((result.stdout(), restarted(&result)), ("end\n", None));
    } else {
        assert_eq!(result.outcome(), "sandbox_lost", "{}", result.0);
        assert!(restarted(&result).is_some(), "{}", result.0);
    }
}

#[tokio::test]
async fn broken_connections_to_the_engine_lose_nothing_and_the_next_end_is_seen() {
    let engine = Engine::start().await;
    let proxy = Proxy::to(&engine);
    let server = TestServer::new().env("DOCKER_HOST", &proxy.uri());
    let server = server.start().await;
    server.shell("touch count").await;
    let container = engine.container();
    let deadline = Duration::from_secs(60);
    let running = tagged(&server, "torn", "sleep 4; echo end", (60, 60), deadline);
    let cut = async {
        until_tagged(&server, &["torn"]).await;
        proxy.cut();
    };
    let (result, ()) = tokio::join!(running, cut);
    assert_eq!(result.outcome(), "exited", "{}", result.0);
    assert_eq!((result.stdout(), restarted(&result)), ("end\n", None));
    assert_eq!(count(&server).await, ["torn"]);
    assert_eq!(engine.container(), container);
    // The end of the container is still known, which only a wait for it can show.
    let pid = engine.docker(&["inspect", "--format", "{{.State.Pid}}", &container]);
    engine.host(&format!("kill -KILL {pid}"));
    let result = server.shell("true").await;
    assert_eq!(
        restarted(&result),
        Some("the sandbox was killed from outside or for memory")
    );
}

#[tokio::test]
async fn an_engine_that_is_restarted_ends_its_containers_and_that_is_said() {
    let engine = Engine::start().await;
    let server = on(&engine).start().await;
    server.shell("touch count").await;
    let deadline = Duration::from_secs(60);
    let running = tagged(&server, "before", "sleep 600", (60, 60), deadline);
    let restart = async {
        until_tagged(&server, &["before"]).await;
        engine.end().await;
        engine.run(false);
        engine.up().await;
    };
    let (result, ()) = tokio::join!(running, restart);
    assert_eq!(result.outcome(), "sandbox_lost", "{}", result.0);
    assert!(restarted(&result).is_some(), "{}", result.0);
    assert_eq!(count(&server).await, ["before"]);
}

#[tokio::test]
async fn a_killed_containerd_stops_neither_a_sandbox_nor_the_next_one() {
    let engine = Engine::start().await;
    let server = on(&engine).start().await;
    server.shell("touch count").await;
    let container = engine.container();
    let deadline = Duration::from_secs(60);
    let running = tagged(&server, "on", "sleep 3; echo end", (60, 60), deadline);
    let kill = async {
        until_tagged(&server, &["on"]).await;
        engine.kill_containerd().await;
        assert_eq!(server.shell("echo between").await.stdout(), "between\n");
    };
    let (result, ()) = tokio::join!(running, kill);
    assert_eq!(result.outcome(), "exited", "{}", result.0);
    assert_eq!((result.stdout(), restarted(&result)), ("end\n", None));
    assert_eq!(engine.container(), container);
    // dockerd has to find the new containerd, which takes seconds; until then a call
    // says that it was refused.
    let other = on(&engine).user("other").env("CASEMATE_LOG", "error");
    let other = other.start().await;
    eventually("another sandbox", MENDED, async || {
        let result = other.shell("echo new").await;
        let text = result.text().to_lowercase();
        assert!(!result.is_error() || text.contains("retry"), "{text}");
        !result.is_error() && result.stdout() == "new\n"
    })
    .await;
    assert_eq!(count(&server).await, ["on"]);
}
