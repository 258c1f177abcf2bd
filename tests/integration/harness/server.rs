//! A server for one test, and the calls that tests make.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use casemate::config::Mode;
use serde_json::{Value, json};
use tokio::process::{Child, Command};

use super::rpc::Pending;
use super::{CallResult, Instance, Rpc, allowed};

/// Deadline for the end of a server.
const END: Duration = Duration::from_secs(10);

/// A server before it is started.
#[derive(Debug, Clone)]
pub struct TestServer {
    instance: Instance,
    through: Vec<String>,
    env: BTreeMap<String, String>,
    flags: Vec<String>,
    log: Option<PathBuf>,
    initialize: bool,
}

impl TestServer {
    /// With a new instance and default settings, for a user named `tester`.
    pub fn new() -> Self {
        Self::on(&Instance::new())
    }

    /// On an instance that others use too.
    pub fn on(instance: &Instance) -> Self {
        let env = [
            ("CASEMATE_INSTANCE", instance.name()),
            ("CASEMATE_LOG", "warn"),
        ];
        let server = Self {
            instance: instance.clone(),
            through: Vec::new(),
            env: BTreeMap::new(),
            flags: Vec::new(),
            log: None,
            initialize: true,
        };
        env.iter()
            .fold(server, |server, (name, value)| server.env(name, value))
            .user("tester")
    }

    /// With another variable in its environment.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.insert(name.to_owned(), value.to_owned());
        self
    }

    /// With another flag on its command line.
    pub fn flag(mut self, name: &str, value: &str) -> Self {
        self.flags.extend([name.to_owned(), value.to_owned()]);
        self
    }

    /// For this user.
    pub fn user(self, user: &str) -> Self {
        self.env("CASEMATE_USER", user)
    }

    /// As a client starts it that sets these variables and names no other user.
    pub fn started_with(mut self, variables: &Value) -> Self {
        self.env.remove("CASEMATE_USER");
        let variables = variables.as_object().into_iter().flatten();
        variables.fold(self, |server, (name, value)| {
            server.env(name, value.as_str().expect("a text"))
        })
    }

    /// With sandboxes of this mode.
    pub fn mode(self, mode: Mode) -> Self {
        self.env("CASEMATE_MODE", mode.as_str())
    }

    /// With sandboxes from this image.
    pub fn image(self, image: &str) -> Self {
        self.env("CASEMATE_IMAGE", image)
    }

    /// With its log in this file instead of the test's own output.
    pub fn log_to(mut self, file: &Path) -> Self {
        self.log = Some(file.to_owned());
        self
    }

    pub(super) fn log(&self) -> Option<&Path> {
        self.log.as_deref()
    }

    /// Without the `initialize` handshake.
    pub fn raw(mut self) -> Self {
        self.initialize = false;
        self
    }

    /// The instance of its containers.
    pub fn instance(&self) -> &Instance {
        &self.instance
    }

    /// Started by this program, which becomes the server (exec).
    pub fn through(mut self, program: &[&str]) -> Self {
        self.through = program.iter().map(|part| (*part).to_owned()).collect();
        self
    }

    /// The command that starts it.
    pub fn command(&self) -> Command {
        let server = [env!("CARGO_BIN_EXE_casemate"), "serve"].map(str::to_owned);
        let mut words = self.through.iter().chain(&server);
        let mut command = Command::new(words.next().expect("a program"));
        command
            .args(words)
            .args(&self.flags)
            .envs(&self.env)
            .kill_on_drop(true);
        if let Some(log) = &self.log {
            command.stderr(std::fs::File::create(log).expect("a file for the log"));
        }
        command
    }

    /// Starts it.
    pub async fn start(self) -> Server {
        let mut child = self
            .command()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let input = child.stdin.take().expect("stdin");
        let output = child.stdout.take().expect("stdout");
        let server = Server {
            instance: self.instance,
            child,
            rpc: Rpc::new(input, output),
        };
        if self.initialize {
            server.initialize("2025-06-18").await;
        }
        server
    }
}

/// A server that runs. Dropping it kills it.
#[derive(Debug)]
pub struct Server {
    /// The instance of its containers.
    pub instance: Instance,
    /// The process.
    pub child: Child,
    /// The conversation.
    pub rpc: Rpc,
}

impl Drop for Server {
    /// Runs before the instance is cleaned: a living server would make a new container for a call
    /// that still waits.
    fn drop(&mut self) {
        let _ = self.child.start_kill();
        let end = Instant::now() + allowed(END);
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < end {
            std::thread::yield_now();
        }
    }
}

impl Server {
    /// The handshake of a protocol version before 2026-07-28.
    pub async fn initialize(&self, version: &str) -> Value {
        let params = json!({
            "protocolVersion": version,
            "capabilities": {},
            "clientInfo": { "name": "casemate-tests", "version": "0" },
        });
        let answer = self.rpc.request("initialize", params).await;
        self.rpc
            .notify("notifications/initialized", json!({}))
            .await;
        answer["result"].clone()
    }

    /// Calls a tool.
    pub async fn call(&self, tool: &str, arguments: Value) -> CallResult {
        let (_, pending) = self.start_call(tool, arguments).await;
        pending.result().await
    }

    /// Calls a tool and does not wait; with the request's id.
    pub async fn start_call(&self, tool: &str, arguments: Value) -> (u64, Pending) {
        let params = json!({ "name": tool, "arguments": arguments });
        self.rpc.start("tools/call", params).await
    }

    /// Runs a command.
    pub async fn shell(&self, command: &str) -> CallResult {
        self.call("shell_exec", json!({ "command": command })).await
    }

    /// Runs a command with a timeout in seconds.
    pub async fn shell_within(&self, command: &str, seconds: u32) -> CallResult {
        let arguments = json!({ "command": command, "timeout_seconds": seconds });
        self.call("shell_exec", arguments).await
    }

    /// Runs a command that must end within so many seconds, as [`allowed`](super::allowed).
    pub async fn shell_that_ends(&self, command: &str, seconds: u32) -> CallResult {
        self.shell_within(command, seconds * super::slowness())
            .await
    }

    /// Writes a file.
    pub async fn write(&self, path: &str, content: &str) -> CallResult {
        self.call("write_file", json!({ "path": path, "content": content }))
            .await
    }

    /// Reads a file.
    pub async fn read(&self, path: &str) -> CallResult {
        self.call("read_file", json!({ "path": path })).await
    }

    /// Lists a directory.
    pub async fn list(&self, path: &str) -> CallResult {
        self.call("list_files", json!({ "path": path })).await
    }

    /// Cancels a request.
    pub async fn cancel(&self, id: u64) {
        self.rpc
            .notify("notifications/cancelled", json!({ "requestId": id }))
            .await;
    }

    /// Sends it a signal.
    pub fn signal(&self, name: &str) {
        let pid = self.child.id().expect("it runs").to_string();
        let status = std::process::Command::new("kill")
            .args(["-s", name, &pid])
            .status();
        assert!(status.expect("kill").success());
    }

    /// Closes its input, and returns its exit status.
    pub async fn end(mut self) -> ExitStatus {
        self.rpc.close().await;
        self.wait().await
    }

    /// Its exit status.
    pub async fn wait(&mut self) -> ExitStatus {
        let ended = tokio::time::timeout(allowed(END), self.child.wait()).await;
        ended
            .expect("the server ends in time")
            .expect("an exit status")
    }
}
