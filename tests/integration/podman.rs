//! What is Podman's alone, and limits on any Engine: they are real, or there is no sandbox. What Podman does
//! otherwise in a test of another module is asserted there; `docs/engines.md` has the table.

use std::time::Duration;

use serde_json::Value;

use crate::harness::{Instance, TestServer, docker, eventually};

/// How long a container may take to be replaced.
const SOON: Duration = Duration::from_secs(20);

/// Whether the Engine can give no limits: a rootless Podman on cgroup version 1.
fn is_without_limits() -> bool {
    let words = "{{.CgroupVersion}} {{.SecurityOptions}}";
    let engine = docker::output(&["info", "--format", words]);
    docker::is_podman() && engine.starts_with('1') && engine.contains("rootless")
}

fn doctor(instance: &Instance) -> Value {
    let output = instance.command(&["doctor", "--json"]).output();
    let output = output.expect("it runs");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn finding<'a>(report: &'a Value, check: &str) -> &'a Value {
    let mut all = report["findings"].as_array().expect("findings").iter();
    all.find(|it| it["check"] == check).expect("the finding")
}

/// Podman reports, accepts and then drops them without a warning.
#[tokio::test]
async fn limits_are_real_or_every_sandbox_is_refused_by_name() {
    let server = TestServer::new().start().await;
    let first = server.shell("echo ran").await;
    let report = doctor(&server.instance);
    let cgroups = finding(&report, "cgroups");
    if !is_without_limits() {
        assert_eq!(first.stdout(), "ran\n", "{}", first.0);
        assert_ne!(cgroups["level"], "error", "{report}");
        assert_eq!(finding(&report, "limits")["level"], "ok", "{report}");
        return;
    }
    assert!(first.is_error(), "{}", first.0);
    let said = first.0.to_string();
    for part in ["cannot limit the memory, CPU time, processes", "cgroup v2"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert_eq!(cgroups["level"], "error", "{report}");
    let fix = cgroups["mend"].as_str().expect("a fix");
    assert!(fix.contains("cgroup v2"), "{fix}");
}

/// A further name of the tools image, which goes alone at the end of the test.
struct Tag(String);

impl Drop for Tag {
    fn drop(&mut self) {
        docker::quietly(&["rmi", "--no-prune", &self.0]);
    }
}

/// `podman build --tag NAME` makes `localhost/NAME`, and its Docker API means another image by `NAME`.
#[tokio::test]
async fn an_image_of_podmans_own_machine_is_found_by_its_short_name() {
    if !docker::is_podman() || is_without_limits() {
        // Docker knows no such names.
        return;
    }
    let name = format!("casemate-test-{}:latest", uuid::Uuid::new_v4().simple());
    let local = Tag(format!("localhost/{name}"));
    docker::output(&["tag", crate::harness::TOOLS_IMAGE, &local.0]);
    let server = TestServer::new().env("CASEMATE_IMAGE", &name).start().await;
    let result = server.shell("echo found").await;
    assert_eq!(result.stdout(), "found\n", "{}", result.0);
    assert!(server.end().await.success());
}

/// PID 1 reports what it had at its start. Where Podman says something else later, its word is not true.
#[tokio::test]
async fn a_sandbox_that_is_not_as_podman_says_makes_room_for_another() {
    if !docker::is_podman() || is_without_limits() {
        // Docker's word is true.
        return;
    }
    let server = TestServer::new().start().await;
    server.shell("true").await;
    let container = server.instance.container();
    docker::output(&["update", "--pids-limit", "100", &container]);
    let processes = docker::top(&container).into_iter();
    let bridges = processes.filter(|(_, args)| args.ends_with("casemate-init bridge"));
    docker::kill_on_host(&bridges.map(|(pid, _)| pid).collect::<Vec<_>>());

    let answers = async || !server.list(".").await.is_error();
    eventually("another container", SOON, answers).await;
    assert_ne!(server.instance.container(), container);
}
