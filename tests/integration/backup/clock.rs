//! Backups by the clock, inside a server.

use super::{COMPLETE, PATIENCE, backups, exec, objects, target};
use crate::harness::{Instance, TestServer, eventually};

#[tokio::test]
async fn a_server_backs_up_every_user_by_itself_and_not_again_before_it_is_time() {
    let (instance, target) = (Instance::new(), target());
    exec(&instance, "echo mine > file");
    let server = TestServer::on(&instance)
        .user("bob")
        .env("CASEMATE_BACKUP_TARGET", target.text())
        .env("CASEMATE_BACKUP_EVERY", "1h");
    let first = server.clone().start().await;
    let complete = || {
        let all = backups(&target);
        all.len() == 1 && objects(&all[0]) == COMPLETE
    };
    eventually("alice is backed up", PATIENCE, async || complete()).await;
    assert!(first.end().await.success());
    let made = backups(&target);
    // One that starts later finds it: bob, who is new, comes first, and alice not again.
    let second = server.start().await;
    second.shell("true").await;
    eventually("bob is backed up", PATIENCE, async || {
        backups(&target).len() == 2
    })
    .await;
    let now = backups(&target);
    assert!(now.contains(&made[0]), "{now:?}");
    let users = |paths: &[std::path::PathBuf]| {
        let parent = |path: &std::path::PathBuf| path.parent().map(std::path::Path::to_owned);
        paths
            .iter()
            .map(parent)
            .collect::<std::collections::BTreeSet<_>>()
            .len()
    };
    assert_eq!(users(&now), 2);
}
