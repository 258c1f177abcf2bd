//! Containers, volumes and exec streams of the real Engine.

use bytes::Bytes;
use tokio::io::AsyncWriteExt;

use crate::engine::docker::testing::{Scratch, TOOLS, scratch};
use crate::engine::labels::{self, INSTANCE, USER};
use crate::engine::{EndedContainer, EngineError, ExecStream, State};
use futures_util::StreamExt;

#[tokio::test]
async fn a_container_goes_from_absent_to_gone() {
    scratch(async |scratch: &Scratch| {
        let engine = &scratch.engine;
        assert!(engine.inspect(&scratch.name).await.unwrap().is_none());
        let id = scratch.container("a", &["sh", "-c", "exit 75"]).await;
        let name = format!("{}-a", scratch.name);

        let container = engine.inspect(&name).await.unwrap().unwrap();
        assert_eq!((&container.id, &container.name), (&id, &name));
        assert_eq!(
            (container.state, container.exit_code),
            (State::Created, None)
        );
        assert_eq!(container.labels[INSTANCE], scratch.name);

        let rows = engine
            .list_containers(&[(INSTANCE, &scratch.name)])
            .await
            .unwrap();
        assert_eq!(
            (rows.len(), &rows[0].name, rows[0].state),
            (1, &name, State::Created)
        );
        assert!(rows[0].created > 1_600_000_000);
        let filter = [(INSTANCE, scratch.name.as_str()), (USER, "somebody else")];
        assert_eq!(engine.list_containers(&filter).await.unwrap(), []);

        let gone = tokio::spawn(engine.ended(&id));
        engine.start(&id).await.unwrap();
        assert_eq!(
            gone.await.unwrap().unwrap(),
            EndedContainer::with_code(Some(75))
        );
        assert!(engine.inspect(&id).await.unwrap().is_none());
    })
    .await;
}

#[tokio::test]
async fn what_is_done_already_is_no_error() {
    scratch(async |scratch: &Scratch| {
        let engine = &scratch.engine;
        let id = scratch.container("a", &["sleep", "60"]).await;
        engine.start(&id).await.unwrap();
        engine.start(&id).await.unwrap();
        let gone = tokio::spawn(engine.ended(&id));
        engine.remove(&id).await.unwrap();
        assert_eq!(gone.await.unwrap().unwrap().exit_code, Some(137));

        engine.remove(&id).await.unwrap();
        assert_eq!(engine.ended(&id).await.unwrap(), EndedContainer::default());
        let error = engine.start(&id).await.unwrap_err();
        assert!(matches!(error, EngineError::Missing { .. }), "{error:?}");
    })
    .await;
}

#[tokio::test]
async fn a_name_in_use_and_an_image_that_is_gone_are_errors_of_their_own() {
    scratch(async |scratch: &Scratch| {
        let engine = &scratch.engine;
        let mut spec = scratch.spec(TOOLS).await;
        engine.create(&scratch.name, &spec).await.unwrap();
        let error = engine.create(&scratch.name, &spec).await.unwrap_err();
        assert!(matches!(error, EngineError::Conflict { .. }), "{error:?}");

        spec.image.id = format!("sha256:{}", "0".repeat(64));
        let error = engine
            .create(&format!("{}-2", scratch.name), &spec)
            .await
            .unwrap_err();
        assert!(
            matches!(error, EngineError::ImageMissing { .. }),
            "{error:?}"
        );
        assert!(!error.is_retryable());
    })
    .await;
}

#[tokio::test]
async fn a_container_that_lost_hardening_is_removed_and_never_handed_out() {
    scratch(async |scratch: &Scratch| {
        // What no tmpfs covers becomes an anonymous volume of the Engine's own making.
        let image = scratch.image("v", &[("a", "")], &["VOLUME /data"]).await;
        let spec = scratch.spec(&image).await;
        let error = scratch
            .engine
            .create(&scratch.name, &spec)
            .await
            .unwrap_err();
        assert!(error.to_string().contains("Mounts./data"), "{error}");
        assert!(matches!(error, EngineError::Weakened { .. }), "{error:?}");
        assert!(
            scratch
                .engine
                .inspect(&scratch.name)
                .await
                .unwrap()
                .is_none()
        );
    })
    .await;
}

#[tokio::test]
async fn a_volume_is_made_once_and_found_by_its_owner_alone() {
    scratch(async |scratch: &Scratch| {
        let engine = &scratch.engine;
        let (name, labels) = (scratch.name.as_str(), scratch.labels());
        for _ in 0..2 {
            engine
                .ensure_volume(name, &labels, &[], None)
                .await
                .unwrap();
        }
        let rows = engine.list_volumes(&[(INSTANCE, name)]).await.unwrap();
        assert_eq!((rows.len(), rows[0].name.as_str()), (1, name));
        assert_eq!(rows[0].labels, labels.to_map());

        let mut foreign = labels.clone();
        foreign.user = "another".to_owned();
        let error = engine
            .ensure_volume(name, &foreign, &[], None)
            .await
            .unwrap_err();
        assert!(
            matches!(error, EngineError::Foreign { kind: "volume", .. }),
            "{error:?}"
        );

        scratch
            .engine
            .create(name, &scratch.spec(TOOLS).await)
            .await
            .unwrap();
        let error = engine.remove_volume(name).await.unwrap_err();
        assert!(matches!(error, EngineError::InUse { .. }), "{error:?}");
        engine.remove(name).await.unwrap();
        engine.remove_volume(name).await.unwrap();
        engine.remove_volume(name).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_volume_without_labels_is_foreign() {
    scratch(async |scratch: &Scratch| {
        let docker = scratch.engine.docker().await.unwrap();
        let request = bollard::models::VolumeCreateRequest {
            name: Some(scratch.name.clone()),
            ..Default::default()
        };
        docker.create_volume(request).await.unwrap();
        let made = scratch
            .engine
            .ensure_volume(&scratch.name, &scratch.labels(), &[], None)
            .await;
        assert!(matches!(made, Err(EngineError::Foreign { .. })), "{made:?}");
    })
    .await;
}

#[tokio::test]
async fn a_volume_that_the_engine_makes_for_a_container_is_as_if_we_had_made_it() {
    scratch(async |scratch: &Scratch| {
        let spec = scratch.spec(TOOLS).await;
        // Nobody made it before.
        let created = scratch.create("a", spec.body()).await.expect("a container");
        let ours = [(labels::INSTANCE, scratch.name.as_str())];
        let volumes = scratch.engine.list_volumes(&ours).await.unwrap();
        let [volume] = volumes.as_slice() else {
            panic!("{volumes:?}")
        };
        assert_eq!(volume.labels, spec.volume_labels());
        let found = scratch
            .engine
            .ensure_volume(&scratch.name, &spec.labels, &[], None);
        found.await.expect("not foreign");
        // Another making, and another version: the container is the same.
        let mut other = spec.clone();
        other.made_for = "another".to_owned();
        other.labels.version = "9.0.0".to_owned();
        let container = scratch.engine.inspect(&created.id).await.unwrap().unwrap();
        assert_eq!(scratch.engine.differences(&other, &container), []);
    })
    .await;
}

#[tokio::test]
async fn a_megabyte_goes_through_a_program_and_comes_back() {
    scratch(async |scratch: &Scratch| {
        let id = scratch.container("a", &["sleep", "60"]).await;
        scratch.engine.start(&id).await.unwrap();
        let stream = scratch.engine.exec(&id, "65534", &["cat"]).await.unwrap();
        let ExecStream { mut input, output } = stream;
        let sent: Vec<u8> = (0..1 << 20).map(|i: u32| i.to_le_bytes()[1]).collect();
        let expected = sent.clone();
        let writing = tokio::spawn(async move {
            input.write_all(&sent).await.unwrap();
            input.shutdown().await.unwrap();
            input
        });
        let received: Vec<Bytes> = output.map(Result::unwrap).collect().await;
        drop(writing.await.unwrap());
        assert_eq!(received.concat(), expected);
    })
    .await;
}

#[tokio::test]
async fn stderr_is_no_part_of_the_output() {
    scratch(async |scratch: &Scratch| {
        let id = scratch.container("a", &["sleep", "60"]).await;
        scratch.engine.start(&id).await.unwrap();
        let command = ["sh", "-c", "echo noise >&2; id -u; echo more >&2"];
        let stream = scratch.engine.exec(&id, "65534", &command).await.unwrap();
        let received: Vec<Bytes> = stream.output.map(Result::unwrap).collect().await;
        assert_eq!(received.concat(), b"65534\n");
    })
    .await;
}

#[tokio::test]
async fn an_exec_that_cannot_be_says_why() {
    scratch(async |scratch: &Scratch| {
        let engine = &scratch.engine;
        let error = engine
            .exec(&scratch.name, "1", &["true"])
            .await
            .err()
            .unwrap();
        assert!(matches!(error, EngineError::Missing { .. }), "{error:?}");

        let id = scratch.container("a", &["sleep", "60"]).await;
        let error = engine.exec(&id, "1", &["true"]).await.err().unwrap();
        assert!(matches!(error, EngineError::NotRunning { .. }), "{error:?}");

        engine.start(&id).await.unwrap();
        let stream = engine.exec(&id, "1", &["/not/there"]).await.unwrap();
        let received: Vec<_> = stream.output.collect().await;
        assert!(
            matches!(received.as_slice(), [Err(EngineError::Exec { .. })]),
            "{received:?}"
        );
    })
    .await;
}
