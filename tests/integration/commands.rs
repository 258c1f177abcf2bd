//! `shell_exec`: its answers, its limits, and attacks that it withstands.

mod arguments;
mod concurrent;
mod ends;
mod exhaustion;
mod inputs;
mod output;
mod results;

use std::future::Future;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::{CallResult, Instance, docker, eventually};

/// A command with a timeout of 1 s is answered within this time, even if it resists.
const BACK: Duration = Duration::from_secs(2);

async fn timed<T>(future: impl Future<Output = T>) -> (T, Duration) {
    let start = Instant::now();
    (future.await, start.elapsed())
}

/// The structured form without fields that differ between runs.
fn facts(result: &CallResult) -> Value {
    let mut facts = result.0["structuredContent"].clone();
    let fields = facts
        .as_object_mut()
        .unwrap_or_else(|| panic!("no fields: {}", result.0));
    assert!(
        fields.remove("duration_ms").is_some_and(|ms| ms.is_u64()),
        "{}",
        result.0
    );
    facts
}

/// Whether the container has a process whose command line contains `part`.
fn runs(container: &str, part: &str) -> bool {
    docker::top(container)
        .iter()
        .any(|(_, args)| args.contains(part))
}

/// Waits until a command that was started in the background runs.
async fn until_it_runs(instance: &Instance, part: &str) {
    eventually(
        &format!("{part} runs"),
        Duration::from_secs(10),
        async || {
            let containers = instance.containers();
            containers.iter().any(|container| runs(container, part))
        },
    )
    .await;
}
