//! The removal of containers that were created and never started because their server was
//! killed, and whose user had no later call.

use std::time::Duration;

use crate::harness::{Instance, TestServer, docker, eventually};

/// The age of an abandoned container: one minute, and a margin because the Engine reports
/// whole seconds.
const ABANDONED: Duration = Duration::from_secs(62);

/// Makes a container with labels that a server could have given it, and does not start
/// it.
fn never_started(labels: &[(&str, &str)]) -> docker::Container {
    let labels = labels
        .iter()
        .map(|(name, value)| format!("--label=io.casemate.{name}={value}"));
    let labels: Vec<String> = labels.collect();
    let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
    let create = ["create", "--network=none"];
    let image = [crate::harness::TOOLS_IMAGE, "true"];
    docker::Container(docker::output(&[&create[..], &labels, &image].concat()))
}

fn is_there(container: &docker::Container) -> bool {
    let all = docker::lines(&["ps", "--all", "--quiet", "--no-trunc"]);
    all.contains(&container.0)
}

#[tokio::test]
async fn a_server_removes_never_started_containers_except_young_or_foreign() {
    let (instance, other) = (Instance::new(), Instance::new());
    let ours = |of: &str| never_started(&[("instance", of), ("user", "gone"), ("issuer", "local")]);
    let abandoned = [ours(instance.name()), ours(instance.name())];
    let foreign = [
        ours(other.name()),
        never_started(&[("instance", instance.name())]),
        never_started(&[("instance", instance.name()), ("user", "gone")]),
        never_started(&[("user", "gone"), ("issuer", "local")]),
        never_started(&[]),
    ];
    let unused = TestServer::on(&instance).start().await;
    // They have to age: there is no event to wait for.
    tokio::time::sleep(ABANDONED).await;
    let young = ours(instance.name());
    // A server without calls sends the Engine no request.
    assert!(abandoned.iter().all(is_there));
    drop(unused);

    let server = TestServer::on(&instance).start().await;
    assert_eq!(server.shell("echo used").await.stdout(), "used\n");
    eventually(
        "the abandoned are gone",
        Duration::from_secs(10),
        async || !abandoned.iter().any(is_there),
    )
    .await;
    assert!(is_there(&young), "a young one");
    for (n, container) in foreign.iter().enumerate() {
        assert!(is_there(container), "foreign one {n}");
    }
    // The sweep leaves running containers alone.
    assert_eq!(server.shell("echo used").await.stdout(), "used\n");
}

#[tokio::test]
async fn at_the_limit_never_started_containers_are_removed_first() {
    let instance = Instance::new();
    let server = TestServer::on(&instance)
        .env("CASEMATE_MODE", "ephemeral")
        .env("CASEMATE_MAX_SANDBOXES", "2");
    let server = server.start().await;
    // The first use of a server sweeps; its next sweep comes in an hour.
    server.write("a", "").await;
    let name = instance.name();
    let abandoned = never_started(&[("instance", name), ("user", "gone"), ("issuer", "local")]);
    tokio::time::sleep(ABANDONED).await;
    assert!(is_there(&abandoned));
    let arguments = serde_json::json!({ "command": "sleep 1000", "wait_seconds": 0 });
    let first = server.call("shell_exec", arguments).await;
    assert_eq!(first.outcome(), "running", "{}", first.0);
    let second = server.shell("echo in").await;
    assert_eq!(second.stdout(), "in\n", "{}", second.0);
    assert!(!is_there(&abandoned));
}
