use std::sync::Mutex;

use bollard::query_parameters::{RemoveImageOptionsBuilder, TagImageOptionsBuilder};

use super::*;
use crate::engine::docker::testing::{Scratch, scratch};

const INIT: &[u8] = b"not a program, never run";

fn config(volumes: &[&str]) -> ImageConfig {
    let volumes = volumes
        .iter()
        .map(|&path| (path.to_owned(), serde_json::json!({})))
        .collect();
    ImageConfig {
        volumes: Some(volumes),
        ..ImageConfig::default()
    }
}

#[test]
fn volumes_are_covered_but_where_something_of_ours_is() {
    let covered = usable(
        "linux",
        &config(&["/workspace/", "/tmp", "/data", "//data/./", "logs"]),
    );
    assert_eq!(covered, Ok(vec!["/data".to_owned(), "/logs".to_owned()]));
}

#[test]
fn a_volume_above_or_below_what_is_ours_is_refused_by_name() {
    for volume in [
        "/",
        "/workspace/data",
        "/tmp/cache",
        "/data/../workspace/a",
        "/casemate-init",
        "/casemate/data",
        "/proc/a",
        "/sys",
        "/dev/shm",
    ] {
        let reason = usable("linux", &config(&["/data", volume])).unwrap_err();
        assert!(
            reason.contains(&format!("VOLUME {volume} ")),
            "{volume}: {reason}"
        );
    }
    assert!(usable("linux", &config(&["/workspace-evil", "/tmpfs", "/devel"])).is_ok());
}

#[test]
fn what_is_not_linux_or_is_to_be_built_upon_is_refused() {
    assert!(
        usable("windows", &ImageConfig::default())
            .unwrap_err()
            .contains("windows")
    );
    assert!(usable("", &ImageConfig::default()).is_err());
    let on_build = Some(vec!["RUN make".to_owned()]);
    let config = ImageConfig {
        on_build,
        ..ImageConfig::default()
    };
    assert!(usable("linux", &config).unwrap_err().contains("ONBUILD"));
    let empty = ImageConfig {
        on_build: Some(Vec::new()),
        ..ImageConfig::default()
    };
    assert_eq!(usable("linux", &empty), Ok(Vec::new()));
}

#[test]
fn the_tag_changes_with_the_base_and_with_the_init() {
    assert_eq!(
        tag("a", "b", UidRange::NONE).len(),
        REPOSITORY.len() + 1 + TAG_DIGITS
    );
    assert_ne!(tag("a", "b", UidRange::NONE), tag("a", "c", UidRange::NONE));
    assert_ne!(tag("a", "b", UidRange::NONE), tag("c", "b", UidRange::NONE));
    assert_eq!(tag("a", "b", UidRange::NONE), tag("a", "b", UidRange::NONE));
}

#[test]
fn no_name_leads_to_another_path_of_the_api() {
    for bad in [
        "", "..", "a/../b", "a//b", "/a", "a?b", "a#b", "a b", "a%2e", "-a", "a/.",
    ] {
        assert!(path_of(bad).is_err(), "{bad}");
    }
    for good in [
        "debian:12",
        "localhost:5000/a/b@sha256:0",
        "[::1]:5000/a",
        "sha256:0",
    ] {
        assert_eq!(path_of(good).unwrap(), good);
    }
}

async fn prepared(scratch: &Scratch, image: &str) -> PreparedImage {
    scratch
        .engine
        .prepared_image(image, INIT, UidRange::NONE, |_| {})
        .await
        .expect("a prepared image")
}

/// The error's text.
async fn refused(scratch: &Scratch, image: &str) -> String {
    let outcome = scratch
        .engine
        .prepared_image(image, INIT, UidRange::NONE, |_| {})
        .await;
    let error = outcome.expect_err("an image that cannot be used");
    assert!(
        matches!(error, EngineError::ImageUnusable { .. }),
        "{error:?}"
    );
    error.to_string()
}

#[tokio::test]
async fn it_is_prepared_once_also_by_several_servers_at_a_time() {
    scratch(async |scratch: &Scratch| {
        let image = scratch.image("many", &[("a", "")], &[]).await;
        let all = futures_util::future::join_all((0..4).map(|_| prepared(scratch, &image))).await;
        let said = Mutex::new(Vec::new());
        let again = scratch
            .engine
            .prepared_image(&image, INIT, UidRange::NONE, |word| {
                said.lock().unwrap().push(word.to_owned())
            })
            .await
            .expect("a prepared image");
        assert!(said.lock().unwrap().is_empty(), "{said:?}");
        assert!(all.iter().all(|one| one.tag == again.tag));
        let other = scratch
            .engine
            .prepared_image(&image, b"another init", UidRange::NONE, |_| {})
            .await
            .unwrap();
        assert_ne!(other.tag, again.tag);
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_used_is_refused_by_name() {
    scratch(async |scratch: &Scratch| {
        let image = scratch
            .image("below", &[("a", "")], &["VOLUME /workspace/data"])
            .await;
        assert!(
            refused(scratch, &image)
                .await
                .contains("VOLUME /workspace/data")
        );
        let image = scratch
            .image("build", &[("a", "")], &["ONBUILD RUN make"])
            .await;
        assert!(refused(scratch, &image).await.contains("ONBUILD"));
    })
    .await;
}

#[tokio::test]
async fn an_image_that_is_nowhere_is_missing_and_the_error_says_why() {
    scratch(async |scratch: &Scratch| {
        // No registry listens on this port.
        let nowhere = format!("127.0.0.1:1/{}:none", scratch.name);
        let error = scratch
            .engine
            .prepared_image(&nowhere, INIT, UidRange::NONE, |_| {})
            .await
            .unwrap_err();
        assert!(
            matches!(error, EngineError::ImageMissing { .. }),
            "{error:?}"
        );
        assert!(error.to_string().contains("refused"), "{error}");
        let id = format!("sha256:{}", "0".repeat(64));
        let error = scratch
            .engine
            .prepared_image(&id, INIT, UidRange::NONE, |_| {})
            .await
            .unwrap_err();
        assert!(
            error.to_string().contains("an id cannot be pulled"),
            "{error}"
        );
    })
    .await;
}

#[tokio::test]
async fn an_image_of_our_name_that_is_not_ours_is_left_alone() {
    scratch(async |scratch: &Scratch| {
        let image = scratch.image("base", &[("a", "")], &[]).await;
        let tag = prepared(scratch, &image).await.tag;
        // The same name for an image without our label.
        let docker = scratch.engine.docker().await.unwrap();
        let (repo, version) = tag.split_once(':').unwrap();
        let options = TagImageOptionsBuilder::new()
            .repo(repo)
            .tag(version)
            .build();
        docker.tag_image(&image, Some(options)).await.unwrap();
        let error = scratch
            .engine
            .prepared_image(&image, INIT, UidRange::NONE, |_| {})
            .await
            .unwrap_err();
        let options = RemoveImageOptionsBuilder::new().build();
        docker
            .remove_image(&tag, Some(options), None)
            .await
            .unwrap();
        assert!(
            matches!(error, EngineError::Foreign { kind: "image", .. }),
            "{error:?}"
        );
    })
    .await;
}
