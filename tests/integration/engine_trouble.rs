//! The Engine stopped, killed, absent, or without its images and containers: every
//! call is answered in time and says what to do, running commands are found again or reported
//! as lost, nothing runs twice, and the server recovers by itself.

mod absent;
mod killed;
mod stopped;

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{CallResult, Engine, Server, TestServer, eventually};

/// How long after its deadline a call may be answered.
const LATE: Duration = Duration::from_secs(5);

/// Deadline for something that happens without a call.
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

/// Waits until all these tags are in the file.
async fn until_tagged(server: &Server, tags: &[&str]) {
    eventually("the commands run", SOON, async || {
        let count = server.shell("cat count").await;
        tags.iter().all(|tag| count.stdout().contains(tag))
    })
    .await;
}

/// The tags in the file, of which none may be there twice.
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

/// Asserts an error that says that the Engine or the sandbox is away, and what to do.
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
