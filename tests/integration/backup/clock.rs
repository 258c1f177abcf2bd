//! Scheduled backups, inside a server.

use super::{CALL_TIMEOUT, COMPLETE, backups, done, exec, objects, target};
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
    eventually("alice is backed up", CALL_TIMEOUT, async || complete()).await;
    assert!(first.end().await.success());
    let made = backups(&target);
    // A later server finds it: bob, who is new, comes first, and alice is not backed up again.
    let second = server.start().await;
    second.shell("true").await;
    eventually("bob is backed up", CALL_TIMEOUT, async || {
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

#[tokio::test]
async fn a_backup_with_a_time_in_the_future_does_not_stop_later_backups() {
    let (instance, target) = (Instance::new(), target());
    exec(&instance, "echo old > file");
    done(&instance, &["backup", "alice", "--to", target.text()]);
    let made = backups(&target).remove(0);
    let ahead = made.with_file_name("20990101T000000.000Z-0a1b2c3d");
    std::fs::rename(made, &ahead).expect("renamed");
    // Its objects are old, so a new backup is due.
    let hours_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(7200);
    for name in COMPLETE {
        let object = std::fs::File::options().write(true).open(ahead.join(name));
        object.expect("open").set_modified(hours_ago).expect("set");
    }
    exec(&instance, "echo new > file");
    let server = TestServer::on(&instance)
        .env("CASEMATE_BACKUP_TARGET", target.text())
        .env("CASEMATE_BACKUP_EVERY", "1h")
        .env("CASEMATE_BACKUP_KEEP_LAST", "1")
        .env("CASEMATE_BACKUP_KEEP_DAILY", "0")
        .env("CASEMATE_BACKUP_KEEP_WEEKLY", "0")
        .start()
        .await;
    eventually("the new one is the only one", CALL_TIMEOUT, async || {
        let all = backups(&target);
        all.len() == 1 && all[0] != ahead && objects(&all[0]) == COMPLETE
    })
    .await;
    assert!(server.end().await.success());
    exec(&instance, "rm file");
    done(&instance, &["restore", "alice", "--from", target.text()]);
    assert_eq!(exec(&instance, "cat file"), "new\n");
}
