//! Many users in one process: they share nothing, and none waits for another.

use std::time::{Duration, Instant};

use futures_util::stream::{self, FuturesUnordered, StreamExt as _};
use serde_json::json;

use crate::harness::{Answer, Application, MODERN, TestServer};

#[tokio::test]
async fn another_users_session_is_one_that_does_not_exist() {
    let app = Application::start(TestServer::new()).await;
    let open = Application::of("alice", app.server.request("GET", "/sse"));
    let mut stream = app.server.send(open, "").await;
    let endpoint = stream.event().await.expect("the endpoint").data;
    let unknown = "/messages?sessionId=00000000000000000000000000000000";
    let nobodys = app.ping("bob", unknown).await;
    assert_eq!(nobodys.0, 404);
    assert_eq!(app.ping("bob", &endpoint).await, nobodys);
    assert_eq!(app.ping("Alice", &endpoint).await, nobodys);
    // Without a credential the session is not even looked up.
    let bare = app.server.send(app.server.post(&endpoint), "{}").await;
    assert_eq!(bare.status(), 401);
    // The owner's session goes on, and got none of these messages.
    assert_eq!(app.ping("alice", &endpoint).await.0, 202);
    let answer = stream.message().await.expect("an answer");
    assert_eq!(answer["result"], json!({}));
}

#[tokio::test]
async fn ten_thousand_calls_with_the_same_id_are_answered_to_who_asked() {
    let app = Application::start(TestServer::new()).await;
    let users = ["a/b", "a_b"];
    for user in users {
        let file = json!({ "path": "mine", "content": user });
        assert!(!app.call(user, "write_file", file).await.is_error());
    }
    let calls = stream::iter(0..10_000).map(|at| {
        let (app, user) = (&app, users[at % 2]);
        async move {
            let result = app.call(user, "read_file", json!({ "path": "mine" })).await;
            assert_eq!(result.text().lines().next(), Some(user), "{:?}", result.0);
        }
    });
    let answered = calls.buffer_unordered(64).count().await;
    assert_eq!(answered, 10_000);
}

#[tokio::test]
async fn a_users_thousand_calls_keep_another_waiting_no_second_longer() {
    let app = Application::start(TestServer::new()).await;
    // The first caller prepares the image, once for all.
    app.shell("first", "true").await;
    let start = Instant::now();
    assert_eq!(app.shell("usual", "echo hi").await.stdout(), "hi\n");
    let usual = start.elapsed();

    let params = json!({ "name": "shell_exec", "arguments": { "command": "sleep 100" } });
    let thousand = (0..1_000).map(|_| {
        let (request, body) = app.server.question(MODERN, "tools/call", &params);
        let request = Application::of("greedy", request);
        let server = &app.server;
        async move { server.send(request, body).await }
    });
    let answers = futures_util::future::join_all(thousand).await;
    // The allowed number run and wait; the others are refused before they are read, or, on a slow
    // machine, within a stream as the 257th in the line. Dropping an answer disconnects its client.
    let (refused, others): (Vec<_>, Vec<_>) = answers
        .into_iter()
        .partition(|answer| answer.status() == 429);
    let mut others: FuturesUnordered<_> = others.into_iter().map(Answer::result).collect();
    let busy = others.by_ref().take(1_000 - 16 - 256 - refused.len());
    let busy = tokio::time::timeout(Duration::from_secs(10), busy.collect::<Vec<_>>());
    for busy in busy.await.expect("the refusals come at once") {
        assert_eq!(busy.code(), "busy", "{}", busy.0);
    }
    let start = Instant::now();
    let result = app.shell("modest", "echo hi").await;
    let took = start.elapsed();
    assert_eq!(result.stdout(), "hi\n");
    let most = usual + Duration::from_secs(1);
    assert!(took < most, "{took:?}, on a server at rest {usual:?}");
    drop(others);
}

#[tokio::test]
async fn a_hundred_idle_sandboxes_cost_under_60_mb_and_almost_no_cpu_time() {
    // Small, so that they fit on the machine next to those of the other tests.
    let server = TestServer::new().env("CASEMATE_MEMORY", "64m");
    let app = Application::start(server).await;
    let before = app.server.memory();
    let calls = stream::iter(0..100).map(|at| {
        let app = &app;
        async move {
            let result = app.shell(&format!("user-{at}"), "true").await;
            assert_eq!(result.outcome(), "exited", "{}", result.0);
        }
    });
    calls.buffer_unordered(4).collect::<()>().await;
    assert_eq!(app.server.instance.containers().len(), 100);
    // 60 MB with a released program, of which 12 MB are in memory; the tests' own is larger.
    let kib = app.server.memory() - before;
    assert!(kib < 48 << 10, "{kib} KiB for 100 sandboxes");
    // The least of three times: on a busy machine the work of the calls above can end in the first.
    let mut least = Duration::MAX;
    for _ in 0..3 {
        let before = app.server.cpu_time();
        tokio::time::sleep(Duration::from_secs(10)).await;
        least = least.min(app.server.cpu_time().saturating_sub(before));
        if least < Duration::from_millis(500) {
            return;
        }
    }
    panic!("{least:?} of 10 s");
}
