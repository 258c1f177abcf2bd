//! Arguments that are refused, and unusual ones that are not.

use serde_json::{Value, json};

use crate::harness::TestServer;

/// Unknown names and impossible commands, and parts of the error for each.
fn wrong_names_and_commands() -> Vec<(Value, [&'static str; 2])> {
    vec![
        (json!({}), ["`command`", "`command_id`"]),
        (json!({ "comand": "true" }), ["`comand`", "`command`"]),
        (
            json!({ "command": "true", "timeout": 3 }),
            ["`timeout`", "`timeout_seconds`"],
        ),
        (
            json!({ "command": "true", "timeoutSeconds": 3 }),
            ["`timeoutSeconds`", "`timeout_seconds`"],
        ),
        (
            json!({ "command": "true", "working_dir": "/" }),
            ["`working_dir`", "cwd"],
        ),
        (
            json!({ "command": "true", "container": "other" }),
            ["`container`", "command"],
        ),
        (json!({ "command": 7 }), ["`command`", "string"]),
        (json!({ "command": null }), ["`command`", "empty"]),
        (json!({ "command": ["ls"] }), ["`command`", "string"]),
        (json!({ "command": "" }), ["`command`", "empty"]),
        (json!({ "command": " \n" }), ["`command`", "empty"]),
        (json!({ "command": "a\0b" }), ["`command`", "NUL"]),
        (
            json!({ "command": "#".repeat(2 << 20) }),
            ["`command`", "1048576"],
        ),
    ]
}

/// Impossible values of the other arguments, and parts of the error for each.
fn wrong_values() -> Vec<(Value, [&'static str; 2])> {
    let with = |name: &str, value: Value| json!({ "command": "true", name: value });
    vec![
        (
            with("timeout_seconds", json!(0)),
            ["`timeout_seconds`", "1 to 3600"],
        ),
        (
            with("timeout_seconds", json!(3601)),
            ["`timeout_seconds`", "1 to 3600"],
        ),
        (
            with("timeout_seconds", json!(-1)),
            ["`timeout_seconds`", "1 to 3600"],
        ),
        (
            with("timeout_seconds", json!(1e30)),
            ["`timeout_seconds`", "1 to 3600"],
        ),
        (
            with("timeout_seconds", json!("3")),
            ["`timeout_seconds`", "\"timeout_seconds\":3"],
        ),
        (
            with("env", json!("{\"A\":\"b\"}")),
            ["`env`", "\"env\":{\"A\":\"b\"}"],
        ),
        (with("cwd", json!("a\0b")), ["`cwd`", "NUL"]),
        (with("cwd", json!("a/".repeat(5000))), ["`cwd`", "4096"]),
        (with("env", json!({ "A=B": "c" })), ["`env`", "A=B"]),
        (with("env", json!({ "A\0B": "c" })), ["`env`", "NUL"]),
        (with("env", json!({ "": "c" })), ["`env`", "empty"]),
        (with("env", json!({ "A": "b\0c" })), ["`env`", "NUL"]),
        (with("env", json!({ "A": 1 })), ["`env", "string"]),
        (
            with("env", json!({ "A": "b".repeat(128 << 10) })),
            ["`env`", "131072"],
        ),
        (
            with("stdin", json!("a".repeat((1 << 20) + 1))),
            ["`stdin`", "1048576"],
        ),
    ]
}

#[tokio::test]
async fn impossible_arguments_are_refused_by_name_and_the_server_goes_on() {
    let server = TestServer::new().start().await;
    for (arguments, parts) in wrong_names_and_commands().into_iter().chain(wrong_values()) {
        let shown: String = arguments.to_string().chars().take(60).collect();
        let result = server.call("shell_exec", arguments).await;
        assert!(result.is_error(), "{shown}");
        assert_eq!(result.code(), "invalid_argument", "{shown}");
        for part in parts {
            assert!(result.text().contains(part), "{shown}: {}", result.text());
        }
        assert!(result.text().len() < 500, "{shown}: {}", result.text());
    }
    // Strict frameworks send null for optional arguments, and some write 30 as 30.0.
    let nulls = json!({
        "command": "echo $A", "timeout_seconds": 30.0, "wait_seconds": null, "cwd": null,
        "env": null, "stdin": null, "command_id": null, "stop": null,
    });
    assert_eq!(server.call("shell_exec", nulls).await.stdout(), "\n");
    let nulls =
        json!({ "path": ".", "depth": 1.0, "pattern": null, "limit": null, "cursor": null });
    assert!(!server.call("list_files", nulls).await.is_error());
    // Unusual arguments that can work are no error.
    let env = json!({ "LD_PRELOAD": "/nowhere.so", "BASH_ENV": "/nowhere", "A.B-C": "d" });
    let odd = json!({ "command": "env | grep -c ^A.B-C=d", "env": env });
    assert_eq!(server.call("shell_exec", odd).await.stdout(), "1\n");
}
