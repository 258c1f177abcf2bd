//! A link leads into the workspace in which something was shared.

use super::*;
use crate::harness::Directory;

#[tokio::test]
async fn a_link_opens_what_was_shared_in_its_workspace_for_its_user_alone() {
    let state = Directory::new(0);
    let app = Application::start(quiet().env("XDG_STATE_HOME", state.text())).await;
    let (own, chat) = (at(&app, "ada", None), at(&app, "ada", "chat"));
    let mut paths = Vec::new();
    for (place, text) in [(own, "own"), (chat, "chat")] {
        let file = json!({ "path": "a.txt", "content": text });
        assert!(!place.call("write_file", file).await.is_error());
        let shared = place.call("share", json!({ "path": "a.txt" })).await;
        let link = shared
            .field("link")
            .as_str()
            .unwrap_or_else(|| panic!("{}", shared.0));
        let at = link.find("/s/").expect("a path");
        paths.push(link[at..].to_owned());
        let (_, listed) = place.http("GET", "/shares", "").await;
        assert_eq!(
            listed["data"]["shares"].as_array().map(Vec::len),
            Some(1),
            "{listed}"
        );
    }
    // The hash of the user is that of the user's own workspace alone.
    let hash = |path: &str| path[3..35].to_owned();
    assert_ne!(hash(&paths[0]), hash(&paths[1]));
    // The link says which workspace it is of; the visitor's header does not count.
    for visitor in [own, chat, at(&app, "ada", "third")] {
        for (path, text) in paths.iter().zip(["own", "chat"]) {
            assert_eq!(visitor.http("GET", path, "").await, (200, json!(text)));
        }
    }
    for path in &paths {
        let (status, _) = at(&app, "bob", "chat").http("GET", path, "").await;
        assert_eq!(status, 404, "{path}");
    }
    // A share of one workspace is not found in the other, even with its signature for the user.
    let id = paths[1].split('.').nth(1).expect("an id");
    let (status, _) = own.http("DELETE", &format!("/shares/{id}"), "").await;
    assert_eq!(status, 200);
    assert_eq!(own.http("GET", &paths[1], "").await.0, 200);
    let (status, _) = chat.http("DELETE", &format!("/shares/{id}"), "").await;
    assert_eq!(status, 200);
    assert_eq!(own.http("GET", &paths[1], "").await.0, 404);
    // No workspace was made for a visitor.
    let third = at(&app, "ada", "third").sandbox();
    assert!(!app.server.instance.volumes().contains(&third));
}
