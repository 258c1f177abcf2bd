//! Attacks on memory that the kernel charges to no sandbox (docs/seccomp.md). Every attack is
//! bounded, so that it does no harm where it succeeds.

mod limits;
mod memory;
mod pools;
mod profiles;
mod programs;
mod quota;
mod uncharged;

use serde_json::{Value, json};

use crate::harness::{CallResult, Server};

/// The beginning of every attack.
const PRELUDE: &str = include_str!("walls/prelude.py");

async fn run(server: &Server, script: &str) -> CallResult {
    let script = format!("{PRELUDE}\n{script}");
    server
        .call(
            "shell_exec",
            json!({ "command": "python3 -", "stdin": script, "timeout_seconds": 40 }),
        )
        .await
}

/// Runs an attack that prints JSON.
async fn attack(server: &Server, script: &str) -> Value {
    let result = run(server, script).await;
    let answer = serde_json::from_str(result.stdout());
    answer.unwrap_or_else(|error| panic!("{error}: {}", result.0))
}

/// A number from the host's /proc/sys or /proc/meminfo, in the file's unit.
fn host(name: &str) -> i64 {
    let (path, line) = match name.strip_prefix("meminfo ") {
        Some(line) => ("/proc/meminfo".to_owned(), Some(line)),
        None => (format!("/proc/sys/{name}"), None),
    };
    let text = std::fs::read_to_string(&path).expect(&path);
    let found = match line {
        Some(line) => text.lines().find_map(|it| it.strip_prefix(line)),
        None => Some(text.as_str()),
    };
    let number = found.and_then(|it| it.trim_start_matches(':').split_whitespace().next());
    number.and_then(|it| it.parse().ok()).expect(name)
}
