//! The same against the real Engine: what it stores, and that every weakening shows.

use super::mutations::mutations;
use super::*;
use crate::engine::docker::testing::{Scratch, TOOLS, scratch};
use crate::engine::{EngineError, Workspace};

/// Mutations that an Engine may refuse, or drop. The pure test has them all.
const REFUSED: &[&str] = &[
    // These name a container or a runtime that does not exist.
    "HostConfig.Links",
    "HostConfig.VolumesFrom",
    "HostConfig.Runtime",
    // From API 1.43.
    "HostConfig.Annotations",
    // Up to cgroup version 1.
    "HostConfig.OomKillDisable",
    "HostConfig.CpuRealtimeRuntime",
    // Not with systemd's cgroups, not rootless.
    "HostConfig.CgroupParent",
    "HostConfig.UsernsMode",
];

#[tokio::test]
async fn the_engine_stores_the_profile_as_asked() {
    scratch(async |scratch: &Scratch| {
        let mut spec = scratch.spec(TOOLS).await;
        let volume = scratch
            .engine
            .create(&scratch.name, &spec)
            .await
            .expect("a container");
        assert_eq!((volume.differences, volume.warnings), (vec![], vec![]));
        let unknown = format!("{:?}", scratch.engine.shared.unknown.lock());
        assert_eq!(
            unknown, "UnknownFields({})",
            "the table lacks fields of this Engine"
        );

        spec.workspace = Workspace::Bind("/var/tmp".to_owned());
        let bind = scratch
            .engine
            .create(&format!("{}-bind", scratch.name), &spec)
            .await;
        assert_eq!(bind.expect("a container").differences, vec![]);
    })
    .await;
}

#[tokio::test]
async fn every_weakened_container_shows_in_what_the_engine_stored() {
    scratch(async |scratch: &Scratch| {
        let spec = scratch.spec(TOOLS).await;
        let wanted = spec.body();
        for (index, (field, weaken)) in mutations().into_iter().enumerate() {
            let mut weakened = wanted.clone();
            weaken(&mut weakened);
            let created = match scratch.create(&index.to_string(), weakened).await {
                Ok(created) => created,
                Err(EngineError::Refused { .. }) if REFUSED.contains(&field) => continue,
                Err(error) => panic!("{field}: {error}"),
            };
            let stored = scratch
                .engine
                .inspect(&created.id)
                .await
                .expect("an inspect");
            let stored = stored.expect("it is there").stored;
            let found = compare(spec.engine, &wanted, &stored, &UnknownFields::default());
            scratch
                .engine
                .remove(&created.id)
                .await
                .expect("it is removed");
            let noticed = found
                .iter()
                .any(|found| found.field == field && found.kind == DifferenceKind::Hardening);
            assert!(
                noticed || REFUSED.contains(&field),
                "{field} was not noticed: {found:?}, {:?}",
                created.warnings
            );
        }
    })
    .await;
}

#[tokio::test]
async fn a_container_that_joined_a_network_later_is_noticed() {
    scratch(async |scratch: &Scratch| {
        let spec = scratch.spec(TOOLS).await;
        let id = scratch.container("net", &["sleep", "60"]).await;
        scratch.engine.start(&id).await.expect("it starts");
        let before = scratch.engine.inspect(&id).await.unwrap().unwrap();
        let hardening = |container| {
            let found = scratch.engine.differences(&spec, container);
            let hard = found
                .into_iter()
                .filter(|found| found.kind == DifferenceKind::Hardening);
            hard.map(|found| found.field).collect::<Vec<_>>()
        };
        assert_eq!(hardening(&before), ["Config.Entrypoint"]);

        leave_and_join(scratch, &id).await;
        let after = scratch.engine.inspect(&id).await.unwrap().unwrap();
        assert_eq!(
            hardening(&after),
            ["Config.Entrypoint", "NetworkSettings.Networks"]
        );
    })
    .await;
}

async fn leave_and_join(scratch: &Scratch, id: &str) {
    use bollard::models::{NetworkConnectRequest, NetworkDisconnectRequest};
    let docker = scratch.engine.docker().await.expect("the Engine answers");
    let container = id.to_owned();
    let leave = NetworkDisconnectRequest {
        container: container.clone(),
        force: None,
    };
    docker
        .disconnect_network("none", leave)
        .await
        .expect("it leaves");
    let join = NetworkConnectRequest {
        container,
        endpoint_config: None,
    };
    docker
        .connect_network("bridge", join)
        .await
        .expect("it joins");
}
