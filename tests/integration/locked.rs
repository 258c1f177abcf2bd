//! A workspace whose user has locked its top directory, as `chmod -R 644 .` does: every tool still
//! works, and the next container starts.

use std::process::Command;
use std::time::Duration;

use casemate::config::Mode;
use serde_json::json;

use crate::harness::{
    Directory, EndLog, Instance, Server, TOOLS_IMAGE, TestServer, docker, eventually,
};

/// Modes: not enterable, not readable, and neither.
const LOCKED: [&str; 3] = ["0", "0600", "0300"];

const SOON: Duration = Duration::from_secs(20);

/// Ends all containers, even busy ones.
async fn end(instance: &Instance) {
    let ended = instance.containers();
    for container in &ended {
        docker::quietly(&["rm", "--force", container]);
    }
    eventually("they are gone", SOON, async || {
        let left = instance.containers();
        !left.iter().any(|container| ended.contains(container))
    })
    .await;
}

/// Locks the top from inside, at the end of a command.
async fn lock(server: &Server, mode: &str) {
    let locked = server.shell(&format!("chmod {mode} /workspace")).await;
    assert_eq!(locked.exit_code(), 0, "{}", locked.0);
}

async fn everything_works(server: &Server, mode: &str) {
    let said = async |what: &str| {
        lock(server, mode).await;
        format!("{mode}: {what}")
    };
    let what = said("a command").await;
    let shell = server.shell("pwd; cat kept").await;
    assert_eq!(shell.stdout(), "/workspace\nkept\n", "{what}: {}", shell.0);
    let what = said("a command below").await;
    let below = json!({ "command": "pwd", "cwd": "sub" });
    let below = server.call("shell_exec", below).await;
    assert_eq!(below.stdout(), "/workspace/sub\n", "{what}: {}", below.0);
    let what = said("a list").await;
    let list = server.list(".").await;
    assert!(list.text().contains("kept"), "{what}: {}", list.text());
    let what = said("a read").await;
    let read = server.read("kept").await;
    assert_eq!(read.text(), "kept\n", "{what}");
    let what = said("a write").await;
    let write = server.write("new", "new").await;
    assert!(!write.is_error(), "{what}: {}", write.text());
}

async fn in_every_place(server: TestServer) {
    let (ends, server) = EndLog::of(server);
    let server = server.start().await;
    let end = async || {
        let ended = server.instance.containers();
        end(&server.instance).await;
        ends.until_known(&ended).await;
    };
    let filled = server.shell("echo kept > kept; mkdir -p sub").await;
    assert_eq!(filled.exit_code(), 0, "{}", filled.0);
    for mode in LOCKED {
        everything_works(&server, mode).await;
        // The first call that a new container gets, of either kind.
        lock(&server, mode).await;
        end().await;
        let list = server.list(".").await;
        assert!(list.text().contains("kept"), "{mode}: {}", list.text());
        lock(&server, mode).await;
        end().await;
        let shell = server.shell("cat kept; stat -c %A .").await;
        assert!(
            shell.stdout().starts_with("kept\ndrwx"),
            "{mode}: {}",
            shell.0
        );
    }
}

#[tokio::test]
async fn a_locked_top_directory_of_a_volume_is_unlocked() {
    in_every_place(TestServer::new()).await;
}

#[tokio::test]
async fn a_locked_top_directory_in_ephemeral_mode_is_unlocked() {
    in_every_place(TestServer::new().mode(Mode::Ephemeral)).await;
}

#[tokio::test]
async fn a_locked_top_directory_in_bind_mode_is_unlocked() {
    let directory = Directory::new(1000);
    let server = TestServer::new()
        .mode(Mode::Bind)
        .env("CASEMATE_BIND_DIR", directory.text());
    in_every_place(server).await;
}

#[tokio::test]
async fn intended_modes_stay_and_nothing_below_the_top_changes() {
    let server = TestServer::new().start().await;
    server
        .shell("echo a > a; mkdir sub; echo b > sub/b; chmod 0 sub; chmod 0500 .")
        .await;
    assert_eq!(server.read("a").await.text(), "a\n");
    assert_eq!(server.write("new", "").await.code(), "permission_denied");
    let stat = server.shell("stat -c %a . sub").await;
    assert_eq!(stat.stdout(), "500\n0\n", "{}", stat.0);
    // The error says what helps.
    let list = server.list("sub").await;
    assert_eq!(list.code(), "permission_denied", "{}", list.text());
    assert!(list.text().contains("chmod u+rwX"), "{}", list.text());
}

#[tokio::test]
async fn a_locked_workspace_is_backed_up_and_restored() {
    let target = Directory::new(0);
    for mode in LOCKED {
        for running in [true, false] {
            let server = TestServer::new().start().await;
            let instance = &server.instance;
            let verb = |args: &[&str]| {
                let output = instance.command(args).output().expect("it runs");
                let said = String::from_utf8_lossy(&output.stderr).into_owned();
                assert!(output.status.success(), "{mode} {running} {args:?}: {said}");
            };
            server.shell("echo kept > kept").await;
            lock(&server, mode).await;
            if !running {
                end(instance).await;
            }
            verb(&["backup", "tester", "--to", target.text()]);
            server.shell("echo other > kept").await;
            lock(&server, mode).await;
            if !running {
                end(instance).await;
            }
            verb(&["restore", "tester", "--from", target.text(), "--force"]);
            assert_eq!(server.read("kept").await.text(), "kept\n", "{mode}");
        }
    }
}

#[tokio::test]
async fn a_container_that_ends_at_its_start_says_with_what_and_why() {
    let server = TestServer::new().start().await;
    server.shell("true").await;
    end(&server.instance).await;
    // Not even its owner can change the mode.
    let immutable = Immutable::new(&server.instance.volumes()[0]);
    for _ in 0..2 {
        let result = server.shell("true").await;
        assert_eq!(result.code(), "sandbox_unavailable", "{}", result.0);
        for part in ["exit code 73", "no_workspace", "/workspace", "operator"] {
            assert!(result.text().contains(part), "{}", result.text());
        }
    }
    drop(immutable);
    assert_eq!(server.shell("echo back").await.stdout(), "back\n");
}

/// A volume whose top has mode 0 and cannot be changed: chattr(1). Dropping this undoes it.
struct Immutable(String);

impl Immutable {
    fn new(volume: &str) -> Self {
        let immutable = Self(volume.to_owned());
        let made = immutable.run("chmod 0 /volume && chattr +i /volume");
        assert!(made, "the Engine's disk is ext4 or XFS");
        immutable
    }

    /// As root with the capability that chattr needs. Where the Engine keeps its volumes may be
    /// no path of this machine.
    fn run(&self, script: &str) -> bool {
        let mount = format!("type=volume,source={},target=/volume,volume-nocopy", self.0);
        let run = [
            "run",
            "--rm",
            "--network=none",
            "--user=0",
            "--cap-add=LINUX_IMMUTABLE",
        ];
        let rest = [
            "--mount",
            &mount,
            "--entrypoint=sh",
            TOOLS_IMAGE,
            "-c",
            script,
        ];
        let ended = Command::new("docker").args(run).args(rest).status();
        ended.expect("docker runs").success()
    }
}

impl Drop for Immutable {
    fn drop(&mut self) {
        self.run("chattr -i /volume");
    }
}
