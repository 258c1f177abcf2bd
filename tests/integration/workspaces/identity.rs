//! Cases 7 to 11 of the isolation cases, with names of workspaces.

use std::collections::BTreeSet;

use futures_util::future::join_all;

use super::*;

#[tokio::test]
async fn names_that_look_alike_or_run_into_each_other_are_workspaces_of_their_own() {
    let server = quiet().env("CASEMATE_SANDBOXES_PER_USER", "20");
    let app = Application::start(server.env("CASEMATE_MEMORY", "64m")).await;
    // The pairs join to the same text, or look the same.
    let places = [
        at(&app, "ab", None),
        at(&app, "a", "b"),
        at(&app, "a", "B"),
        at(&app, "a", "b/"),
        at(&app, "a", "b%2F"),
        at(&app, "a", "\u{e9}"),
        at(&app, "a", "e\u{301}"),
        at(&app, "a", ".."),
        at(&app, "b", "b"),
        at(&app, "a", "a"),
    ];
    for (number, place) in places.iter().enumerate() {
        let made = place
            .shell(&format!("ls | wc -l; echo {number} > mine"))
            .await;
        assert_eq!(made.stdout(), "0\n", "{place:?}: {}", made.0);
    }
    for (number, place) in places.iter().enumerate() {
        let mine = place.shell("cat mine").await;
        assert_eq!(mine.stdout(), format!("{number}\n"), "{place:?}");
    }
    let names: BTreeSet<_> = places.iter().map(Place::sandbox).collect();
    let volumes: BTreeSet<_> = app.server.instance.volumes().into_iter().collect();
    assert_eq!(names.len(), places.len());
    assert_eq!(volumes, names);
}

#[tokio::test]
async fn a_bad_name_is_a_400_at_every_route_and_reaches_nothing() {
    let app = Application::start(quiet()).await;
    let long = "a".repeat(65);
    let routes = [
        ("POST", "/mcp"),
        ("GET", "/sse"),
        ("POST", "/v1/exec"),
        ("GET", "/v1/files/list"),
        ("GET", "/files/list"),
        ("GET", "/status"),
        ("GET", "/v1/workspaces"),
        ("DELETE", "/v1/workspace?confirm=ada"),
    ];
    for bad in [&b""[..], b"a\tb", b"\xff", long.as_bytes()] {
        for (method, path) in routes {
            let request = Application::of("ada", app.server.request(method, path));
            let answer = app.server.send(request.header(HEADER, bad), "").await;
            assert_eq!(answer.status(), 400, "{method} {path} {bad:?}");
            let said = answer.text().await;
            assert!(said.contains(HEADER), "{said}");
        }
    }
    // A header that is there twice, in any case, is refused, even with one name.
    for second in ["X-Casemate-Workspace", "x-CASEMATE-workspace"] {
        let request = Application::of("ada", app.server.request("GET", "/status"));
        let request = request
            .header("x-casemate-workspace", "a")
            .header(second, "a");
        let answer = app.server.send(request, "").await;
        assert_eq!(answer.status(), 400);
        assert!(answer.text().await.contains("more than once"));
    }
    // Without a credential the answer does not tell.
    let bare = app.server.request("GET", "/status").header(HEADER, "");
    assert_eq!(app.server.send(bare, "").await.status(), 401);
    // The case of the header's name does not count, that of the workspace's name does.
    for header in ["x-casemate-workspace", "X-CASEMATE-WORKSPACE"] {
        let request = Application::of("ada", app.server.request("GET", "/status"));
        let answer = app.server.send(request.header(header, "Chat"), "").await;
        let status: Value = serde_json::from_str(&answer.text().await).expect("JSON");
        assert_eq!(status["data"]["workspace"], "Chat", "{status}");
    }
    assert_eq!(app.server.instance.containers(), [""; 0]);
    assert_eq!(app.server.instance.volumes(), [""; 0]);
}

#[tokio::test]
async fn another_users_workspace_of_the_same_name_is_another_and_a_foreign_one_is_untouched() {
    let app = Application::start(quiet()).await;
    let (ada, bob) = (at(&app, "ada", "chat"), at(&app, "bob", "chat"));
    assert!(
        !ada.call("write_file", json!({ "path": "mine", "content": "x" }))
            .await
            .is_error()
    );
    let seen = bob.call("read_file", json!({ "path": "mine" })).await;
    assert_eq!(seen.code(), "not_found", "{}", seen.0);
    assert_ne!(ada.sandbox(), bob.sandbox());
    let uid = |place: Place| {
        docker::inspect("volume", &place.sandbox())["Labels"]["io.casemate.uid"].clone()
    };
    assert_ne!(uid(ada), uid(bob));

    // A volume with the computed name, and the labels of the user's own workspace.
    let taken = at(&app, "ada", "taken");
    let label = |name: &str, value: &str| format!("--label=io.casemate.{name}={value}");
    let labels = [
        label("instance", app.server.instance.name()),
        label("user", "ada"),
        label("issuer", "app"),
    ];
    docker::output(&[
        "volume",
        "create",
        &labels[0],
        &labels[1],
        &labels[2],
        &taken.sandbox(),
    ]);
    let refused = taken.shell("true").await;
    assert_eq!(refused.code(), "foreign", "{}", refused.0);
    let kept = docker::inspect("volume", &taken.sandbox());
    assert!(kept["Labels"]["io.casemate.uid"].is_null(), "{kept}");
}

#[tokio::test]
async fn many_first_calls_at_once_in_one_workspace_make_one_container() {
    let app = Application::start(quiet()).await;
    let chat = at(&app, "ada", "chat");
    let calls = (0..30).map(|number| async move {
        chat.shell(&format!("echo {number} | tee file-{number}"))
            .await
    });
    for (number, result) in join_all(calls).await.into_iter().enumerate() {
        assert_eq!(result.stdout(), format!("{number}\n"), "{}", result.0);
    }
    assert_eq!(chat.shell("ls | wc -l").await.stdout(), "30\n");
    assert_eq!(app.server.instance.containers().len(), 1);
    assert_eq!(app.server.instance.volumes(), [chat.sandbox()]);
}

/// Case 10: the same ids in all workspaces of one user.
#[tokio::test]
async fn calls_with_the_same_id_are_answered_in_their_own_workspace() {
    let app = Application::start(quiet()).await;
    let places = [
        at(&app, "ada", None),
        at(&app, "ada", "a"),
        at(&app, "ada", "b"),
    ];
    for place in places {
        let text = place.workspace.unwrap_or("own");
        let written = place
            .call("write_file", json!({ "path": "mine", "content": text }))
            .await;
        assert!(!written.is_error(), "{}", written.0);
    }
    let calls = (0..600).map(|number| {
        let place = places[number % places.len()];
        async move {
            (
                place,
                place.call("read_file", json!({ "path": "mine" })).await,
            )
        }
    });
    let calls = futures_util::stream::iter(calls);
    let results: Vec<_> =
        futures_util::StreamExt::collect(futures_util::StreamExt::buffer_unordered(calls, 16))
            .await;
    for (place, result) in results {
        let expected = place.workspace.unwrap_or("own");
        assert_eq!(result.text().lines().next(), Some(expected), "{}", result.0);
    }
}

#[tokio::test]
async fn another_header_can_name_the_workspace_and_ours_is_then_nothing() {
    let server = quiet().env("CASEMATE_WORKSPACE_HEADER", "X-Conversation-Id");
    let app = Application::start(server).await;
    let request = Application::of("ada", app.server.request("GET", "/v1/workspaces"));
    let request = request
        .header("x-conversation-id", "c-1")
        .header(HEADER, "other");
    let answer = app.server.send(request, "").await;
    let listed: Value = serde_json::from_str(&answer.text().await).expect("JSON");
    assert_eq!(listed["data"]["header"], "x-conversation-id", "{listed}");
    let request = Application::of("ada", app.server.request("GET", "/status"));
    let answer = app
        .server
        .send(request.header("x-conversation-id", "c-1"), "")
        .await;
    let status: Value = serde_json::from_str(&answer.text().await).expect("JSON");
    assert_eq!(status["data"]["workspace"], "c-1");
}
