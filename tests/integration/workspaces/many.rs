//! A user who opens 200 workspaces costs other users nothing.

use std::collections::BTreeSet;
use std::time::Instant;

use futures_util::stream::{self, StreamExt as _};

use super::*;

const WORKSPACES: usize = 200;

/// How long the first call of a user took who had no sandbox.
async fn first_call(app: &Application, user: &str) -> Duration {
    let start = Instant::now();
    assert_eq!(at(app, user, None).shell("echo hi").await.stdout(), "hi\n");
    start.elapsed()
}

#[tokio::test]
async fn while_a_user_opens_two_hundred_workspaces_anothers_first_call_takes_no_longer() {
    let server = quiet().env("CASEMATE_MEMORY", "64m");
    let app = Application::start(server).await;
    first_call(&app, "prepares").await;
    // With the same work for the machine: another user's sandboxes, one after the other.
    let mut usual = Duration::ZERO;
    for number in 0..3 {
        usual = usual.max(first_call(&app, &format!("usual-{number}")).await);
    }
    let names: Vec<String> = (0..WORKSPACES)
        .map(|number| format!("chat-{number}"))
        .collect();
    let opened = stream::iter(&names).map(|name| {
        let place = at(&app, "greedy", name.as_str());
        async move {
            let made = place.shell("echo hi").await;
            assert_eq!(made.stdout(), "hi\n", "{name}: {}", made.0);
        }
    });
    let opened = opened.buffer_unordered(6).collect::<()>();
    let others = async {
        let mut took = Vec::new();
        for number in 0..3 {
            tokio::time::sleep(Duration::from_secs(2)).await;
            took.push(first_call(&app, &format!("modest-{number}")).await);
            let theirs = running(&app.server.instance);
            let prefix = format!("casemate-{}-greedy-", app.server.instance.name());
            let greedy = theirs
                .iter()
                .filter(|name| name.starts_with(&prefix))
                .count();
            assert!(greedy <= 3, "{theirs:?}");
        }
        took
    };
    let ((), took) = tokio::join!(opened, others);
    // The greedy user's new containers use the same two cores.
    let most = usual * 4 + Duration::from_secs(6);
    println!("first calls of others: {took:?}, on a server at rest {usual:?}");
    assert!(
        took.iter().all(|took| *took < most),
        "{took:?}, on a server at rest {usual:?}"
    );
    // Two hundred workspaces, and one uid for all of them.
    let ours = app.server.instance.label();
    let rows = docker::lines(&[
        "volume",
        "ls",
        "--filter",
        &ours,
        "--filter",
        "label=io.casemate.user=greedy",
        "--format",
        r#"{{.Label "io.casemate.uid"}} {{.Name}}"#,
    ]);
    assert_eq!(rows.len(), WORKSPACES);
    let uids: BTreeSet<_> = rows
        .iter()
        .filter_map(|row| row.split(' ').next())
        .collect();
    assert!(uids.len() <= 3, "{uids:?}");
}
