//! Names that look alike, and names that are refused.

use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use super::sandbox_name;
use crate::harness::{Instance, TestServer, docker};

/// Longest id, in bytes.
const LONGEST: usize = casemate::identity::ID_BYTES;

/// Ids that a careless rule would treat as one.
fn look_alikes() -> Vec<String> {
    let long = |last: char| format!("{}{last}", "l".repeat(LONGEST - 1));
    let mut users = [
        "a/b",
        "a_b",
        "a.b",
        "A/B",
        "a%2Fb",
        "a/b ",
        " a/b",
        "..",
        "caf\u{e9}",
        "cafe\u{301}",
    ]
    .map(str::to_owned)
    .to_vec();
    users.extend([long('1'), long('2')]);
    users
}

#[tokio::test]
async fn ids_that_look_alike_are_users_apart() {
    let instance = Instance::new();
    let mut servers = Vec::new();
    for user in look_alikes() {
        let server = TestServer::on(&instance).user(&user).start().await;
        let arguments = json!({ "command": "cat > who", "stdin": user });
        let wrote = server.call("shell_exec", arguments).await;
        assert_eq!(wrote.exit_code(), 0, "{}", wrote.0);
        servers.push((user, server));
    }
    for (user, server) in &servers {
        let seen = server.shell("cat who; ls").await;
        assert_eq!(seen.stdout(), format!("{user}who\n"));
        let name = sandbox_name(&instance, user);
        let container = docker::inspect("container", &name);
        let volume = docker::inspect("volume", &name);
        for labels in [&container["Config"]["Labels"], &volume["Labels"]] {
            assert_eq!(labels["io.casemate.user"], user.as_str());
            assert_eq!(labels["io.casemate.issuer"], "local");
            assert_eq!(labels["io.casemate.instance"], instance.name());
        }
        assert_eq!(container["Mounts"][0]["Name"], name.as_str());
    }
    assert_eq!(instance.containers().len(), servers.len());
    assert_eq!(instance.volumes().len(), servers.len());
}

#[tokio::test]
async fn all_clients_that_a_person_starts_as_the_readme_says_have_one_workspace() {
    let instance = Instance::new();
    let file = serde_json::from_str(include_str!("../../../mcp.json"));
    let file: Value = file.expect("mcp.json is JSON");
    let entry = &file["mcpServers"]["casemate-installed"];
    assert_eq!(entry["args"], json!(["serve"]));
    let of_the_file = TestServer::on(&instance).started_with(&entry["env"]);
    of_the_file.start().await.write("whose", "one").await;
    // `claude mcp add casemate -- casemate serve`
    let of_a_command = TestServer::on(&instance).started_with(&json!({}));
    let read = of_a_command.start().await.read("whose").await;
    assert_eq!(read.text(), "one", "{}", read.0);
}

/// The output of a `casemate serve` that ends at once.
fn refused(arguments: &[&str], user: &str) -> Output {
    let output = Command::new("timeout")
        .args(["20", env!("CARGO_BIN_EXE_casemate"), "serve"])
        .args(arguments)
        .env("CASEMATE_USER", user)
        .env("DOCKER_HOST", "unix:///nonexistent/docker.sock")
        .stdin(Stdio::null())
        .output()
        .expect("the server can be run");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    output
}

#[tokio::test]
async fn an_id_that_cannot_be_kept_exactly_is_refused_by_name() {
    let too_long = "l".repeat(LONGEST + 1);
    let ten_kilobytes = "l".repeat(10_000);
    for (user, problem) in [
        (ten_kilobytes.as_str(), "10000 bytes"),
        (&too_long, "1025 bytes"),
        (" ", "blank"),
        ("a\nb", "U+000A"),
        ("a\u{1b}[2Jb", "U+001B"),
        ("a\u{7f}", "U+007F"),
    ] {
        let output = refused(&[], user);
        let error = String::from_utf8(output.stderr).expect("UTF-8");
        assert!(
            error.contains("CASEMATE_USER") && error.contains(problem),
            "{error}"
        );
        assert!(error.len() < 500, "{error}");
        // The value does not reach the terminal unescaped.
        assert!(
            !error.trim_end().contains(|c: char| c.is_control()),
            "{error:?}"
        );
    }

    // No variable can hold a NUL; a settings file can.
    let file = std::env::temp_dir().join(format!(
        "casemate-test-{}.toml",
        uuid::Uuid::new_v4().simple()
    ));
    std::fs::write(&file, "user = \"a\\u0000b\"\n").expect("a file");
    let output = refused(&["--config", &file.to_string_lossy()], "");
    std::fs::remove_file(&file).expect("it is there");
    let error = String::from_utf8(output.stderr).expect("UTF-8");
    assert!(
        error.contains("user") && error.contains("U+0000"),
        "{error}"
    );
}

#[tokio::test]
async fn with_an_empty_id_the_os_user_counts() {
    let os_user = Command::new("id").arg("-un").output().expect("id");
    let os_user = String::from_utf8(os_user.stdout).expect("UTF-8");
    let server = TestServer::new().user("").start().await;
    assert_eq!(server.shell("true").await.exit_code(), 0);
    docker::inspect(
        "container",
        &sandbox_name(&server.instance, os_user.trim_end()),
    );
}
