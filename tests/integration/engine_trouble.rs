//! The Engine stopped, killed, absent, and robbed of images and containers: every
//! call is answered in its time and says what to do, what ran is found again or said
//! to be lost, nothing runs twice, and the server goes on by itself.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::harness::{CallResult, Engine, Proxy, Server, TestServer, eventually};

/// How long the Engine is stopped.
const STOPPED: Duration = Duration::from_secs(60);

/// How long after its deadline a call may be answered.
const LATE: Duration = Duration::from_secs(5);

/// A call's deadline where the sandbox is not there yet, or is looked for again.
const LEASE: Duration = Duration::from_secs(45);

/// A file call's deadline.
const FILE: Duration = Duration::from_secs(30);

/// How long something may take that happens by itself.
const SOON: Duration = Duration::from_secs(10);

fn on(engine: &Engine) -> TestServer {
    TestServer::new().env("DOCKER_HOST", &engine.uri())
}

/// A call's answer, which must come by its deadline.
async fn answered(server: &Server, tool: &str, arguments: Value, deadline: Duration) -> CallResult {
    let start = Instant::now();
    let result = server.call(tool, arguments.clone()).await;
    let after = start.elapsed();
    assert!(
        after < deadline + LATE,
        "{tool} {arguments} after {after:?}: {}",
        result.0
    );
    result
}

/// A command that leaves its tag in a file, for the count of its runs.
async fn tagged(
    server: &Server,
    tag: &str,
    then: &str,
    (timeout, wait): (u64, u64),
    deadline: Duration,
) -> CallResult {
    let arguments = json!({
        "command": format!("echo {tag} >> count; {then}"),
        "timeout_seconds": timeout,
        "wait_seconds": wait,
    });
    answered(server, "shell_exec", arguments, deadline).await
}

/// Stays until all these tags are in the file.
async fn until_tagged(server: &Server, tags: &[&str]) {
    eventually("the commands run", SOON, async || {
        let count = server.shell("cat count").await;
        tags.iter().all(|tag| count.stdout().contains(tag))
    })
    .await;
}

/// The file of tags, in which none may be twice.
async fn count(server: &Server) -> Vec<String> {
    let result = server.shell("sort count").await;
    assert_eq!(result.outcome(), "exited", "{}", result.0);
    let mut tags: Vec<String> = result.stdout().lines().map(str::to_owned).collect();
    let ran = tags.len();
    tags.dedup();
    assert_eq!(tags.len(), ran, "a command ran twice: {}", result.stdout());
    tags
}

fn restarted(result: &CallResult) -> Option<&str> {
    result.field("sandbox")["restarted"]["reason"].as_str()
}

/// An error that says that the Engine or the sandbox is away, and what to do.
fn says_to_retry(result: &CallResult) {
    assert!(result.is_error(), "{}", result.0);
    assert!(
        ["engine_unavailable", "sandbox_unavailable"].contains(&result.code()),
        "{}",
        result.0
    );
    let text = result.text().to_lowercase();
    assert!(text.contains("retry"), "{text}");
}

/// Commands that run when the Engine stops; each is fetched afterwards, or said to be
/// lost at its own deadline, never later.
async fn commands_through_a_stop(server: &Server) {
    let seconds = Duration::from_secs;
    let ends_meanwhile = async {
        let result = tagged(server, "short", "sleep 20; echo end", (80, 80), seconds(80)).await;
        assert_eq!(result.outcome(), "exited", "{}", result.0);
        assert_eq!(result.stdout(), "end\n");
    };
    let ends_afterwards = async {
        let result = tagged(server, "long", "sleep 65; echo end", (80, 80), seconds(80)).await;
        assert_eq!(result.outcome(), "exited", "{}", result.0);
        assert_eq!(result.stdout(), "end\n");
    };
    let is_over_meanwhile = async {
        let result = tagged(server, "over", "sleep 600", (20, 50), seconds(20)).await;
        assert_eq!(result.outcome(), "sandbox_lost", "{}", result.0);
        assert!(result.text().contains("not run again"), "{}", result.0);
    };
    let is_gone_on_with = async {
        let result = tagged(
            server,
            "patient",
            "sleep 65; echo end",
            (600, 10),
            seconds(10),
        )
        .await;
        assert_eq!(result.outcome(), "running", "{}", result.0);
        let detail = result.field("detail").as_str().expect("why");
        assert!(detail.contains("not answer"), "{detail}");
        assert!(result.text().contains(detail), "{}", result.text());
        let id = result.field("command_id").as_str().expect("an id");
        let resume = json!({ "command_id": id, "wait_seconds": 5 });
        // Still nothing, and nothing lost.
        let result = answered(server, "shell_exec", resume, LEASE + seconds(5)).await;
        if result.code().is_empty() {
            assert_eq!(result.outcome(), "running", "{}", result.0);
        } else {
            says_to_retry(&result);
        }
        id.to_owned()
    };
    let (.., id) = tokio::join!(
        ends_meanwhile,
        ends_afterwards,
        is_over_meanwhile,
        is_gone_on_with
    );
    let result = server.call("shell_exec", json!({ "command_id": id })).await;
    assert_eq!(result.outcome(), "exited", "{}", result.0);
    assert_eq!(result.stdout(), "end\n");
}

/// Calls that come while the Engine is stopped.
async fn calls_into_a_stop(server: &Server, cold: &Server) {
    let start = Instant::now();
    let tools = cold.rpc.request("tools/list", json!({})).await;
    assert!(tools["result"]["tools"].is_array());
    assert!(start.elapsed() < Duration::from_secs(2));
    let files = [
        ("read_file", json!({ "path": "count" })),
        ("write_file", json!({ "path": "file", "content": "new" })),
        ("list_files", json!({})),
    ];
    let files = join_all(files.map(async |(tool, arguments)| {
        says_to_retry(&answered(server, tool, arguments, FILE).await);
    }));
    let command = async {
        let result = tagged(server, "into", "true", (10, 50), Duration::from_secs(10)).await;
        assert_eq!(result.outcome(), "sandbox_lost", "{}", result.0);
        // By now the server knows that its channel is dead.
        says_to_retry(&answered(server, "list_files", json!({}), FILE).await);
    };
    let first = async {
        says_to_retry(&tagged(cold, "cold", "true", (30, 50), LEASE).await);
    };
    tokio::join!(files, command, first);
}

#[tokio::test]
async fn with_the_engine_stopped_for_a_minute_calls_are_answered_in_time_and_commands_found_again()
{
    let engine = Engine::start().await;
    let server = on(&engine).start().await;
    server.shell("touch count").await;
    let container = engine.container();
    let stop = async {
        until_tagged(&server, &["short", "long", "over", "patient"]).await;
        engine.freeze();
        let start = Instant::now();
        let cold = on(&engine).user("cold").start().await;
        calls_into_a_stop(&server, &cold).await;
        tokio::time::sleep(STOPPED.saturating_sub(start.elapsed())).await;
        engine.thaw();
        cold
    };
    let ((), cold) = tokio::join!(commands_through_a_stop(&server), stop);
    let ran = count(&server).await;
    for tag in ["short", "long", "over", "patient"] {
        assert!(ran.iter().any(|ran| ran == tag), "{tag}: {ran:?}");
    }
    let result = server.shell("true").await;
    assert_eq!((result.outcome(), restarted(&result)), ("exited", None));
    assert_eq!(cold.shell("echo warm").await.stdout(), "warm\n");
    let containers = engine.docker(&["ps", "--quiet", "--no-trunc"]);
    assert!(
        containers.contains(&container),
        "it is the same: {containers}"
    );
    eventually("one bridge is left", SOON, async || {
        let processes = engine.docker(&["top", &container, "-eo", "pid,args"]);
        processes.matches("casemate-init bridge").count() == 1
    })
    .await;
}

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

/// Also with `--live-restore` an Engine before 23 removes containers that are to be
/// removed at their end (moby, `daemon.restore`).
#[tokio::test]
async fn an_engine_that_lets_containers_live_through_its_end_takes_no_result_along() {
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
async fn when_all_connections_to_the_engine_break_nothing_is_lost_and_the_next_end_is_noticed() {
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
    // How the container ends is known as before, which only a wait can tell.
    let pid = engine.docker(&["inspect", "--format", "{{.State.Pid}}", &container]);
    engine.host(&format!("kill -KILL {pid}"));
    let result = server.shell("true").await;
    assert_eq!(
        restarted(&result),
        Some("the sandbox was killed from outside or for memory")
    );
}

#[tokio::test]
async fn a_server_that_starts_before_its_engine_works_when_that_comes_up() {
    let engine = Engine::down();
    let start = Instant::now();
    let server = on(&engine).start().await;
    let tools = server.rpc.request("tools/list", json!({})).await;
    assert!(tools["result"]["tools"].is_array());
    assert!(start.elapsed() < Duration::from_secs(2));
    for (tool, arguments) in [
        ("shell_exec", json!({ "command": "true" })),
        ("read_file", json!({ "path": "file" })),
    ] {
        let result = answered(&server, tool, arguments, LATE).await;
        assert_eq!(result.code(), "engine_unavailable", "{}", result.0);
        says_to_retry(&result);
    }
    engine.run(false);
    engine.up().await;
    let result = server.shell("true").await;
    assert_eq!(result.code(), "image_missing", "{}", result.0);
    engine.import();
    let result = server.shell("echo up").await;
    assert_eq!((result.stdout(), restarted(&result)), ("up\n", None));
}

#[tokio::test]
async fn without_its_images_a_sandbox_runs_on_and_the_next_one_says_what_is_missing() {
    let engine = Engine::start().await;
    let server = on(&engine).start().await;
    server.shell("touch count").await;
    let deadline = Duration::from_secs(60);
    let running = tagged(&server, "on", "sleep 2; echo end", (60, 60), deadline);
    let remove = async {
        until_tagged(&server, &["on"]).await;
        let images = engine.docker(&["images", "--format", "{{.Repository}}:{{.Tag}}"]);
        let images: Vec<&str> = images.lines().collect();
        assert_eq!(images.len(), 2, "the image and what was prepared from it");
        // The Engine keeps what the container needs, without a name.
        for image in images {
            engine.docker(&["rmi", "--force", image]);
        }
    };
    let (result, ()) = tokio::join!(running, remove);
    assert_eq!((result.outcome(), result.stdout()), ("exited", "end\n"));
    assert_eq!(engine.docker(&["images", "--quiet", "casemate-tools"]), "");
    assert_eq!(count(&server).await, ["on"]);

    engine.docker(&["rm", "--force", &engine.container()]);
    for _ in 0..2 {
        let result = server.shell("echo never >> count").await;
        assert_eq!(result.code(), "image_missing", "{}", result.0);
    }
    engine.import();
    let result = server.shell("cat count").await;
    assert_eq!(result.stdout(), "on\n", "{}", result.0);
    assert!(restarted(&result).is_some(), "{}", result.0);
}
