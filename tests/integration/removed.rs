//! Interventions from outside, in ephemeral and in bind mode: containers are removed, PID 1 is
//! killed from the host, the image is gone. Every call has a typed answer, the next one works
//! without a restart of the server, and the files are whole. `lifecycle` does the same in
//! persistent mode, and `ephemeral` removes the container of a command.

use std::time::Duration;

use casemate::config::Mode;
use serde_json::json;

use crate::harness::{
    CallResult, Directory, EndLog, Instance, Pending, Server, TestServer, docker, eventually,
};

/// Deadline for something that needs no waiting.
const SOON: Duration = Duration::from_secs(10);

/// The reason that results give after either blow: `docker rm --force` kills too, and the exit
/// code does not tell them apart.
const KILLED: &str = "the sandbox was killed from outside or for memory";

/// How a container is killed.
#[derive(Debug, Clone, Copy)]
enum Blow {
    Removed,
    Killed,
}

impl Blow {
    /// The targets: containers, or their PIDs 1 on the host.
    fn aim(self, instance: &Instance) -> Vec<String> {
        let containers = instance.containers();
        match self {
            Self::Removed => containers,
            Self::Killed => containers.iter().map(|one| docker::pid(one)).collect(),
        }
    }

    fn strike(self, aim: &[String]) {
        match self {
            Self::Removed => {
                let ids = aim.iter().map(String::as_str);
                docker::quietly(&["rm", "--force"].into_iter().chain(ids).collect::<Vec<_>>());
            }
            Self::Killed => docker::kill_on_host(aim),
        }
    }

    /// Hits all targets, and waits until the Engine has none of them. Returns the containers.
    async fn strike_down(self, instance: &Instance) -> Vec<String> {
        let struck = instance.containers();
        self.strike(&self.aim(instance));
        gone(instance, &struck).await;
        struck
    }
}

/// Waits until all these containers are gone.
async fn gone(instance: &Instance, struck: &[String]) {
    eventually("the killed containers are gone", SOON, async || {
        let left = instance.containers();
        !struck.iter().any(|container| left.contains(container))
    })
    .await;
}

fn server(mode: Mode, directory: &Directory) -> TestServer {
    let server = TestServer::on(&Instance::new()).mode(mode);
    match mode {
        Mode::Bind => server.env("CASEMATE_BIND_DIR", directory.text()),
        _ => server,
    }
}

/// The reason for a new container; absent in ephemeral mode, where every container is new.
fn restarted(mode: Mode, result: &CallResult) -> Option<String> {
    let reason = &result.field("sandbox")["restarted"]["reason"];
    assert!(mode == Mode::Bind || reason.is_null(), "{}", result.0);
    reason.as_str().map(str::to_owned)
}

/// Starts a command and waits until it runs.
async fn running(server: &Server) -> Pending {
    let arguments = json!({ "command": "echo x >> count; sleep 60; echo y >> count" });
    let (_, call) = server.start_call("shell_exec", arguments).await;
    eventually("the command runs", SOON, async || {
        server.read("count").await.text() == "x\n"
    })
    .await;
    call
}

async fn a_removed_or_killed_container_is_reported_and_replaced(mode: Mode, blow: Blow) {
    let directory = Directory::new(1000);
    let (ends, server) = EndLog::of(server(mode, &directory));
    let server = server.start().await;
    let case = format!("{mode:?} {blow:?}");
    server.write("kept", "kept").await;
    // With nothing running.
    let struck = blow.strike_down(&server.instance).await;
    ends.until_known(&struck).await;
    let next = server.shell("cat kept; ls -A /tmp | wc -l").await;
    assert_eq!(next.stdout(), "kept0\n", "{case}: {}", next.0);
    let wanted = (mode == Mode::Bind).then(|| KILLED.to_owned());
    assert_eq!(restarted(mode, &next), wanted, "{case}");

    // With a command running, and its caller waiting.
    let call = running(&server).await;
    let (struck, aim) = (server.instance.containers(), blow.aim(&server.instance));
    blow.strike(&aim);
    let lost = call.result().await;
    assert!(lost.is_error(), "{case}: {}", lost.0);
    assert_eq!(lost.outcome(), "sandbox_lost", "{case}: {}", lost.0);
    ends.until_known(&struck).await;
    let next = server.shell("cat count").await;
    assert_eq!(next.stdout(), "x\n", "{case}: {}", next.0);
    written_whole(&server, &ends, blow, &case).await;
    assert_eq!(server.read("kept").await.text(), "kept", "{case}");
}

/// With a file being replaced: each call is repeated, and the file is whole.
async fn written_whole(server: &Server, ends: &EndLog, blow: Blow, case: &str) {
    // A container that is otherwise idle, even in ephemeral mode.
    server.write("big", "").await;
    let (struck, aim) = (server.instance.containers(), blow.aim(&server.instance));
    let mut writes = Vec::new();
    for letter in "abcdefghijklmnop".chars() {
        let content = letter.to_string().repeat(casemate_protocol::MAX_WRITE);
        let arguments = json!({ "path": "big", "content": content });
        writes.push(server.start_call("write_file", arguments).await.1);
    }
    let first = writes.remove(0).result().await;
    assert!(!first.is_error(), "{case}: {}", first.0);
    blow.strike(&aim);
    for write in writes {
        let written = write.result().await;
        assert!(!written.is_error(), "{case}: {}", written.0);
    }
    gone(&server.instance, &struck).await;
    ends.until_known(&struck).await;
    // Unfinished files of a killed PID 1 are removed later.
    let look = "stat -c %s big; tr -d $(head -c 1 big) < big | wc -c";
    let whole = format!("{}\n0\n", casemate_protocol::MAX_WRITE);
    let found = server.shell(look).await;
    assert_eq!(found.stdout(), whole, "{case}: {}", found.0);
}

#[tokio::test]
async fn a_bind_mode_container_that_is_removed_or_killed_is_replaced() {
    tokio::join!(
        a_removed_or_killed_container_is_reported_and_replaced(Mode::Bind, Blow::Removed),
        a_removed_or_killed_container_is_reported_and_replaced(Mode::Bind, Blow::Killed),
    );
}

#[tokio::test]
async fn an_ephemeral_container_that_is_removed_or_killed_is_replaced() {
    tokio::join!(
        a_removed_or_killed_container_is_reported_and_replaced(Mode::Ephemeral, Blow::Removed),
        a_removed_or_killed_container_is_reported_and_replaced(Mode::Ephemeral, Blow::Killed),
    );
}

async fn without_its_image(mode: Mode) {
    let kept = docker::Image::from_tools("true", &[]);
    let image = docker::Image(kept.name().replace(":latest", ":gone"));
    docker::output(&["tag", kept.name(), image.name()]);
    let directory = Directory::new(1000);
    let server = server(mode, &directory).image(image.name()).start().await;
    server.write("kept", "kept").await;
    docker::output(&["rmi", image.name()]);
    // A running container needs no image.
    assert_eq!(server.read("kept").await.text(), "kept", "{mode:?}");
    Blow::Removed.strike_down(&server.instance).await;
    for _ in 0..2 {
        let result = server.shell("touch never").await;
        assert!(result.is_error(), "{mode:?}: {}", result.0);
        assert_eq!(result.code(), "image_missing", "{mode:?}: {}", result.0);
        assert!(
            result.text().contains(image.name()),
            "{mode:?}: {}",
            result.0
        );
    }
    assert_eq!(server.instance.containers(), [""; 0], "{mode:?}");
    docker::output(&["tag", kept.name(), image.name()]);
    let result = server.shell("cat kept; ls").await;
    assert_eq!(result.stdout(), "keptkept\n", "{mode:?}: {}", result.0);
}

#[tokio::test]
async fn without_its_image_a_call_says_so_and_with_it_again_the_next_one_works() {
    tokio::join!(
        without_its_image(Mode::Ephemeral),
        without_its_image(Mode::Bind)
    );
}
