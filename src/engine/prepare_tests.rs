//! Prepared images of the real Engine, from images as different as they come.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Mutex;

use serde_json::Value;

use super::*;
use crate::engine::label;
use crate::engine::testing::{Scratch, TOOLS, scratch};

const INIT: &[u8] = b"not a program, never run";

async fn prepared(scratch: &Scratch, image: &str) -> PreparedImage {
    scratch
        .engine
        .prepared_image(image, INIT, |_| {})
        .await
        .expect("a prepared image")
}

/// The error's text.
async fn refused(scratch: &Scratch, image: &str) -> String {
    let outcome = scratch.engine.prepared_image(image, INIT, |_| {}).await;
    let error = outcome.expect_err("an image that cannot be used");
    assert!(
        matches!(error, EngineError::ImageUnusable { .. }),
        "{error:?}"
    );
    error.to_string()
}

/// Mode, owner and content of one file of an image.
async fn file(scratch: &Scratch, image: &str, path: &str) -> (u32, u64, String) {
    let body = ContainerCreateBody {
        image: Some(image.to_owned()),
        entrypoint: Some(vec!["/never".to_owned()]),
        ..ContainerCreateBody::default()
    };
    let name = path.replace('/', "_");
    let id = scratch.create(&name, body).await.expect("a container").id;
    let options = DownloadFromContainerOptionsBuilder::new()
        .path(path)
        .build();
    let docker = scratch.engine.docker().await.expect("the Engine answers");
    let chunks = docker.download_from_container(&id, Some(options));
    let archive: Vec<_> = chunks
        .map(|chunk| chunk.expect("an archive"))
        .collect()
        .await;
    let archive = archive.concat();
    let mut archive = tar::Archive::new(archive.as_slice());
    let mut entry = archive.entries().unwrap().next().unwrap().unwrap();
    let mut content = String::new();
    entry.read_to_string(&mut content).unwrap();
    scratch.engine.remove(&id).await.expect("it is removed");
    (
        entry.header().mode().unwrap() & 0o7777,
        entry.header().uid().unwrap(),
        content,
    )
}

async fn config(scratch: &Scratch, image: &str) -> Value {
    let image = scratch
        .engine
        .get("inspect", &format!("/images/{image}/json"))
        .await;
    image.expect("an image")["Config"].take()
}

#[tokio::test]
async fn an_image_of_one_file_is_prepared() {
    scratch(async |scratch: &Scratch| {
        let image = scratch.image("one", &[("app", "binary")], &[]).await;
        let found = prepared(scratch, &image).await;
        let id = &found.id;
        assert_eq!(
            file(scratch, id, "/casemate-init").await,
            (0o711, 0, String::from_utf8_lossy(INIT).into_owned())
        );
        let (mode, owner, _) = file(scratch, id, "/workspace").await;
        assert_eq!((mode, owner), (0o755, 1000));
        let (mode, owner, passwd) = file(scratch, id, "/etc/passwd").await;
        assert_eq!((mode, owner), (0o644, 0));
        assert!(passwd.contains("casemate:x:1000:1000:"), "{passwd}");
        assert_eq!(file(scratch, id, "/app").await.2, "binary");

        let spec = scratch.spec(&found.tag).await;
        let spec = crate::engine::ContainerSpec {
            image: found,
            ..spec
        };
        scratch
            .engine
            .create(&scratch.name, &spec)
            .await
            .expect("a sandbox's container");
    })
    .await;
}

#[tokio::test]
async fn all_that_the_image_says_is_kept() {
    scratch(async |scratch: &Scratch| {
        let lines = [
            "ENV PATH=/opt/go/bin:/bin A=b",
            "ENTRYPOINT [\"/entry\"]",
            "CMD [\"argument\"]",
            "USER 5:6",
            "WORKDIR /srv",
            "LABEL mine=yes",
            "EXPOSE 80/tcp",
            "HEALTHCHECK CMD /bin/true",
            "VOLUME /data",
            "VOLUME /workspace",
        ];
        let image = scratch.image("full", &[("a", "")], &lines).await;
        let found = prepared(scratch, &image).await;
        assert_eq!(found.env, ["PATH=/opt/go/bin:/bin", "A=b"]);
        assert_eq!(found.volumes, ["/data"]);

        let (mut base, mut made) = (
            config(scratch, &image).await,
            config(scratch, &found.tag).await,
        );
        let labels: BTreeMap<String, String> =
            serde_json::from_value(made["Labels"].take()).unwrap();
        let wanted = [
            ("mine", "yes"),
            (label::PREPARED, &found.base_id),
            (label::PREPARED_FROM, &image),
            (label::PREPARING, ""),
        ];
        assert_eq!(
            labels,
            wanted.map(|(k, v)| (k.to_owned(), v.to_owned())).into()
        );
        base["Labels"].take();
        assert_eq!(made, base);
        // The VOLUME did not swallow what was uploaded.
        assert_eq!(file(scratch, &found.id, "/workspace").await.1, 1000);
    })
    .await;
}

#[tokio::test]
async fn an_image_without_entrypoint_and_command_gets_none() {
    scratch(async |scratch: &Scratch| {
        let image = scratch.image("none", &[("a", "")], &[]).await;
        let made = config(scratch, &prepared(scratch, &image).await.tag).await;
        for field in ["Entrypoint", "Cmd"] {
            let value = &made[field];
            assert!(
                value.is_null() || value.as_array().unwrap().is_empty(),
                "{field}: {value}"
            );
        }
    })
    .await;
}

#[tokio::test]
async fn a_user_of_our_id_and_other_lines_stay() {
    scratch(async |scratch: &Scratch| {
        let passwd = "root:x:0:0::/root:/bin/sh\nnode:x:1000:1000::/home/node:/bin/sh\n";
        let files = [
            ("etc/passwd", passwd),
            ("etc/group", "root:x:0:\ncasemate:x:7:"),
            ("etc/gitconfig", "[core]\n\tautocrlf = input\n"),
        ];
        let image = scratch.image("users", &files, &[]).await;
        let id = prepared(scratch, &image).await.id;
        assert_eq!(file(scratch, &id, "/etc/passwd").await.2, passwd);
        let group = file(scratch, &id, "/etc/group").await.2;
        assert_eq!(group, "root:x:0:\ncasemate:x:7:\ncasemate1000:x:1000:\n");
        let git = file(scratch, &id, "/etc/gitconfig").await.2;
        assert_eq!(git, "[core]\n\tautocrlf = input\n[safe]\n\tdirectory = *\n");
    })
    .await;
}

#[tokio::test]
async fn it_is_prepared_once_also_by_several_servers_at_a_time() {
    scratch(async |scratch: &Scratch| {
        let image = scratch.image("many", &[("a", "")], &[]).await;
        let all = futures_util::future::join_all((0..4).map(|_| prepared(scratch, &image))).await;
        let said = Mutex::new(Vec::new());
        let again = scratch
            .engine
            .prepared_image(&image, INIT, |word| {
                said.lock().unwrap().push(word.to_owned())
            })
            .await
            .expect("a prepared image");
        assert!(said.lock().unwrap().is_empty(), "{said:?}");
        assert!(all.iter().all(|one| one.tag == again.tag));
        let other = scratch
            .engine
            .prepared_image(&image, b"another init", |_| {})
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
            .prepared_image(&nowhere, INIT, |_| {})
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
            .prepared_image(&id, INIT, |_| {})
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
        let options = bollard::query_parameters::TagImageOptionsBuilder::new()
            .repo(repo)
            .tag(version)
            .build();
        docker.tag_image(&image, Some(options)).await.unwrap();
        let error = scratch
            .engine
            .prepared_image(&image, INIT, |_| {})
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

#[tokio::test]
async fn a_caller_that_gives_up_leaves_no_container_behind() {
    scratch(async |scratch: &Scratch| {
        let image = scratch.image("gives-up", &[("a", "")], &[]).await;
        let base = scratch.engine.inspect_image(&image).await.unwrap().unwrap();
        let container = Preparing::create(&scratch.engine, &base).await.unwrap();
        let name = container.name.clone();
        assert!(scratch.engine.inspect(&name).await.unwrap().is_some());
        drop(container);
        let gone = async {
            while scratch.engine.inspect(&name).await.unwrap().is_some() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), gone)
            .await
            .expect("it is removed");
    })
    .await;
}

#[tokio::test]
async fn a_young_prepared_image_is_not_collected() {
    scratch(async |scratch: &Scratch| {
        let image = scratch.image("young", &[("a", "")], &[]).await;
        let old = prepared(scratch, &image).await;
        let keep = scratch
            .engine
            .prepared_image(&image, b"newer", |_| {})
            .await
            .unwrap();
        let removed = scratch.engine.collect_prepared(&keep).await.unwrap();
        assert!(!removed.contains(&old.tag), "{removed:?}");
        assert!(
            scratch
                .engine
                .inspect_image(&old.tag)
                .await
                .unwrap()
                .is_some()
        );
    })
    .await;
}

#[tokio::test]
async fn the_tools_image_is_prepared() {
    scratch(async |scratch: &Scratch| {
        let found = prepared(scratch, TOOLS).await;
        let passwd = file(scratch, &found.id, "/etc/passwd").await.2;
        assert!(passwd.starts_with("root:x:0:0:"), "{passwd}");
        assert!(passwd.contains(":x:1000:1000:"), "{passwd}");
        let docker = scratch.engine.docker().await.unwrap();
        let options = RemoveImageOptionsBuilder::new().build();
        docker
            .remove_image(&found.tag, Some(options), None)
            .await
            .unwrap();
    })
    .await;
}
