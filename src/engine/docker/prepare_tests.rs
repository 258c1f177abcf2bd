//! Prepared images of the real Engine, from images as different as they come.

use std::collections::BTreeMap;
use std::io::Read;

use serde_json::Value;

use bollard::query_parameters::RemoveImageOptionsBuilder;

use super::*;
use crate::engine::PreparedImage;
use crate::engine::docker::testing::{Scratch, TOOLS, scratch};

const INIT: &[u8] = b"not a program, never run";

async fn prepared(scratch: &Scratch, image: &str) -> PreparedImage {
    scratch
        .engine
        .prepared_image(image, INIT, UidRange::NONE, |_| {})
        .await
        .expect("a prepared image")
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
        let script = (0o644, 0, crate::engine::node::NETIF.to_owned());
        assert_eq!(file(scratch, id, "/casemate/netif.cjs").await, script);
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
            "VOLUME /data/",
            "VOLUME /workspace/",
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
            (PREPARED, &found.base_id),
            (PREPARED_FROM, &image),
            (PREPARING, ""),
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
async fn a_caller_that_gives_up_leaves_no_container_behind() {
    scratch(async |scratch: &Scratch| {
        let image = scratch.image("gives-up", &[("a", "")], &[]).await;
        let base = scratch.engine.inspect_image(&image).await.unwrap().unwrap();
        let container = PreparationContainer::create(&scratch.engine, &base)
            .await
            .unwrap();
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
