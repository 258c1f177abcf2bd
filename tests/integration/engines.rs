//! What Engines differ in by their settings: limits that do not hold, ids that are mapped.

use serde_json::json;

use crate::harness::{Directory, Instance, TestServer, WithoutMemoryLimit, docker, host, not_run};

/// The tests of a rootless Engine on cgroup v1 meet a real one.
#[tokio::test]
async fn without_limits_no_sandbox_runs_and_nothing_is_made() {
    let (instance, directory) = (Instance::new(), Directory::new(0));
    let socket = std::path::Path::new(directory.text()).join("engine");
    let target = host::socket().expect("the Engine has a socket");
    let engine = WithoutMemoryLimit::new(socket, target);
    for mode in ["persistent", "ephemeral"] {
        let server = TestServer::on(&instance)
            .env("CASEMATE_MODE", mode)
            .env("DOCKER_HOST", &engine.uri())
            .start()
            .await;
        for call in [
            server.shell("true").await,
            server
                .call("write_file", json!({ "path": "a", "content": "b" }))
                .await,
        ] {
            assert_eq!(call.code(), "engine_error", "{}", call.0);
            assert!(
                call.text().contains("cannot limit the memory"),
                "{}",
                call.0
            );
        }
        server.end().await;
    }
    assert_eq!(instance.containers(), Vec::<String>::new());
    assert_eq!(instance.volumes(), Vec::<String>::new());
}

#[tokio::test]
async fn where_ids_are_mapped_a_sandboxs_user_is_nobody_of_the_host() {
    let has_sandboxes = docker::output(&["info", "--format", "{{.MemoryLimit}}"]) == "true";
    if !docker::maps_ids() || !has_sandboxes {
        return not_run("the Engine maps no ids, or runs no sandbox");
    }
    let server = TestServer::new().start().await;
    let result = server.shell("id -u").await;
    let inside: u32 = result.stdout().trim().parse().expect("a uid");
    let pid = docker::pid(&server.instance.container());
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let uids = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    let uid = uids.and_then(|uids| uids.split_whitespace().next());
    let outside: u32 = uid.and_then(|uid| uid.parse().ok()).expect("a uid");
    // Below are accounts, and the uids that other settings give to users.
    assert!(
        outside > 65_536 && outside != inside,
        "{inside} is {outside}"
    );
    // What it wrote belongs to the mapped uid too, so the next container can write it.
    assert_eq!(server.write("a", "1").await.code(), "");
    let owner = server.shell("stat -c %u a .").await;
    assert_eq!(
        owner.stdout(),
        format!("{inside}\n{inside}\n"),
        "{}",
        owner.0
    );
}

#[tokio::test]
async fn where_ids_are_mapped_bind_mode_says_why_it_does_not_work_and_doctor_too() {
    let why = match ["userns", "rootless"].map(docker::has_security_option) {
        [true, _] => "this one maps users into a namespace",
        [_, true] => "this one is rootless",
        _ => return not_run("the Engine maps no ids"),
    };
    let (instance, directory) = (Instance::new(), Directory::new(1000));
    let bound = TestServer::on(&instance)
        .env("CASEMATE_MODE", "bind")
        .env("CASEMATE_BIND_DIR", directory.text());
    let server = bound.start().await;
    let result = server.shell("true").await;
    assert_eq!(result.code(), "workspace_unusable", "{}", result.0);
    assert!(result.text().contains(why), "{}", result.0);
    let doctor = instance
        .command(&["doctor"])
        .env("CASEMATE_MODE", "bind")
        .env("CASEMATE_BIND_DIR", directory.text())
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&doctor.stdout);
    let bind = said.lines().find(|line| line.starts_with("ERROR    bind "));
    assert!(bind.is_some_and(|line| line.contains(why)), "{said}");
    assert_eq!(instance.containers(), Vec::<String>::new());
}
