use bollard::models::ContainerCreateBody;

use super::*;
use crate::engine::UidRange;
use crate::engine::docker::testing::{Scratch, scratch};

async fn prepared(scratch: &Scratch, image: &str, init: &[u8]) -> PreparedImage {
    let prepared = scratch
        .engine
        .prepared_image(image, init, UidRange::NONE, |_| {})
        .await;
    prepared.expect("a prepared image")
}

async fn is_there(scratch: &Scratch, image: &PreparedImage) -> bool {
    let found = scratch.engine.inspect_image(&image.tag).await;
    found.expect("the Engine answers").is_some()
}

async fn collect(scratch: &Scratch, keep: &PreparedImage, than: Duration) {
    let unused = scratch
        .engine
        .unused_older(std::slice::from_ref(keep), than);
    for name in unused.await.expect("it looks") {
        scratch
            .engine
            .remove_unless_used(&name)
            .await
            .expect("it collects");
    }
}

#[tokio::test]
async fn what_a_newer_one_replaced_is_collected_once_it_is_old() {
    scratch(async |scratch: &Scratch| {
        let image = scratch.image("a", &[("a", "")], &[]).await;
        let old = prepared(scratch, &image, b"old").await;
        let keep = prepared(scratch, &image, b"new").await;
        collect(scratch, &keep, UNUSED_IMAGE_TTL).await;
        assert!(is_there(scratch, &old).await);

        while !is_older(now(scratch, &old).await, Duration::ZERO) {
            tokio::task::yield_now().await;
        }
        collect(scratch, &keep, Duration::ZERO).await;
        assert!(!is_there(scratch, &old).await);
        assert!(is_there(scratch, &keep).await);
        assert!(
            scratch
                .engine
                .inspect_image(&image)
                .await
                .unwrap()
                .is_some()
        );
    })
    .await;
}

#[tokio::test]
async fn one_whose_base_has_another_name_now_is_collected_and_the_base_is_not() {
    scratch(async |scratch: &Scratch| {
        let image = scratch.image("a", &[("a", "")], &[]).await;
        let old = prepared(scratch, &image, b"init").await;
        scratch.image("a", &[("a", "newer")], &[]).await;
        let other = scratch.image("b", &[("b", "")], &[]).await;
        let keep = prepared(scratch, &other, b"init").await;
        collect(scratch, &keep, Duration::ZERO).await;
        assert!(!is_there(scratch, &old).await);
        let base = scratch.engine.inspect_image(&old.base_id).await.unwrap();
        assert!(base.is_some(), "the operator's image was pruned");
        let docker = scratch.engine.docker().await.unwrap();
        let options = RemoveImageOptionsBuilder::new().build();
        docker
            .remove_image(&old.base_id, Some(options), None)
            .await
            .unwrap();
    })
    .await;
}

#[tokio::test]
async fn one_that_a_container_uses_or_whose_base_is_as_it_was_stays() {
    scratch(async |scratch: &Scratch| {
        let image = scratch.image("a", &[("a", "")], &[]).await;
        let used = prepared(scratch, &image, b"used").await;
        let body = ContainerCreateBody {
            image: Some(used.id.clone()),
            entrypoint: Some(vec!["/never".to_owned()]),
            ..ContainerCreateBody::default()
        };
        scratch.create("user", body).await.expect("a container");
        let other = scratch.image("b", &[("b", "")], &[]).await;
        let current = prepared(scratch, &other, b"init").await;
        let keep = prepared(scratch, &image, b"new").await;
        collect(scratch, &keep, Duration::ZERO).await;
        for image in [&used, &current, &keep] {
            assert!(is_there(scratch, image).await, "{image:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn one_that_somebody_made_theirs_by_a_name_stays() {
    scratch(async |scratch: &Scratch| {
        let image = scratch.image("a", &[("a", "")], &[]).await;
        let old = prepared(scratch, &image, b"old").await;
        let docker = scratch.engine.docker().await.unwrap();
        let name = format!("{image}-theirs");
        let (repository, tag) = name.rsplit_once(':').unwrap_or((&name, "latest"));
        let options = bollard::query_parameters::TagImageOptionsBuilder::new()
            .repo(repository)
            .tag(tag)
            .build();
        docker.tag_image(&old.id, Some(options)).await.unwrap();
        let keep = prepared(scratch, &image, b"new").await;
        while !is_older(now(scratch, &old).await, Duration::ZERO) {
            tokio::task::yield_now().await;
        }
        collect(scratch, &keep, Duration::ZERO).await;
        assert!(is_there(scratch, &old).await);
        let options = RemoveImageOptionsBuilder::new().build();
        let name = format!("{repository}:{tag}");
        let removed = docker.remove_image(&name, Some(options), None);
        removed.await.unwrap();
        collect(scratch, &keep, Duration::ZERO).await;
        assert!(!is_there(scratch, &old).await);
    })
    .await;
}

/// When the Engine says that the image was made.
async fn now(scratch: &Scratch, image: &PreparedImage) -> i64 {
    let docker = scratch.engine.docker().await.unwrap();
    let options = ListImagesOptionsBuilder::new().build();
    let images = docker.list_images(Some(options)).await.unwrap();
    images
        .iter()
        .find(|found| found.id == image.id)
        .expect("it is there")
        .created
}
