//! packaging/docker/compose.yaml on this Engine: HTTP, tokens, a user that is not root.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use super::{CASEMATE, NOBODY, image, stdio, top};
use crate::harness::{Directory, Instance, eventually, host, not_run_but_in_ci};

/// How long the server may take until it answers.
const UP: Duration = Duration::from_secs(30);

/// The command that reads compose files: a plugin of docker's, or the program before it.
fn compose() -> Option<Command> {
    let answers = |program: &str, first: &[&str]| {
        let version = Command::new(program).args(first).arg("version").output();
        version.is_ok_and(|output| output.status.success())
    };
    if answers("docker", &["compose"]) {
        let mut command = Command::new("docker");
        command.arg("compose");
        return Some(command);
    }
    answers("docker-compose", &[]).then(|| Command::new("docker-compose"))
}

/// A directory with the compose file and what it asks for, and the token of `ada`.
fn project(instance: &Instance) -> (Directory, String) {
    let directory = Directory::new(0);
    let path = |name: &str| Path::new(directory.text()).join(name);
    std::fs::create_dir(path("etc")).expect("a directory");
    let file = "packaging/docker/compose.yaml";
    std::fs::copy(top().join(file), path("compose.yaml")).expect(file);
    let settings = format!(
        "instance = \"{}\"\nauth = \"tokens\"\ntokens_file = \"/etc/casemate/tokens.toml\"\n",
        instance.name()
    );
    std::fs::write(path("etc/casemate.toml"), settings).expect("a file");
    let tokens = path("etc/tokens.toml");
    let made = Command::new(CASEMATE)
        .args(["token", "--user", "ada", "--append"])
        .arg(&tokens)
        .output()
        .expect("it runs");
    let said = [&made.stdout[..], &made.stderr].concat();
    let said = String::from_utf8(said).expect("UTF-8");
    let token = said.split_whitespace().find(|word| word.starts_with("cm_"));
    let token = token
        .unwrap_or_else(|| panic!("no token: {said}"))
        .to_owned();
    let user: u32 = NOBODY
        .split(':')
        .next()
        .expect("a uid")
        .parse()
        .expect("a number");
    std::os::unix::fs::chown(&tokens, Some(user), Some(user)).expect("the tests run as root");
    (directory, token)
}

/// The project that runs, until it is dropped.
struct Project(Directory, Vec<(&'static str, String)>);

impl Project {
    fn run(&self, args: &[&str]) -> String {
        let mut command = compose().expect("it was there");
        let output = command
            .args(args)
            .current_dir(self.0.text())
            .envs(self.1.iter().map(|(name, value)| (name, value)))
            .output()
            .expect("it runs");
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{args:?}: {error}");
        error + &String::from_utf8_lossy(&output.stdout)
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.run(&["down", "--timeout", "10"]);
            return;
        }
        let mut down = compose().expect("it was there");
        let variables = self.1.iter().map(|(name, value)| (name, value));
        let _ = down
            .arg("down")
            .current_dir(self.0.text())
            .envs(variables)
            .output();
    }
}

/// What the server answers to a call with this header: the status, and the body.
fn call(port: u16, authorization: &str) -> Option<(String, Value)> {
    let body = json!({
        "jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": { "name": "shell_exec", "arguments": { "command": "echo composed" } },
    });
    let output = host::networked("curl")
        .args([
            "--silent",
            "--max-time",
            "60",
            "--write-out",
            "\n%{http_code}",
        ])
        .args([
            "--header",
            "Content-Type: application/json",
            "--header",
            authorization,
        ])
        .args([
            "--header",
            "MCP-Protocol-Version: 2025-06-18",
            "--data",
            &body.to_string(),
        ])
        .arg(format!("http://127.0.0.1:{port}/mcp"))
        .output()
        .expect("curl");
    let said = String::from_utf8(output.stdout).expect("UTF-8");
    let (body, status) = said.rsplit_once('\n')?;
    // A stream of events with one result.
    let data = body.lines().find_map(|line| line.strip_prefix("data: "));
    let body = data.map_or(Value::Null, |data| {
        serde_json::from_str(data).expect("JSON in an event")
    });
    (status != "000").then(|| (status.to_owned(), body))
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    listener.local_addr().expect("an address").port()
}

#[tokio::test]
async fn compose_serves_over_http_to_whoever_has_a_token() {
    if compose().is_none() {
        return not_run_but_in_ci("there is no docker compose");
    }
    let (image, instance) = (image(), Instance::new());
    let (directory, token) = project(&instance);
    let port = free_port();
    let variables = [
        ("COMPOSE_PROJECT_NAME", instance.name().to_owned()),
        ("CASEMATE_PORT", port.to_string()),
        ("CASEMATE_SERVER_IMAGE", image.name().to_owned()),
        ("DOCKER_GID", stdio::socket_group()),
    ];
    let project = Project(directory, variables.into());
    project.run(&["up", "--detach", "--no-build"]);
    let answers = async || call(port, "X-Nothing: 1").is_some();
    eventually("it answers", UP, answers).await;
    let (status, _) = call(port, "X-Nothing: 1").expect("an answer");
    assert_eq!(status, "401", "{}", project.run(&["logs"]));
    let (status, body) = call(port, &format!("Authorization: Bearer {token}")).expect("an answer");
    assert_eq!(status, "200", "{body} {}", project.run(&["logs"]));
    let result = &body["result"]["structuredContent"];
    assert_eq!(result["stdout"], "composed\n", "{body}");
    let container = project.run(&["ps", "--quiet"]);
    let container = container.lines().last().expect("one container");
    let container = crate::harness::docker::inspect("container", container);
    assert_eq!(container["Config"]["User"], NOBODY);
    assert_eq!(container["HostConfig"]["ReadonlyRootfs"], true);
    drop(project);
    drop(instance);
}
