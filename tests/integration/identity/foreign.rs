//! Containers and volumes that have the name of a sandbox.

use super::sandbox_name;
use crate::harness::{Instance, Server, TOOLS_IMAGE, TestServer, docker};

/// Labels for `docker create` and `docker volume create`: of this user and instance, with one
/// that differs or is missing.
fn foreign_labels(instance: &Instance, user: &str) -> Vec<Vec<String>> {
    let own = [
        ("instance", instance.name()),
        ("user", user),
        ("issuer", "local"),
    ];
    let label = |name: &str, value: &str| format!("--label=io.casemate.{name}={value}");
    let but = |other: &str, replaced: Option<&str>| -> Vec<String> {
        own.iter()
            .filter_map(|&(name, value)| match name == other {
                true => replaced.map(|value| label(name, value)),
                false => Some(label(name, value)),
            })
            .collect()
    };
    vec![
        Vec::new(),
        but("instance", Some("other")),
        but("user", Some("other")),
        but("user", Some("")),
        but("issuer", Some("https://issuer.example")),
        but("issuer", None),
    ]
}

async fn is_refused(server: &Server) {
    for result in [
        server.shell("echo taken > /workspace/taken").await,
        server.write("taken", "taken").await,
        server.list(".").await,
    ] {
        assert!(result.is_error());
        assert_eq!(result.code(), "foreign", "{}", result.text());
        assert!(
            result.text().contains("CASEMATE_INSTANCE"),
            "{}",
            result.text()
        );
    }
}

#[tokio::test]
async fn a_container_of_the_users_name_that_is_not_the_users_is_left_alone() {
    let server = TestServer::new().user("alice").start().await;
    let name = sandbox_name(&server.instance, "alice");
    for (number, labels) in foreign_labels(&server.instance, "alice").iter().enumerate() {
        let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
        // Running, and created only.
        let verb = if number % 2 == 0 {
            &["run", "--detach"][..]
        } else {
            &["create"]
        };
        let command = [
            "--network",
            "none",
            "--name",
            &name,
            TOOLS_IMAGE,
            "sleep",
            "1000",
        ];
        let guard = docker::Container(docker::output(&[verb, &labels, &command].concat()));
        let before = docker::inspect("container", &guard.0);
        // Podman counts its own mounts.
        let changed = || docker::output(&["diff", &guard.0]);
        let changed_before = changed();
        is_refused(&server).await;
        assert_eq!(docker::inspect("container", &guard.0), before, "{labels:?}");
        assert_eq!(changed(), changed_before, "{labels:?}");
    }
    assert!(server.instance.volumes().is_empty());
    // The name is free now, and the same server works again.
    assert_eq!(server.shell("echo mine").await.stdout(), "mine\n");
    assert_eq!(server.instance.volumes(), [name]);
}

#[tokio::test]
async fn a_volume_of_the_users_name_that_is_not_the_users_is_left_alone() {
    let server = TestServer::new().user("alice").start().await;
    let name = sandbox_name(&server.instance, "alice");
    for labels in foreign_labels(&server.instance, "alice") {
        let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
        let create = ["volume", "create"];
        let guard = docker::Volume(docker::output(&[&create[..], &labels, &[&name]].concat()));
        let before = docker::inspect("volume", &guard.0);
        is_refused(&server).await;
        assert_eq!(docker::inspect("volume", &guard.0), before, "{labels:?}");
        assert!(
            docker::lines(&[
                "ps",
                "--all",
                "--quiet",
                "--filter",
                &format!("volume={name}")
            ])
            .is_empty()
        );
    }
    assert!(server.instance.containers().is_empty());
    assert_eq!(server.shell("echo mine").await.stdout(), "mine\n");
}
