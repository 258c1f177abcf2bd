//! One user's workspaces share one budget of sandboxes and calls, and no other user pays for it.

use std::time::Instant;

use super::*;
use crate::harness::eventually;

/// When a command of two seconds began and ended, in nanoseconds.
async fn timed(place: Place<'_>) -> [u128; 2] {
    let result = place.shell("date +%s%N; sleep 2; date +%s%N").await;
    let times = result
        .stdout()
        .lines()
        .map(|line| line.parse().expect("a time"));
    let times: Vec<u128> = times.collect();
    times.try_into().expect("two times")
}

#[tokio::test]
async fn the_users_longest_idle_sandbox_ends_for_another_and_nobody_elses_does() {
    let app = Application::start(quiet().env("CASEMATE_SANDBOXES_PER_USER", "2")).await;
    let bob = at(&app, "bob", None);
    assert_eq!(bob.shell("echo hi").await.stdout(), "hi\n");
    let places = ["a", "b", "c"].map(|name| at(&app, "ada", name));
    let instance = &app.server.instance;
    for place in places {
        let made = place.shell("date > mine").await;
        assert_eq!(made.outcome(), "exited", "{}", made.0);
        let theirs = running(instance).len() - 1;
        assert!(theirs <= 2, "{:?}", running(instance));
    }
    let names = running(instance);
    assert!(!names.contains(&places[0].sandbox()), "{names:?}");
    for kept in [bob, places[1], places[2]] {
        assert!(names.contains(&kept.sandbox()), "{kept:?}: {names:?}");
    }
    // One that ended comes back with its files, and says that it is a new container.
    let back = places[0].shell("cat mine | wc -l").await;
    assert_eq!(back.stdout(), "1\n", "{}", back.0);
    let names = running(instance);
    assert!(
        names.contains(&bob.sandbox()) && names.len() == 3,
        "{names:?}"
    );
    assert!(!names.contains(&places[1].sandbox()), "{names:?}");
}

#[tokio::test]
async fn a_sandbox_that_works_is_not_ended_and_the_call_waits_for_the_users_own() {
    let app = Application::start(quiet().env("CASEMATE_SANDBOXES_PER_USER", "1")).await;
    let (first, second) = (at(&app, "ada", "a"), at(&app, "ada", "b"));
    let long = json!({ "command": "sleep 300", "wait_seconds": 0 });
    let started = first.call("shell_exec", long).await;
    let id = started
        .field("command_id")
        .as_str()
        .expect("an id")
        .to_owned();
    let waits = second.shell("echo hi");
    tokio::pin!(waits);
    let early = tokio::time::timeout(Duration::from_secs(3), &mut waits).await;
    assert!(early.is_err(), "it did not wait: {early:?}");
    // Others do not wait for this user's own.
    let start = Instant::now();
    assert_eq!(at(&app, "bob", "b").shell("echo hi").await.stdout(), "hi\n");
    assert!(
        start.elapsed() < Duration::from_secs(20),
        "{:?}",
        start.elapsed()
    );
    let stopped = first
        .call("shell_exec", json!({ "command_id": id, "stop": true }))
        .await;
    assert_eq!(stopped.outcome(), "cancelled", "{}", stopped.0);
    assert_eq!(waits.await.stdout(), "hi\n");
    let names = running(&app.server.instance);
    assert!(!names.contains(&first.sandbox()), "{names:?}");
}

#[tokio::test]
async fn calls_at_once_are_counted_over_all_workspaces_of_a_user() {
    let app = Application::start(quiet().env("CASEMATE_CALLS_PER_USER", "1")).await;
    let (first, second) = (at(&app, "ada", "a"), at(&app, "ada", "b"));
    for place in [first, second] {
        assert_eq!(place.shell("true").await.outcome(), "exited");
    }
    let (one, other) = tokio::join!(timed(first), timed(second));
    assert!(
        one[1] <= other[0] || other[1] <= one[0],
        "they ran at once: {one:?} {other:?}"
    );
}

/// The longest idle sandbox is bob's, and ada has two.
#[tokio::test]
async fn at_the_limit_of_the_server_the_user_with_the_most_loses_one() {
    let app = Application::start(quiet().env("CASEMATE_MAX_SANDBOXES", "3")).await;
    let (bob, eve) = (at(&app, "bob", None), at(&app, "eve", None));
    let ada = [at(&app, "ada", "a"), at(&app, "ada", "b")];
    for place in [bob, ada[0], ada[1]] {
        assert_eq!(place.shell("true").await.outcome(), "exited");
    }
    // No sandbox of another user ends before it was idle for 30 s.
    tokio::time::sleep(Duration::from_secs(32)).await;
    assert_eq!(eve.shell("echo hi").await.stdout(), "hi\n");
    let names = running(&app.server.instance);
    assert!(names.contains(&bob.sandbox()), "{names:?}");
    assert!(!names.contains(&ada[0].sandbox()), "{names:?}");
}

/// In ephemeral mode the commands of a user that run at once are counted over all workspaces.
#[tokio::test]
async fn ephemeral_containers_are_counted_by_user_too() {
    let server = quiet().mode(casemate::config::Mode::Ephemeral);
    let app = Application::start(server.env("CASEMATE_EPHEMERAL_LIVE", "1")).await;
    let places = [at(&app, "ada", "a"), at(&app, "ada", "b")];
    for place in places {
        assert_eq!(place.shell("true").await.outcome(), "exited");
    }
    let (one, other) = tokio::join!(timed(places[0]), timed(places[1]));
    assert!(
        one[1] <= other[0] || other[1] <= one[0],
        "they ran at once: {one:?} {other:?}"
    );
    eventually("no more than one of each waits", SOON, async || {
        running(&app.server.instance).len() <= 2
    })
    .await;
}
