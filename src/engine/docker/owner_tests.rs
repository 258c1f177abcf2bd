//! A volume's owner, as the Engine's disk and the next container show it.

use casemate_protocol::WORKSPACE;

use super::*;
use crate::engine::docker::testing::{Scratch, scratch};
use crate::engine::{RunAs, UidRange};

const UIDS: UidRange = UidRange::new(65_700, 2);

/// A specification with a shell in place of the init, over an image prepared for [`UIDS`].
async fn spec(scratch: &Scratch, uid: u32) -> ContainerSpec {
    let tools = crate::engine::docker::testing::TOOLS;
    let prepared = scratch
        .engine
        .prepared_image(tools, b"never run", UIDS, |_| {});
    let image = prepared.await.expect("a prepared image");
    let mut spec = scratch.spec(&image.tag).await;
    spec.image = image;
    spec.run_as = RunAs::with_uid(uid).expect("a user");
    let (engine, labels) = (&scratch.engine, &spec.labels);
    let volume = engine.ensure_volume(&scratch.name, labels, &[], spec.volume_size);
    volume.await.expect("a volume");
    spec
}

/// Whether the user can write into the workspace, by running a shell on it as a sandbox would.
async fn writes(scratch: &Scratch, spec: &ContainerSpec, name: &str, script: &str) -> bool {
    let mut body = spec.body();
    let command = ["/bin/sh", "-c", script];
    body.entrypoint = Some(command.map(str::to_owned).into());
    let id = scratch.create(name, body).await.expect("a container").id;
    let removed = scratch.engine.ended(&id);
    let (removed, started) = tokio::join!(removed, scratch.engine.start(&id));
    started.expect("it starts");
    removed.expect("it ends").exit_code == Some(0)
}

#[tokio::test]
async fn a_new_volume_is_its_users_after_the_step_and_stays_so_when_it_is_emptied() {
    scratch(async |scratch: &Scratch| {
        let spec = spec(scratch, 65_701).await;
        let write = format!("echo a > {WORKSPACE}/.a");
        assert!(!writes(scratch, &spec, "before", &write).await);
        for _ in 0..2 {
            scratch.engine.give_to_user(&spec).await.expect("given");
        }
        assert!(writes(scratch, &spec, "first", &write).await);
        let empty = format!("rm -rf {WORKSPACE}/.a && chmod 0700 {WORKSPACE}");
        assert!(writes(scratch, &spec, "empties", &empty).await);
        let still = format!("test \"$(stat -c '%u %g %a' {WORKSPACE})\" = '65701 65701 700'");
        assert!(writes(scratch, &spec, "next", &still).await);
        let names = [(labels::INSTANCE, scratch.name.as_str())];
        let left = scratch
            .engine
            .list_containers(&names)
            .await
            .expect("a list");
        assert!(
            left.iter().all(|row| !row.name.contains("-owner-")),
            "{left:?}"
        );
    })
    .await;
}

#[tokio::test]
async fn a_volume_that_holds_something_keeps_its_owner() {
    scratch(async |scratch: &Scratch| {
        let mut spec = spec(scratch, 65_700).await;
        scratch.engine.give_to_user(&spec).await.expect("given");
        let write = format!("echo a > {WORKSPACE}/a");
        assert!(writes(scratch, &spec, "first", &write).await);
        spec.run_as = RunAs::with_uid(65_701).expect("a user");
        scratch
            .engine
            .give_to_user(&spec)
            .await
            .expect("nothing happens");
        assert!(!writes(scratch, &spec, "other", &format!("echo b > {WORKSPACE}/b")).await);
    })
    .await;
}

#[test]
fn only_the_container_that_gives_an_owner_lets_the_engine_copy() {
    let spec = crate::engine::docker::testing::spec();
    let copies = |body: ContainerCreateBody| {
        let mounts = body.host_config.expect("one").mounts.expect("mounts");
        let options = mounts
            .into_iter()
            .map(|mount| (mount.target, mount.volume_options));
        options
            .map(|(target, options)| (target.expect("a place"), options.expect("options").no_copy))
            .collect::<Vec<_>>()
    };
    assert_eq!(copies(spec.body()), [(WORKSPACE.to_owned(), Some(true))]);
    let place = "/1000".to_owned();
    assert_eq!(copies(spec.owner_body()), [(place, Some(false))]);
}
