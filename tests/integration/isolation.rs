//! What code in a sandbox can see and do. User code asks the kernel from inside.

mod channel;
mod init;
mod killing;
mod limits;
mod network;
mod pid_1;
mod privileges;
mod seccomp;
mod visible;
mod writable;

use serde_json::{Value, json};

use crate::harness::{CallResult, Server};

/// Runs a Python script that prints JSON.
async fn python(server: &Server, script: &str) -> Value {
    let result = with_stdin(server, "python3 -", script).await;
    let answer = serde_json::from_str(result.stdout());
    answer.unwrap_or_else(|error| panic!("{error}: {}", result.0))
}

async fn with_stdin(server: &Server, command: &str, stdin: &str) -> CallResult {
    server
        .call("shell_exec", json!({ "command": command, "stdin": stdin }))
        .await
}

/// The output of a command. Panics if it fails.
async fn output(server: &Server, command: &str) -> String {
    let result = server.shell(command).await;
    assert_eq!(result.exit_code(), 0, "{command}: {}", result.0);
    result.stdout().trim_end().to_owned()
}

/// Processes inside, except Casemate's own and this `ps`.
async fn processes(server: &Server) -> Vec<String> {
    let listed = output(server, "exec ps -eo args=").await;
    let ours = |line: &&str| line.starts_with("/casemate-init ") || *line == "ps -eo args=";
    listed
        .lines()
        .map(str::trim_end)
        .filter(|line| !ours(line))
        .map(str::to_owned)
        .collect()
}

/// Asserts that PID 1 is the same as before and answers.
async fn pid_1_lives(server: &Server, container: &str) {
    let result = server.shell("grep State /proc/1/status").await;
    let state = result.stdout().strip_prefix("State:\t");
    // Running or asleep; not stopped, traced or dead (proc(5)).
    let alive = state.is_some_and(|state| state.starts_with(['R', 'S', 'D']));
    assert!(alive, "{}", result.0);
    assert!(result.field("sandbox").is_null(), "{}", result.0);
    assert_eq!(server.instance.container(), container);
}
