//! What tests of this layer share: the real Engine, a false one, and clean-up that also happens
//! when a test fails.

mod false_engine;

use std::hash::{BuildHasher, RandomState};
use std::panic::{AssertUnwindSafe, resume_unwind};

use bollard::body_full;
use bollard::models::ContainerCreateBody;
use bollard::query_parameters::{
    CreateImageOptionsBuilder, ListImagesOptions, RemoveImageOptionsBuilder,
};
use futures_util::{FutureExt, StreamExt};

pub(super) use false_engine::{TempDir, false_engine, ok};

use super::*;
use crate::engine::labels::{INSTANCE, Labels, PREPARED_FROM};
use crate::engine::{
    ContainerSpec, CreatedContainer, Engine, Limits, PreparedImage, RunAs, Workspace,
};

/// The image that the suite's set-up builds.
pub(super) const TOOLS: &str = "casemate-tools:latest";

/// The Engine that this machine's user has.
#[expect(clippy::disallowed_methods, reason = "a test takes no configuration")]
pub(super) fn engine() -> DockerEngine {
    let env = |name: &str| std::env::var(name).ok();
    DockerEngine::new(locate(&env).expect("the suite needs an Engine")).expect("its address is one")
}

/// Names and labels that no other test has. All that bears them is removed at the end.
pub(crate) struct Scratch {
    pub(super) engine: DockerEngine,
    /// The same, as the layers above have it.
    pub(crate) interface: Engine,
    /// The instance of all labels, and the start of all names.
    pub(crate) name: String,
}

/// Runs a test with a new scratch, and always cleans up.
pub(crate) async fn scratch(test: impl AsyncFnOnce(&Scratch)) {
    let name = format!("casemate-test-{:016x}", RandomState::new().hash_one(0));
    let engine = engine();
    let scratch = Scratch {
        interface: Engine::Docker(engine.clone()),
        engine,
        name,
    };
    let outcome = AssertUnwindSafe(test(&scratch)).catch_unwind().await;
    scratch.clean().await;
    if let Err(panic) = outcome {
        resume_unwind(panic);
    }
}

impl Scratch {
    pub(super) fn labels(&self) -> Labels {
        Labels {
            instance: self.name.clone(),
            user: "a user".to_owned(),
            issuer: "local".to_owned(),
            workspace: None,
            group: None,
            mode: "persistent".to_owned(),
            version: "0.1.0".to_owned(),
            node: "here".to_owned(),
            epoch: 0,
            since: "2026-01-01T00:00:00Z".to_owned(),
        }
    }

    /// A specification over `image` as it is, without an init in it.
    pub(super) async fn spec(&self, image: &str) -> ContainerSpec {
        let capabilities = self
            .engine
            .capabilities()
            .await
            .expect("the Engine answers");
        let base = self
            .engine
            .inspect_image(image)
            .await
            .expect("the Engine answers");
        let base = base.unwrap_or_else(|| panic!("the suite needs {image}"));
        let image = PreparedImage {
            id: base.id.clone(),
            base_id: base.id,
            env: base
                .config
                .and_then(|config| config.env)
                .unwrap_or_default(),
            ..prepared()
        };
        ContainerSpec {
            image,
            labels: self.labels(),
            workspace: Workspace::Volume(self.name.clone()),
            engine: capabilities.kind,
            runtime: capabilities.default_runtime.clone(),
            apparmor: capabilities.apparmor,
            swap_limit: capabilities.swap_limit,
            ..spec()
        }
    }

    /// A container of the tools image that runs `command` as PID 1.
    pub(super) async fn container(&self, name: &str, command: &[&str]) -> String {
        let mut body = self.spec(TOOLS).await.body();
        body.entrypoint = Some(command.iter().map(|&word| word.to_owned()).collect());
        self.create(name, body).await.expect("a container").id
    }

    pub(super) async fn create(
        &self,
        name: &str,
        mut body: ContainerCreateBody,
    ) -> Result<CreatedContainer, EngineError> {
        let labels = body.labels.get_or_insert_default();
        labels.insert(INSTANCE.to_owned(), self.name.clone());
        self.engine
            .create_body(&format!("{}-{name}", self.name), body)
            .await
    }

    /// An image of these files, configured by lines of a Dockerfile.
    pub(super) async fn image(&self, tag: &str, files: &[(&str, &str)], lines: &[&str]) -> String {
        let mut tar = tar::Builder::new(Vec::new());
        for (path, content) in files {
            let mut header = tar::Header::new_gnu();
            header.set_mode(0o644);
            header.set_size(content.len() as u64);
            tar.append_data(&mut header, path, content.as_bytes())
                .expect("a tar");
        }
        let options = CreateImageOptionsBuilder::new()
            .from_src("-")
            .repo(&self.name)
            .tag(tag)
            .changes(lines.iter().map(|&line| line.to_owned()).collect())
            .build();
        let tar = tar.into_inner().expect("a tar");
        let docker = self.engine.docker().await.expect("the Engine answers");
        let mut words = docker.create_image(Some(options), Some(body_full(tar.into())), None);
        while let Some(word) = words.next().await {
            word.expect("the image is made");
        }
        format!("{}:{tag}", self.name)
    }

    async fn clean(&self) {
        let rows = self.engine.list_containers(&[(INSTANCE, &self.name)]).await;
        for row in rows.unwrap_or_default() {
            let _ = self.engine.remove(&row.id).await;
        }
        let volumes = self.engine.list_volumes(&[]).await.unwrap_or_default();
        for volume in volumes.iter().filter(|volume| {
            let is_ours = volume.labels.get(INSTANCE) == Some(&self.name);
            is_ours || volume.name.starts_with(&self.name)
        }) {
            let _ = self.engine.remove_volume(&volume.name).await;
        }
        self.clean_images().await;
    }

    async fn clean_images(&self) {
        let Ok(docker) = self.engine.docker().await else {
            return;
        };
        let images = docker
            .list_images(None::<ListImagesOptions>)
            .await
            .unwrap_or_default();
        // First the prepared, which are made from the others.
        let from_ours = images.iter().filter(|image| {
            image
                .labels
                .get(PREPARED_FROM)
                .is_some_and(|from| from.starts_with(&self.name))
        });
        let tags = images.iter().flat_map(|image| &image.repo_tags);
        let ours = tags.filter(|tag| tag.starts_with(&self.name));
        for name in from_ours.map(|image| &image.id).chain(ours) {
            let options = RemoveImageOptionsBuilder::new().force(true).build();
            let _ = docker.remove_image(name, Some(options), None).await;
        }
    }
}

/// A specification for tests that need no Engine.
pub(super) fn spec() -> ContainerSpec {
    ContainerSpec {
        image: prepared(),
        run_as: RunAs::DEFAULT,
        labels: Labels {
            instance: "test".to_owned(),
            user: "a/b".to_owned(),
            issuer: "local".to_owned(),
            workspace: None,
            group: None,
            mode: "persistent".to_owned(),
            version: "0.1.0".to_owned(),
            node: "here".to_owned(),
            epoch: 0,
            since: "2026-01-01T00:00:00Z".to_owned(),
        },
        init_args: vec!["--idle-timeout-ms=900000".to_owned()],
        workspace: Workspace::Volume("casemate-test".to_owned()),
        volume_size: None,
        made_for: "a-making".to_owned(),
        limits: Limits {
            memory: 512 << 20,
            nano_cpus: 1_000_000_000,
            pids: 256,
            file_size: 2 << 30,
        },
        runtime: "runc".to_owned(),
        separate_init: false,
        shared: Vec::new(),
        apparmor: false,
        swap_limit: true,
        engine: EngineKind::Docker,
    }
}

fn prepared() -> PreparedImage {
    PreparedImage {
        id: "sha256:1".to_owned(),
        tag: "casemate-prepared:1".to_owned(),
        from: "debian:12".to_owned(),
        base_id: "sha256:0".to_owned(),
        files_digest: "2".to_owned(),
        env: vec!["PATH=/opt/bin:/usr/bin:/bin".to_owned()],
        volumes: vec!["/covered".to_owned()],
    }
}
