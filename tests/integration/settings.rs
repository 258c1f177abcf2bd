//! Where settings come from: their effect in the container, and the errors that the person who
//! starts the server reads.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::harness::{Server, TestServer};

/// A settings file that is removed at the end of the test.
struct SettingsFile(PathBuf);

impl SettingsFile {
    fn new(content: &str) -> Self {
        let name = format!("casemate-test-{}.toml", uuid::Uuid::new_v4().simple());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, content).expect("a file");
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("UTF-8")
    }
}

impl Drop for SettingsFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// The kernel's limits of processes, and of memory in MiB.
async fn limits(server: &Server) -> (u64, u64) {
    let command = "cd /sys/fs/cgroup; cat pids.max pids/pids.max memory.max \
                   memory/memory.limit_in_bytes 2> /dev/null";
    let result = server.shell(command).await;
    let mut numbers = result.stdout().lines().map(|line| {
        line.parse::<u64>()
            .unwrap_or_else(|_| panic!("no number: {line}"))
    });
    let (pids, memory) = (numbers.next(), numbers.next());
    (pids.expect("pids"), memory.expect("memory") >> 20)
}

#[tokio::test]
async fn a_flag_goes_before_the_environment_and_that_before_the_file() {
    let file = SettingsFile::new("pids = 101\nmemory = \"101m\"\n");
    let by_file = TestServer::new().flag("--config", file.path());
    let by_environment = TestServer::new()
        .env("CASEMATE_CONFIG", file.path())
        .env("CASEMATE_PIDS", "102");
    let by_flag = TestServer::new()
        .flag("--config", file.path())
        .env("CASEMATE_PIDS", "102")
        .env("CASEMATE_MEMORY", "102m")
        .flag("--pids", "103");
    for (server, expected) in [
        (by_file, (101, 101)),
        (by_environment, (102, 101)),
        (by_flag, (103, 102)),
    ] {
        assert_eq!(limits(&server.start().await).await, expected);
    }
}

#[tokio::test]
async fn a_user_of_the_file_has_limits_of_their_own_and_another_user_has_not() {
    let file = SettingsFile::new(
        "pids = 101\nmemory = \"101m\"\n\n[[users]]\nuser = \"alice\"\npids = 104\n",
    );
    for (user, expected) in [("alice", (104, 101)), ("bob", (101, 101))] {
        let server = TestServer::new()
            .user(user)
            .flag("--config", file.path())
            .start()
            .await;
        assert_eq!(limits(&server).await, expected, "{user}");
    }
}

/// `casemate serve` with nothing to read and no Engine.
fn serve(arguments: &[&str]) -> Output {
    Command::new("timeout")
        .args(["20", env!("CARGO_BIN_EXE_casemate"), "serve"])
        .args(arguments)
        .env("DOCKER_HOST", "unix:///nonexistent/docker.sock")
        .stdin(Stdio::null())
        .output()
        .expect("the server can be run")
}

#[test]
fn a_file_that_is_wrong_ends_the_server_with_the_file_the_line_and_the_key() {
    for (content, line, parts) in [
        (
            "pids = 100\nmemroy = \"1g\"\n",
            2,
            &["\"memroy\"", "is memory"][..],
        ),
        (
            "\n\nmemory = \"1m\"\n",
            3,
            &["key memory", "\"1m\"", "32m to 1024t"],
        ),
        (
            "[[users]]\nuser = \"a\"\npid = 1\n",
            3,
            &["\"pid\"", "is pids"],
        ),
        (
            "[[users]]\nuser = \"a\"\ncpus = 0\n",
            3,
            &["key cpus", "\"0\"", "0.01 to 256"],
        ),
        ("pids = 100\n[users", 2, &[]),
    ] {
        let file = SettingsFile::new(content);
        let output = serve(&["--config", file.path()]);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(output.stdout.is_empty(), "{output:?}");
        let place = format!("line {line} of {:?}", Path::new(file.path()));
        for part in parts.iter().copied().chain([place.as_str()]) {
            assert!(error.contains(part), "{part:?} is not in {error}");
        }
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}

#[test]
fn an_unknown_flag_is_named_with_the_nearest_one_and_stdout_is_empty() {
    let output = serve(&["--memroy", "1g"]);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(output.stdout.is_empty(), "{output:?}");
    assert!(
        error.contains("--memroy") && error.contains("'--memory'"),
        "{error}"
    );
}

#[test]
fn the_help_shows_unit_bounds_and_default_below_a_heading() {
    let output = serve(&["--help"]);
    assert_eq!(output.status.code(), Some(0));
    let help = String::from_utf8(output.stdout).expect("UTF-8");
    let (_, sandbox) = help.split_once("A user's sandbox").expect("a heading");
    let line = sandbox
        .lines()
        .find(|line| line.contains("--memory <SIZE>"));
    let line = line.expect("the flag");
    assert!(line.ends_with("(32m to 1024t) [default: 512m]"), "{line}");
}
