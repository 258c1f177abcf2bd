//! Over a directory; the parts for S3 are tested over HTTP.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use super::*;
use crate::ops::backup::heartbeat;

/// A directory of the test's own, not made yet. Dropping it removes it.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        Self(std::env::temp_dir().join(format!("casemate-{}", uuid::Uuid::new_v4().simple())))
    }

    fn store(&self) -> Store {
        let target = BackupTarget::Directory(self.0.clone());
        Store::open(&target, &AwsVariables::default()).expect("a store")
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn now() -> Id {
    Id::new(SystemTime::now())
}

#[test]
fn nobody_else_reads_a_directory_that_is_made_for_backups() {
    let directory = Directory::new();
    directory.store();
    let mode = fs::metadata(&directory.0)
        .expect("made")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[tokio::test]
async fn an_object_of_several_pieces_is_read_whole() {
    let directory = Directory::new();
    let (store, path) = (directory.store(), Path::from("large"));
    for size in [0, 1, PIECE, 2 * PIECE + 1] {
        let content: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
        store.put(&path, content.clone()).await.expect("put");
        let read = store.get(&path).await.expect("there");
        let read: Vec<Bytes> = read.try_collect().await.expect("read");
        assert!(read.iter().all(|slice| slice.len() <= SLICE));
        assert!(read.concat() == content, "{size}");
    }
}

#[test]
fn one_that_a_clock_named_which_ran_ahead_is_as_old_as_the_store_says() {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let hour = Duration::from_secs(3600);
    let found = |stored| BackupObjects {
        objects: [(MANIFEST.to_owned(), stored)].into(),
    };
    let (past, ahead) = (Id::new(now - 2 * hour), Id::new(now + 1000 * hour));
    assert_eq!(found(now).made(&past, now), Some(now - 2 * hour));
    assert_eq!(found(now - hour).made(&ahead, now), Some(now - hour));
    assert_eq!(found(now + hour).made(&ahead, now), None);
}

#[tokio::test]
async fn what_was_completed_since_it_was_looked_for_is_not_taken_for_a_leftover() {
    let directory = Directory::new();
    let (store, prefix, id) = (directory.store(), Path::from("user"), now());
    let backup = prefix.clone().join(id.as_str());
    let names = || async {
        let all = store.list(&prefix).await.expect("a list");
        let found = all.get(&id).cloned().unwrap_or_default();
        found.objects.into_keys().collect::<Vec<_>>()
    };
    for name in [ARCHIVE, LIST, STARTED] {
        store
            .put(&backup.clone().join(name), b"{}".to_vec())
            .await
            .expect("put");
    }
    let old = store.list(&prefix).await.expect("a list");
    let found = &old[&id];
    assert!(!found.is_complete());
    // As who makes it ends.
    store
        .put(&backup.clone().join(MANIFEST), b"{}".to_vec())
        .await
        .expect("put");
    store
        .delete(&backup.clone().join(STARTED))
        .await
        .expect("gone");
    let collected = heartbeat::collect(&store, &prefix, &id, found).await;
    assert!(
        !collected.expect("no error"),
        "a finished backup was removed"
    );
    assert_eq!(names().await, [LIST, MANIFEST, ARCHIVE]);
    // Without a manifest it goes.
    store
        .delete(&backup.clone().join(MANIFEST))
        .await
        .expect("gone");
    assert!(
        heartbeat::collect(&store, &prefix, &id, found)
            .await
            .expect("removed")
    );
    assert_eq!(names().await, Vec::<String>::new());
}

#[test]
fn it_is_complete_with_all_of_it() {
    let found = |names: &[&str]| BackupObjects {
        objects: names
            .iter()
            .map(|name| ((*name).to_owned(), SystemTime::now()))
            .collect(),
    };
    assert!(found(&[ARCHIVE, LIST, MANIFEST]).is_complete());
    for two in [[ARCHIVE, LIST], [ARCHIVE, MANIFEST], [LIST, MANIFEST]] {
        assert!(!found(&two).is_complete(), "{two:?}");
    }
}
