//! How many workspaces a user may have, and how long an unused one is kept.

use super::*;
use crate::harness::{Directory, eventually};

/// Waits until all sandboxes have ended.
async fn at_rest(app: &Application) {
    let instance = &app.server.instance;
    eventually("they end", SOON, async || instance.containers().is_empty()).await;
}

#[tokio::test]
async fn at_the_limit_an_empty_unused_workspace_goes_else_the_error_names_the_oldest() {
    let audit = Directory::new(0);
    let server = quiet()
        .env("CASEMATE_WORKSPACES_PER_USER", "2")
        .env("CASEMATE_IDLE_TIMEOUT", "1s")
        .env("CASEMATE_AUDIT", audit.text());
    let app = Application::start(server).await;
    let [full, empty, third, fourth] =
        ["full", "empty", "third", "fourth"].map(|name| at(&app, "ada", name));
    let own = at(&app, "ada", None);
    for place in [own, full] {
        assert_eq!(place.shell("echo a > file").await.outcome(), "exited");
    }
    // Hidden directories of the sandbox's own do not count, but what a user has there does.
    assert_eq!(
        empty
            .shell("mkdir -p ~/.cache/a; touch b; rm b")
            .await
            .outcome(),
        "exited"
    );
    at_rest(&app).await;
    assert_eq!(third.shell("touch ~/.profile").await.outcome(), "exited");
    let volumes = app.server.instance.volumes();
    assert!(!volumes.contains(&empty.sandbox()), "{volumes:?}");
    for kept in [own, full, third] {
        assert!(volumes.contains(&kept.sandbox()), "{kept:?}: {volumes:?}");
    }
    at_rest(&app).await;
    let refused = fourth.shell("true").await;
    assert_eq!(refused.code(), "too_many_workspaces", "{}", refused.0);
    assert!(refused.text().contains("\"full\""), "{}", refused.text());
    assert!(
        refused.text().contains("2 workspaces"),
        "{}",
        refused.text()
    );
    assert!(!app.server.instance.volumes().contains(&fourth.sandbox()));
    // The user's own workspace, other users' and those that are there are no others.
    for place in [own, full, at(&app, "bob", "fourth")] {
        assert_eq!(place.shell("true").await.outcome(), "exited");
    }
    let (status, removed) = full
        .http("DELETE", "/v1/workspace?confirm=ada&force=true", "")
        .await;
    assert_eq!(status, 200, "{removed}");
    assert_eq!(fourth.shell("true").await.outcome(), "exited");
    // Each removal is in the audit, with the workspace that it took.
    let removals = verbs::lines(&audit, "removal");
    let emptied = removals.iter().find(|line| line["name"] == empty.sandbox());
    let emptied = emptied.unwrap_or_else(|| panic!("{removals:?}"));
    assert_eq!(emptied["user"]["workspace"], "empty", "{emptied}");
}

#[tokio::test]
async fn a_held_workspace_stays_even_if_it_is_empty_and_none_may_be_no_workspace_at_all() {
    let server = quiet()
        .env("CASEMATE_WORKSPACES_PER_USER", "1")
        .env("CASEMATE_IDLE_TIMEOUT", "1s");
    let app = Application::start(server).await;
    let (held, other) = (at(&app, "ada", "held"), at(&app, "ada", "other"));
    assert_eq!(held.shell("true").await.outcome(), "exited");
    let instance = &app.server.instance;
    let hold = |args: &[&str]| {
        let args = [&["hold", "ada", "--workspace", "held"], args].concat();
        assert!(instance.command(&args).status().expect("it runs").success());
    };
    hold(&[]);
    at_rest(&app).await;
    assert_eq!(other.shell("true").await.code(), "too_many_workspaces");
    hold(&["--release"]);
    assert_eq!(other.shell("true").await.outcome(), "exited");
    assert!(!instance.volumes().contains(&held.sandbox()));

    let none = Application::start(quiet().env("CASEMATE_WORKSPACES_PER_USER", "0")).await;
    let refused = at(&none, "ada", "a").shell("true").await;
    assert_eq!(refused.code(), "too_many_workspaces", "{}", refused.0);
    assert_eq!(
        at(&none, "ada", None).shell("true").await.outcome(),
        "exited"
    );
}
