//! The end of an idle container, and calls that arrive at that moment.

use std::time::Duration;

use futures_util::future::join_all;

use super::{restarted, until_gone};
use crate::harness::{Instance, Server, TestServer, docker};

#[tokio::test]
async fn an_idle_container_ends_itself_with_a_server_connected_and_with_none() {
    let mut server = TestServer::new()
        .env("CASEMATE_IDLE_TIMEOUT", "2s")
        .start()
        .await;
    server.shell("echo kept > file; touch /tmp/lost").await;
    until_gone(&server.instance.container()).await;
    assert_eq!(server.instance.containers(), [""; 0]);
    assert_eq!(server.instance.volumes().len(), 1);
    let result = server.shell("cat file; ls -A /tmp").await;
    assert_eq!(result.stdout(), "kept\n");
    assert_eq!(
        restarted(&result).as_deref(),
        Some("the sandbox had ended itself after being idle")
    );
    assert_eq!(restarted(&server.shell("true").await), None);
    let container = server.instance.container();
    server.signal("KILL");
    server.wait().await;
    until_gone(&container).await;
}

#[tokio::test]
async fn background_processes_keep_the_container_until_their_time_is_over() {
    let server = TestServer::new()
        .env("CASEMATE_IDLE_TIMEOUT", "1s")
        .start()
        .await;
    server.shell("(sleep 3; touch ended) &").await;
    let container = server.instance.container();
    until_gone(&container).await;
    assert_eq!(server.shell("ls ended").await.stdout(), "ended\n");
    // A forgotten background process does not keep the container for ever.
    let forgetful = TestServer::on(&server.instance).user("forgetful");
    let limits = [
        ("CASEMATE_IDLE_TIMEOUT", "1s"),
        ("CASEMATE_BACKGROUND_TTL", "1s"),
    ];
    let forgetful = limits
        .iter()
        .fold(forgetful, |server, (name, value)| server.env(name, value));
    let forgetful = forgetful.start().await;
    forgetful
        .shell("trap '' TERM; (while :; do sleep 7901; done) &")
        .await;
    let label = [
        "--filter",
        "label=io.casemate.user=forgetful",
        "--filter",
        &server.instance.label(),
    ];
    let listed = docker::lines(&[&["ps", "--quiet", "--no-trunc"], &label[..]].concat());
    assert_eq!(listed.len(), 1);
    until_gone(&listed[0]).await;
}

/// Pauses around an idle timeout of 1 s, in milliseconds: before it, at it, and
/// while the container ends.
const PAUSES: [u64; 7] = [900, 1010, 980, 1100, 1000, 1040, 1020];

/// Calls of one user, alternately through two servers and sometimes through both.
async fn calls_around_idle_ends(instance: &Instance, user: usize) {
    let server = || TestServer::on(instance).user(&format!("user {user}"));
    let server = || {
        server()
            .env("CASEMATE_IDLE_TIMEOUT", "1s")
            .env("CASEMATE_WARM", "off")
            .start()
    };
    let (first, second) = (server().await, server().await);
    let call = async |server: &Server, n: usize| {
        let result = server.shell(&format!("echo {n} >> count; echo {n}")).await;
        let stdout = &result.0["structuredContent"]["stdout"];
        assert_eq!(
            *stdout,
            format!("{n}\n"),
            "user {user}, call {n}: {}",
            result.0
        );
    };
    let mut n = 0;
    for round in 0..12 {
        match round % 4 {
            0 | 1 => call(&first, n).await,
            2 => call(&second, n).await,
            _ => {
                n += 1;
                tokio::join!(call(&first, n - 1), call(&second, n));
            }
        }
        n += 1;
        // A fixed pause on purpose: the container may end in it.
        tokio::time::sleep(Duration::from_millis(
            PAUSES[(round + 3 * user) % PAUSES.len()],
        ))
        .await;
    }
    let result = first.shell("sort -n count").await;
    let wanted: Vec<String> = (0..n).map(|n| n.to_string()).collect();
    assert_eq!(
        result.stdout().lines().collect::<Vec<_>>(),
        wanted,
        "user {user}"
    );
}

#[tokio::test]
async fn calls_that_meet_idle_ends_are_all_answered_and_each_is_run_once() {
    let instance = Instance::new();
    join_all((0..4).map(|user| calls_around_idle_ends(&instance, user))).await;
}
