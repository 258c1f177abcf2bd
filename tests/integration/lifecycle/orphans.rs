//! Containers whose server died before it started them.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::json;

use super::copied;
use crate::harness::{Instance, TestServer, allowed, docker};

#[tokio::test]
async fn a_container_that_never_started_or_ended_makes_room_after_five_seconds() {
    let instance = Instance::new();
    let meet = async |user: &str, how: &[&str], command: &[&str]| {
        let server = TestServer::on(&instance)
            .user(user)
            .env("CASEMATE_WARM", "off")
            .start()
            .await;
        server.shell("echo kept > file").await;
        let filter = format!("label=io.casemate.user={user}");
        let label = instance.label();
        let container = docker::output(&[
            "ps",
            "--quiet",
            "--no-trunc",
            "--filter",
            &filter,
            "--filter",
            &label,
        ]);
        let (_, options) = copied(&container);
        let image = docker::inspect("container", &container)["Image"]
            .as_str()
            .expect("an image")
            .to_owned();
        docker::output(&["rm", "--force", &container]);
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        let without_network = &["--network=none"];
        let found = [how, without_network, &options, &[&image], command].concat();
        let found = docker::output(&found);
        let start = Instant::now();
        let result = server.shell("cat file").await;
        let elapsed = start.elapsed();
        assert_eq!(result.stdout(), "kept\n", "{user}: {}", result.0);
        assert!(
            (Duration::from_secs(4)..allowed(Duration::from_secs(15))).contains(&elapsed),
            "{user}: {elapsed:?}"
        );
        let listed = docker::lines(&["ps", "--all", "--quiet", "--no-trunc", "--filter", &label]);
        assert!(!listed.contains(&found), "{user}");
    };
    tokio::join!(
        meet("never started", &["create"], &["true"]),
        meet(
            "exited",
            &["run", "--detach", "--entrypoint=/bin/sh"],
            &["-c", "exit 3"]
        ),
    );
    assert_eq!(instance.containers().len(), 2);
}

#[tokio::test]
async fn a_server_that_is_killed_while_it_makes_the_container_leaves_no_trouble() {
    let instance = Instance::new();
    let meet = async |delay: u64| {
        let server = || {
            TestServer::on(&instance)
                .user(&format!("user {delay}"))
                .start()
        };
        let mut first = server().await;
        let (_, pending) = first
            .start_call("shell_exec", json!({ "command": "sleep 7951" }))
            .await;
        tokio::time::sleep(Duration::from_millis(delay)).await;
        first.signal("KILL");
        first.wait().await;
        drop(pending);
        let start = Instant::now();
        let result = server().await.shell("echo fine").await;
        assert_eq!(result.stdout(), "fine\n", "{delay} ms: {}", result.0);
        assert!(
            start.elapsed() < allowed(Duration::from_secs(15)),
            "{delay} ms: {:?}",
            start.elapsed()
        );
    };
    join_all([20, 60, 120, 200, 300, 450].map(meet)).await;
    // A server that was killed between two requests leaves the container that gives the volume its
    // owner: it never ran, and the clean-up removes it a minute later.
    let label = instance.label();
    let ps = |more: &[&str]| {
        let all = ["ps", "--all", "--format={{.Names}}", "--filter", &label];
        docker::lines(&[&all[..], more].concat())
    };
    assert_eq!(ps(&["--filter", "status=running"]).len(), 6);
    let idle = ps(&["--filter", "status=created"]);
    assert!(idle.iter().all(|name| name.contains("-owner-")), "{idle:?}");
    assert_eq!(ps(&[]).len(), 6 + idle.len());
}
