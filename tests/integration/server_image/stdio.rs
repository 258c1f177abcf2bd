//! A client starts the image over stdio, as it is told to in mcp.json.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::{Containers, NOBODY, SOCKET, image};
use crate::harness::docker::{self, Image};
use crate::harness::{Directory, Engine, Withholding, clients, eventually, host};

/// How long a container may take to be gone after its client ended.
const GONE: Duration = Duration::from_secs(20);

/// How long a client may take to get to its last call.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(120);

/// The command line of mcp.json, for a server of this test.
fn command_line(containers: &Containers, image: &Image) -> Vec<String> {
    let file: Value = serde_json::from_str(include_str!("../../../mcp.json")).expect("JSON");
    let entry = &file["mcpServers"]["casemate"];
    let mut line = vec![entry["command"].as_str().expect("a command").to_owned()];
    for argument in entry["args"].as_array().expect("arguments") {
        match argument.as_str().expect("a text") {
            "run" => {
                // The client gives the server DOCKER_HOST only if it is told to.
                let socket = host::socket().expect("the Engine has a socket");
                line.extend(["--host".to_owned(), format!("unix://{socket}")]);
                line.push("run".to_owned());
                line.extend(containers.options());
            }
            "casemate" => line.push(image.name().to_owned()),
            other => line.push(other.to_owned()),
        }
    }
    assert!(line.iter().any(|word| word == image.name()), "{line:?}");
    line
}

#[tokio::test]
async fn a_python_client_starts_the_image_as_mcp_json_says() {
    let (image, containers) = (image(), Containers::new());
    let Some(mut client) = clients::python_script("mcp", "stdio.py") else {
        return;
    };
    let said = clients::succeeds(client.args(command_line(&containers, &image))).await;
    assert_eq!(
        said.lines().collect::<Vec<_>>(),
        [
            "tools: shell_exec write_file read_file list_files edit_file share",
            "shell_exec: 42",
            "read_file: one | three",
            "list_files: notes/a.txt",
            "progress: told",
        ]
    );
    eventually("the server is gone", GONE, async || {
        containers.running().is_empty()
    })
    .await;
}

/// A client whose last call runs on, once it does.
async fn staying(containers: &Containers, image: &Image) -> Option<Child> {
    let mut client = clients::python_script("mcp", "stdio.py")?;
    let mut client = client
        .arg("--stay")
        .args(command_line(containers, image))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the client starts");
    let mut lines = BufReader::new(client.stdout.take().expect("piped")).lines();
    let stays = async {
        while lines
            .next_line()
            .await
            .expect("text")
            .expect("it gets that far")
            != "stays"
        {}
    };
    timeout(CLIENT_TIMEOUT, stays)
        .await
        .expect("it gets that far");
    Some(client)
}

/// Whether the command of such a client runs in its sandbox.
fn sleeps(containers: &Containers) -> bool {
    let sandboxes = containers.0.containers();
    let mut all = sandboxes.iter().flat_map(|sandbox| docker::top(sandbox));
    all.any(|(_, command)| command.contains("sleep 1234"))
}

/// Ids of the processes on this machine whose command line has this text.
async fn processes(text: &str) -> Vec<String> {
    let found = Command::new("pgrep").args(["--full", text]).output().await;
    let found = String::from_utf8(found.expect("pgrep").stdout).expect("UTF-8");
    found.lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn a_killed_client_leaves_no_server_and_no_command() {
    let image = image();
    for victim in ["the client", "docker run"] {
        let containers = Containers::new();
        let Some(mut client) = staying(&containers, &image).await else {
            return;
        };
        let runs = || async { sleeps(&containers) };
        eventually("the command runs", GONE, runs).await;
        // The command lines of both contain the label.
        let client_pid = client.id().expect("it runs").to_string();
        let pids = processes(&containers.label()).await;
        let (own, docker): (Vec<_>, Vec<_>) = pids.into_iter().partition(|pid| *pid == client_pid);
        assert!(!docker.is_empty(), "docker run is a separate process");
        docker::kill_on_host(if victim == "the client" {
            &own
        } else {
            &docker
        });
        let gone = async || containers.running().is_empty() && !sleeps(&containers);
        eventually(victim, GONE, gone).await;
        let _ = client.kill().await;
        let gone = async || processes(&containers.label()).await.is_empty();
        eventually("no process is left", GONE, gone).await;
    }
}

/// The number of the group that may open the Engine's socket, on the Engine's host.
pub(super) fn socket_group() -> String {
    use std::os::unix::fs::MetadataExt as _;
    // Not by way of /var/run: that is a link to /run, and would lead out of the Engine's host.
    let socket = host::path(std::path::Path::new("/run/docker.sock"));
    std::fs::metadata(socket)
        .expect("a socket")
        .gid()
        .to_string()
}

#[tokio::test]
async fn a_server_that_is_not_root_needs_the_group_of_the_socket() {
    let (image, containers) = (image(), Containers::new());
    let mount = format!("{SOCKET}:{SOCKET}");
    let stranger = ["--user", NOBODY, "--volume", &mount];
    let server = containers.start(&image, &stranger).await;
    let result = server.shell("true").await;
    assert_eq!(result.code(), "engine_unavailable", "{}", result.0);
    assert!(
        result.text().contains("permission denied"),
        "{}",
        result.text()
    );

    let group = socket_group();
    let member = [&stranger[..], &["--group-add", &group]].concat();
    let server = containers.start(&image, &member).await;
    assert_eq!(server.shell("echo member").await.stdout(), "member\n");
}

#[tokio::test]
async fn root_without_capabilities_or_a_network_opens_a_socket_of_root_alone() {
    let (image, containers) = (image(), Containers::new());
    let directory = Directory::new(0);
    let socket = std::path::Path::new(directory.text()).join("docker.sock");
    let target = host::socket().expect("the Engine has a socket");
    let _passed = Withholding::new(socket.clone(), target, usize::MAX);
    std::os::unix::fs::chown(&socket, Some(0), Some(0)).expect("the tests run as root");
    std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o600)).expect("a mode");
    let mount = format!("{}:{SOCKET}", socket.display());
    let bare = [
        "--volume",
        &mount,
        "--network",
        "none",
        "--cap-drop",
        "ALL",
        "--read-only",
    ];
    let server = containers.start(&image, &bare).await;
    assert_eq!(server.shell("echo root").await.stdout(), "root\n");
}

#[tokio::test]
async fn without_the_image_of_sandboxes_the_error_has_the_line_that_makes_it() {
    let (image, containers) = (image(), Containers::new());
    let engine = Engine::down();
    engine.run(false);
    engine.up().await;
    let socket = engine.uri().replace("unix://", "");
    let mount = format!("{socket}:{SOCKET}");
    let server = containers.start(&image, &["--volume", &mount]).await;
    let result = server.shell("true").await;
    assert_eq!(result.code(), "image_missing", "{}", result.0);
    let line = "make it with \
        `docker run --rm casemate tools-image | docker build --tag casemate-tools:latest -`.";
    assert!(result.text().ends_with(line), "{}", result.text());
}
