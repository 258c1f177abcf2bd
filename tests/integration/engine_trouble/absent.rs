//! No Engine yet, or one without its images.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{LATE, answered, count, on, restarted, says_to_retry, tagged, until_tagged};
use crate::harness::Engine;

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
    let line = "make it with `casemate tools-image | docker build --tag casemate-tools:latest -`";
    assert!(result.text().contains(line), "{}", result.text());
    engine.import();
    let result = server.shell("echo up").await;
    assert_eq!((result.stdout(), restarted(&result)), ("up\n", None));
}

#[tokio::test]
async fn without_its_images_a_sandbox_runs_on_and_the_next_call_names_them() {
    let engine = Engine::start().await;
    let server = on(&engine).start().await;
    server.shell("touch count").await;
    let deadline = Duration::from_secs(60);
    let running = tagged(&server, "on", "sleep 2; echo end", (60, 60), deadline);
    let remove = async {
        until_tagged(&server, &["on"]).await;
        let images = engine.docker(&["images", "--format", "{{.Repository}}:{{.Tag}}"]);
        let images: Vec<&str> = images.lines().collect();
        assert_eq!(
            images.len(),
            3,
            "the image, its prepared image, and the image of volume owners"
        );
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
