//! The Engine's disk without quotas: one user fills it for all.

use std::time::Duration;

use super::{fill, is_freed, is_no_space, nothing_is_written, server, the_rest_works};
use crate::harness::{Disk, Engine, Instance, eventually};

/// Uses up the part of the disk that is reserved for root, as a log or another service may, and,
/// with directories, the few hundred blocks that ext4 reserves for itself.
fn take_roots_part(engine: &Engine) {
    let taken = format!("{}/taken", engine.data());
    engine.host(&format!(
        "mkdir {taken}; cat /dev/zero > {taken}/file; \
         for n in $(seq 5000); do mkdir {taken}/$n || break; done 2> /dev/null; \
         cat /dev/zero >> {taken}/file || true"
    ));
}

fn containers(engine: &Engine) -> usize {
    engine.docker(&["ps", "--all", "--quiet"]).lines().count()
}

/// A user cannot fill the part of the disk that is reserved for root, so the Engine goes on.
#[tokio::test]
async fn an_engines_disk_that_a_user_filled_is_told_to_all_and_freed_by_deleting() {
    let engine = Engine::on(Disk::Small).await.expect("a disk");
    let instance = Instance::new();
    let alice = server(&engine, &instance, "alice").await;
    let bob = server(&engine, &instance, "bob").await;
    bob.shell("echo kept > kept; echo fill > fill").await;
    fill(&alice).await;
    let told = nothing_is_written(&alice).await;
    assert!(told.contains("(0 of 1"), "{told}");
    the_rest_works(&alice).await;
    nothing_is_written(&bob).await;
    the_rest_works(&bob).await;
    // A new sandbox works like those that run.
    engine.docker(&[
        "rm",
        "--force",
        &engine.docker(&["ps", "--quiet", "--latest"]),
    ]);
    the_rest_works(&bob).await;
    let carol = server(&engine, &instance, "carol").await;
    let first = carol.shell("echo hi").await;
    assert_eq!(first.stdout(), "hi\n", "{}", first.0);
    is_no_space(&carol.write("file", &super::large()).await);
    is_freed(&alice).await;
    for other in [&bob, &carol] {
        assert!(!other.write("new", "new").await.is_error());
    }
    for server in [alice, bob, carol] {
        assert!(server.end().await.success());
    }
}

#[tokio::test]
async fn on_a_full_engine_calls_are_refused_by_name_and_nothing_leaks() {
    let engine = Engine::on(Disk::Small).await.expect("a disk");
    let instance = Instance::new();
    let alice = server(&engine, &instance, "alice").await;
    fill(&alice).await;
    take_roots_part(&engine);
    // Running commands go on, also for a new server.
    for server in [&alice, &server(&engine, &instance, "alice").await] {
        nothing_is_written(server).await;
        the_rest_works(server).await;
    }
    let bob = server(&engine, &instance, "bob").await;
    for _ in 0..3 {
        let refused = bob.shell("echo never > never").await;
        is_no_space(&refused);
        let text = refused.text();
        assert!(text.contains("Engine has no disk space"), "{text}");
        is_no_space(&bob.list(".").await);
    }
    eventually(
        "of the failures nothing is left",
        Duration::from_secs(10),
        async || containers(&engine) == 1,
    )
    .await;
    is_freed(&alice).await;
    engine.host(&format!("rm -r {}/taken", engine.data()));
    let first = bob.shell("ls; echo hi").await;
    assert_eq!(first.stdout(), "hi\n", "{}", first.0);
    assert_eq!(containers(&engine), 2);
    for server in [alice, bob] {
        assert!(server.end().await.success());
    }
}
