//! The Engine stopped: it keeps its connections and answers nothing.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::json;

use super::{SOON, answered, count, on, restarted, says_to_retry, tagged, until_tagged};
use crate::harness::{Engine, Server, eventually};

/// A file call's deadline.
const FILE: Duration = Duration::from_secs(30);

/// A call's deadline when the sandbox does not exist yet, or has to be found again.
const LEASE: Duration = Duration::from_secs(45);

/// How long the Engine is stopped.
const STOPPED: Duration = Duration::from_secs(60);

/// Commands that run when the Engine stops; each result is fetched afterwards, or reported as
/// lost at the command's deadline, never later.
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
    assert!(start.elapsed() < Duration::from_secs(4));
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
async fn an_engine_stopped_for_a_minute_costs_no_command_and_delays_no_answer() {
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
