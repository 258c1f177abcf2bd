//! One user, one sandbox: with any characters in the id, with foreign resources of the same
//! name, and with many calls at once.

mod foreign;
mod ids;

use std::collections::BTreeSet;
use std::time::Duration;

use casemate::identity::{Instance as InstanceName, SandboxName, User};
use futures_util::future::join_all;
use serde_json::json;

use crate::harness::{CallResult, Directory, HoldingCreates, Instance, Server, TestServer, host};

/// The name of a stdio user's container and volume.
fn sandbox_name(instance: &Instance, user: &str) -> String {
    let instance: InstanceName = instance.name().parse().expect("an instance");
    let user = User::local(user.parse().expect("a subject"));
    SandboxName::new(&instance, &user.into()).to_string()
}

/// Starts these commands at once and gives their results in order.
async fn at_once(server: &Server, commands: Vec<String>) -> Vec<CallResult> {
    join_all(
        commands
            .into_iter()
            .map(async |command| server.shell(&command).await),
    )
    .await
}

#[tokio::test]
async fn fifty_first_calls_at_once_make_one_container_and_one_volume() {
    let server = TestServer::new().env("CASEMATE_WARM", "off").start().await;
    let commands = (0..50)
        .map(|number| format!("echo {number} | tee file-{number}"))
        .collect();
    for (number, result) in at_once(&server, commands).await.iter().enumerate() {
        assert_eq!(result.stdout(), format!("{number}\n"), "{}", result.0);
        assert!(result.field("sandbox").is_null(), "{}", result.0);
    }
    assert_eq!(server.shell("ls | wc -l").await.stdout(), "50\n");
    assert_eq!(server.instance.containers().len(), 1);
    assert_eq!(
        server.instance.volumes(),
        [sandbox_name(&server.instance, "tester")]
    );
}

#[tokio::test]
async fn two_servers_of_one_user_share_a_container_and_lose_no_call() {
    const CALLS: usize = 100;
    let instance = Instance::new();
    let start = || TestServer::on(&instance).start();
    let (first, second) = tokio::join!(start(), start());
    let ids = |server: &str| -> Vec<String> {
        (0..CALLS)
            .map(|number| format!("{server}-{number}"))
            .collect()
    };
    let commands = |server: &str| {
        ids(server)
            .iter()
            .map(|id| format!("echo {id} | tee -a log"))
            .collect()
    };
    let (of_first, of_second) = tokio::join!(
        at_once(&first, commands("first")),
        at_once(&second, commands("second"))
    );
    let mut all = BTreeSet::new();
    for (results, ids) in [(of_first, ids("first")), (of_second, ids("second"))] {
        assert_eq!(results.len(), CALLS);
        for (result, id) in results.iter().zip(ids) {
            assert_eq!(result.stdout(), format!("{id}\n"), "{}", result.0);
            all.insert(id);
        }
    }
    assert_eq!(instance.containers().len(), 1);
    assert_eq!(instance.volumes().len(), 1);
    // Each ran once.
    let log = second.shell("cat log").await;
    let ran: Vec<&str> = log.stdout().lines().collect();
    assert_eq!(ran.len(), 2 * CALLS);
    assert_eq!(
        ran.into_iter().map(str::to_owned).collect::<BTreeSet<_>>(),
        all
    );
}

/// Longer than a container may stay without being started. The wait for an image or for a busy Engine
/// can be as long.
const LONG: Duration = Duration::from_secs(6);

/// On each Engine in its own words: Docker's 409, Podman's 500.
#[tokio::test]
async fn a_server_that_comes_late_with_its_container_uses_the_one_that_another_made() {
    let (instance, directory) = (Instance::new(), Directory::new(0));
    let socket = std::path::Path::new(directory.text()).join("engine");
    let target = host::socket().expect("the Engine has a socket");
    let mut engine = HoldingCreates::new(socket, target);
    let first = TestServer::on(&instance).env("CASEMATE_WARM", "off");
    let first = first.start().await;
    let late = TestServer::on(&instance)
        .env("CASEMATE_WARM", "off")
        .env("DOCKER_HOST", &engine.uri());
    let late = late.start().await;
    let (_, pending) = late
        .start_call("shell_exec", json!({ "command": "cat made" }))
        .await;
    engine.until_held().await;
    let started = tokio::time::Instant::now();
    let made = first.shell("echo by the first > made").await;
    assert_eq!(made.exit_code(), 0, "{}", made.0);
    let container = instance.container();
    tokio::time::sleep_until(started + LONG).await;
    engine.pass();
    let answer = pending.answer().await.expect("an answer");
    let result = CallResult(answer["result"].clone());
    assert_eq!(result.stdout(), "by the first\n", "{}", result.0);
    assert_eq!(instance.container(), container);
}
