//! What a command is given: directory, environment, input and script.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::harness::{Server, TestServer};

/// Runs in `cwd`, or answers `bad_cwd` and runs nothing.
async fn directories(server: &Server) {
    let shell = async |arguments: Value| server.call("shell_exec", arguments).await;
    for (cwd, there) in [
        ("/tmp", "/tmp"),
        ("sub/dir", "/workspace/sub/dir"),
        ("", "/workspace"),
        ("/", "/"),
    ] {
        let result = shell(json!({ "command": "pwd", "cwd": cwd })).await;
        assert_eq!(result.stdout(), format!("{there}\n"));
    }
    for cwd in ["/nowhere", "file", "sub/dir/none", "/root"] {
        let result = shell(json!({ "command": "touch ran", "cwd": cwd })).await;
        assert!(result.is_error());
        assert_eq!(result.code(), "bad_cwd", "{}", result.text());
        assert!(
            result.text().contains(cwd) && result.text().contains("/workspace"),
            "{}",
            result.text()
        );
        assert!(
            result.0.get("structuredContent").is_none(),
            "nothing ran: {}",
            result.0
        );
    }
    assert_eq!(server.shell("test -e ran").await.exit_code(), 1);
}

/// Gets the variables of the call, those of every command, and none of the server.
async fn environment(server: &Server) {
    let shell = async |arguments: Value| server.call("shell_exec", arguments).await;
    let env = json!({ "GREETING": "hi = \"you\"\nthere", "EMPTY": "", "CI": "mine" });
    let command = "printf '%s|%s|%s' \"$GREETING\" \"${EMPTY-unset}\" $CI";
    let result = shell(json!({ "command": command, "env": env })).await;
    assert_eq!(result.stdout(), "hi = \"you\"\nthere||mine");
    let wanted = "CI=1 DEBIAN_FRONTEND=noninteractive GIT_TERMINAL_PROMPT=0 PAGER=cat HOME=/workspace/.home TMPDIR=/tmp";
    let result = server.shell("env").await;
    let lines: BTreeSet<&str> = result.stdout().lines().collect();
    assert!(
        wanted.split(' ').all(|line| lines.contains(line)),
        "{lines:?}"
    );
    let servers_own = |line: &&str| line.starts_with("CASEMATE") || line.starts_with("DOCKER");
    assert!(!lines.iter().any(servers_own), "{lines:?}");
}

/// Reads standard input: empty unless given, up to its bound.
async fn input(server: &Server) {
    let shell = async |arguments: Value| server.call("shell_exec", arguments).await;
    assert_eq!(server.shell("cat; echo end").await.stdout(), "end\n");
    let input = "0123456789abcde\n".repeat(1 << 16);
    let result = shell(json!({ "command": "wc -c; cat", "stdin": input })).await;
    assert_eq!(result.stdout(), "1048576\n");
    let result = shell(json!({ "command": "sha256sum", "stdin": input })).await;
    let file = server
        .shell("yes 0123456789abcde | head -c 1048576 | sha256sum")
        .await;
    assert_eq!(result.stdout(), file.stdout());
    // An input that the command does not read does no harm.
    assert_eq!(
        shell(json!({ "command": "echo end", "stdin": input }))
            .await
            .stdout(),
        "end\n"
    );
}

/// Runs a script of any length up to its bound, even longer than one argument may be.
async fn scripts(server: &Server) {
    let shell = async |arguments: Value| server.call("shell_exec", arguments).await;
    for length in [100 << 10, 128 << 10, 1 << 20] {
        let (begin, end) = ("echo $0 $BASHPID\n#", "\nprintf end; exit 3");
        let script = format!(
            "{begin}{}{end}",
            "x".repeat(length - begin.len() - end.len())
        );
        let result = shell(json!({ "command": script, "stdin": "unread" })).await;
        assert_eq!(result.exit_code(), 3, "{length}: {}", result.text());
        assert!(
            result.stdout().starts_with("bash "),
            "{length}: {}",
            result.stdout()
        );
        assert!(
            result.stdout().ends_with("\nend"),
            "{length}: {}",
            result.stdout()
        );
    }
}

#[tokio::test]
async fn a_command_gets_the_directory_environment_input_and_script_given() {
    let server = TestServer::new().start().await;
    // The shell's own state ends with it; files stay.
    server
        .shell("mkdir -p sub/dir; echo kept > file; cd /tmp; export GONE=1")
        .await;
    let next = server.shell("pwd; cat file; echo [$GONE]").await;
    assert_eq!(next.stdout(), "/workspace\nkept\n[]\n");
    directories(&server).await;
    environment(&server).await;
    input(&server).await;
    scripts(&server).await;
}

#[tokio::test]
async fn a_script_means_the_same_with_any_beginning_and_any_length() {
    let server = TestServer::new().start().await;
    // At the top level `return` is an error, and the rest of the script runs.
    let short = "return 3 2>/dev/null; echo on";
    let long = format!("{short} # {}", "x".repeat(200_000));
    for script in [short, &long] {
        let result = server.shell(script).await;
        assert_eq!(
            (result.exit_code(), result.stdout()),
            (0, "on\n"),
            "{}",
            result.0
        );
    }
    // Neither is treated as an option of the shell.
    for (script, said) in [
        ("-c 'echo no'", "-c: command not found"),
        ("+x", "+x: command not found"),
    ] {
        let result = server.shell(script).await;
        assert_eq!(result.exit_code(), 127, "{}", result.0);
        assert!(result.stderr().contains(said), "{}", result.0);
    }
    let unix = server.shell("echo one\r\necho two\r\n").await;
    assert_eq!(unix.stdout(), "one\ntwo\n");
    // The output that Python wrote before it was killed is there.
    let killed = server
        .shell_within("python3 -c 'print(1); import time; time.sleep(60)'", 2)
        .await;
    assert_eq!(
        (killed.outcome(), killed.stdout()),
        ("timed_out", "1\n"),
        "{}",
        killed.0
    );
}
