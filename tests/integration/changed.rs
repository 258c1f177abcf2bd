//! Limits that change in the settings while there is a container: an idle container is replaced
//! and the result says so, a busy one is used as it is and the result says so once, and two
//! servers never replace each other's container in turns. `lifecycle` proves the same for two
//! servers with different limits in persistent mode.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{CallResult, Directory, Instance, Server, TestServer, docker, eventually};

/// Deadline for something that needs no waiting.
const SOON: Duration = Duration::from_secs(10);

/// The reason that results give for a container that made room.
const MADE_ROOM: &str =
    "the sandbox was asked to end, for newer settings, for room or by the operator";

/// A settings file with a memory limit for one user.
struct Settings {
    directory: Directory,
}

impl Settings {
    fn new(mode: &str, memory: u32) -> Self {
        let settings = Self {
            directory: Directory::new(0),
        };
        settings.change(mode, memory);
        settings
    }

    fn path(&self) -> PathBuf {
        PathBuf::from(self.directory.text()).join("casemate.toml")
    }

    /// In bind mode the workspaces are next to it.
    fn change(&self, mode: &str, memory: u32) {
        let bind = match mode {
            "bind" => format!("bind_root = {:?}\n", self.directory.text()),
            _ => String::new(),
        };
        let content = format!(
            "mode = {mode:?}\nmemory = \"150m\"\n{bind}[[users]]\nuser = \"alice\"\nmemory = \"{memory}m\"\n"
        );
        std::fs::write(self.path(), content).expect("a file");
    }

    async fn start(&self, instance: &Instance, user: &str) -> Server {
        let path = self.path();
        let server = TestServer::on(instance)
            .user(user)
            .env("CASEMATE_WARM", "off");
        server
            .flag("--config", path.to_str().expect("UTF-8"))
            .start()
            .await
    }
}

/// The memory limit that a command sees, in MiB, and the note of the result.
async fn memory(server: &Server) -> (u64, Value) {
    let command = "cd /sys/fs/cgroup; cat memory.max memory/memory.limit_in_bytes 2> /dev/null";
    let result = server.shell(command).await;
    let limit = result
        .stdout()
        .lines()
        .next()
        .and_then(|line| line.parse::<u64>().ok());
    (limit.expect("a limit") >> 20, note(&result))
}

/// The note about the sandbox; both forms of the result must have it, or neither.
fn note(result: &CallResult) -> Value {
    let note = result.field("sandbox").clone();
    for (field, said) in [
        ("restarted", "[sandbox restarted"),
        ("other_settings", "other settings"),
    ] {
        let text = result.text();
        assert_eq!(!note[field].is_null(), text.contains(said), "{}", result.0);
    }
    note
}

async fn container_of(instance: &Instance, user: &str) -> Vec<String> {
    let (label, user) = (instance.label(), format!("label=io.casemate.user={user}"));
    docker::lines(&["ps", "--quiet", "--filter", &label, "--filter", &user])
}

/// The limit of a container that replaced another one, and the reason that the result gives.
async fn replaced(server: &Server) -> (u64, Value) {
    let (limit, note) = memory(server).await;
    (limit, note["restarted"]["reason"].clone())
}

async fn a_users_memory_is_changed(mode: &str) {
    let instance = Instance::new();
    let settings = Settings::new(mode, 200);
    let first = settings.start(&instance, "alice").await;
    assert_eq!(memory(&first).await, (200, Value::Null), "{mode}");
    first.write("kept", "kept").await;
    let bob = settings.start(&instance, "bob").await;
    assert_eq!(memory(&bob).await, (150, Value::Null), "{mode}");
    let bobs = container_of(&instance, "bob").await;
    assert!(first.end().await.success());

    settings.change(mode, 100);
    let second = settings.start(&instance, "alice").await;
    assert_eq!(replaced(&second).await, (100, json!(MADE_ROOM)), "{mode}");
    assert_eq!(
        memory(&second).await,
        (100, Value::Null),
        "{mode}: told once"
    );
    assert_eq!(second.read("kept").await.text(), "kept", "{mode}");

    // A busy container is used as it is.
    let arguments = json!({ "command": "sleep 1000", "wait_seconds": 0, "timeout_seconds": 1000 });
    let running = second.call("shell_exec", arguments).await;
    assert_eq!(running.outcome(), "running", "{mode}: {}", running.0);
    assert!(second.end().await.success());
    settings.change(mode, 250);
    let third = settings.start(&instance, "alice").await;
    let (limit, told) = memory(&third).await;
    assert_eq!(
        (limit, told),
        (100, json!({ "other_settings": true })),
        "{mode}"
    );
    assert_eq!(
        memory(&third).await,
        (100, Value::Null),
        "{mode}: told once"
    );

    // The command still runs; after its end the next server replaces the container.
    let stop = json!({ "command_id": running.field("command_id"), "stop": true });
    assert_eq!(
        third.call("shell_exec", stop).await.outcome(),
        "cancelled",
        "{mode}"
    );
    let fourth = settings.start(&instance, "alice").await;
    assert_eq!(replaced(&fourth).await, (250, json!(MADE_ROOM)), "{mode}");
    assert_eq!(memory(&third).await.0, 250, "{mode}");
    // The other user's container was not touched.
    assert_eq!(container_of(&instance, "bob").await, bobs, "{mode}");
}

#[tokio::test]
async fn a_server_with_other_limits_replaces_an_idle_container_not_a_busy_one() {
    tokio::join!(
        a_users_memory_is_changed("persistent"),
        a_users_memory_is_changed("bind"),
    );
}

#[tokio::test]
async fn in_bind_mode_an_older_server_uses_a_newer_ones_container_as_it_is() {
    let instance = Instance::new();
    let settings = Settings::new("bind", 200);
    let older = settings.start(&instance, "alice").await;
    assert_eq!(memory(&older).await, (200, Value::Null));
    settings.change("bind", 100);
    let newer = settings.start(&instance, "alice").await;
    assert_eq!(memory(&newer).await.0, 100);
    let container = container_of(&instance, "alice").await;
    let (limit, told) = memory(&older).await;
    assert_eq!(
        (limit, &told["restarted"]["reason"]),
        (100, &json!(MADE_ROOM))
    );
    for server in [&newer, &older, &newer, &older] {
        assert_eq!(memory(server).await, (100, Value::Null));
    }
    assert_eq!(container_of(&instance, "alice").await, container);
}

#[tokio::test]
async fn in_ephemeral_mode_each_server_has_its_own_limits_and_containers() {
    let instance = Instance::new();
    let settings = Settings::new("ephemeral", 200);
    let older = settings.start(&instance, "alice").await;
    let arguments = json!({ "command": "until [ -e go ]; do sleep 0.05; done; echo over",
        "wait_seconds": 0, "timeout_seconds": 60 });
    let running = older.call("shell_exec", arguments).await;
    assert_eq!(running.outcome(), "running", "{}", running.0);
    settings.change("ephemeral", 100);
    let newer = settings.start(&instance, "alice").await;
    for _ in 0..2 {
        // The user's own settings need no note.
        assert_eq!(memory(&newer).await, (100, Value::Null));
        assert_eq!(memory(&older).await, (200, Value::Null));
    }
    newer.write("go", "").await;
    let resume = json!({ "command_id": running.field("command_id") });
    let over = older.call("shell_exec", resume).await;
    assert_eq!(
        (over.outcome(), over.stdout()),
        ("exited", "over\n"),
        "{}",
        over.0
    );
    // The spare of a server that ends is removed with it; the other server's stays.
    newer.write("a", "").await;
    assert!(older.end().await.success());
    eventually("only the newer one's spare is left", SOON, async || {
        container_of(&instance, "alice").await.len() == 1
    })
    .await;
    assert_eq!(memory(&newer).await, (100, Value::Null));
}
