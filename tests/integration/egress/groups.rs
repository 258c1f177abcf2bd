//! What the users of a group reach, while its rules and its members change.

use std::time::Duration;

use serde_json::json;

use super::lab::Lab;
use super::{assert_denied, run, said, trust};
use crate::harness::{Instance, docker, eventually};

/// How soon a change of the settings file counts.
const SOON: Duration = Duration::from_secs(15);

const SETTINGS: &str = r#"[egress]
allow = ["one.test"]
[[groups]]
name = "analysts"
users = ["alice", "bob"]
egress = { allow = ["two.test"], extend = true }
[[groups]]
name = "locked"
users = ["dave"]
egress = { allow = [] }
[[users]]
user = "bob"
egress = { allow = ["three.test"], extend = true }
"#;

const ALL: &str = "say([attempt(tls, host) for host in ('one.test', 'two.test', 'three.test')])";

#[tokio::test]
async fn a_groups_rules_count_for_its_users_and_follow_the_file() {
    let lab = Lab::new();
    let _hosts = [
        lab.host("one.test", "93.184.1.1"),
        lab.host("two.test", "93.184.1.2"),
        lab.host("three.test", "93.184.1.3"),
    ];
    let instance = Instance::new();
    let (no, yes) = ("EAI_NONAME", "ping");
    let mut servers = Vec::new();
    for (user, expected) in [
        ("alice", [yes, yes, no]),
        ("bob", [yes, yes, yes]),
        ("carol", [yes, no, no]),
        ("dave", [no, no, no]),
    ] {
        let server = lab.server_on(&instance, "casemate.toml", SETTINGS);
        let server = server.user(user).start().await;
        trust(&lab, &server).await;
        assert_eq!(said(&server, ALL).await, json!(expected), "{user}");
        servers.push(server);
    }

    lab.set("casemate.toml", &SETTINGS.replace("two.test", "three.test"));
    eventually("the group's other rule counts", SOON, async || {
        said(&servers[0], ALL).await == json!([yes, no, yes])
    })
    .await;
    let refused = run(&servers[0], "say(attempt(tls, 'two.test'))").await;
    assert_denied(&refused.result, "two.test", "not_allowed");
    assert_eq!(said(&servers[2], ALL).await, json!([yes, no, no]));

    // The containers are still of a group that the file does not have any more.
    let (everybody, _) = SETTINGS.split_once("[[groups]]").expect("groups");
    lab.set("casemate.toml", everybody);
    eventually("a group that is gone reaches nothing", SOON, async || {
        said(&servers[0], ALL).await == json!([no, no, no])
    })
    .await;
    assert_eq!(said(&servers[2], ALL).await, json!([yes, no, no]));
}

#[tokio::test]
async fn a_user_who_left_the_group_has_a_new_container_with_everybodys_rules() {
    let lab = Lab::new();
    let _hosts = [
        lab.host("one.test", "93.184.1.1"),
        lab.host("two.test", "93.184.1.2"),
    ];
    let instance = Instance::new();
    let both = "say([attempt(tls, host) for host in ('one.test', 'two.test')])";
    let start = async |file: &str, settings: &str| {
        let server = lab.server_on(&instance, file, settings);
        server.user("alice").start().await
    };
    let first = start("first.toml", SETTINGS).await;
    trust(&lab, &first).await;
    assert_eq!(said(&first, both).await, json!(["ping", "ping"]));
    let old = instance.container();
    let label = |id: &str| {
        docker::inspect("container", id)["Config"]["Labels"]["io.casemate.group"].clone()
    };
    assert_eq!(label(&old), "analysts");

    let second = start("second.toml", &SETTINGS.replace("\"alice\", ", "")).await;
    assert_eq!(said(&second, both).await, json!(["ping", "EAI_NONAME"]));
    let new = instance.container();
    assert_ne!(new, old);
    assert!(label(&new).is_null());
}
