//! The plain design, at its best: the Engine's API called from Rust, on the
//! same container, without an MCP server in between.

use std::collections::HashMap;

use bollard::Docker;
use bollard::exec::{CreateExecOptions, StartExecResults};
use bollard::query_parameters::{
    DownloadFromContainerOptionsBuilder, ListContainersOptionsBuilder,
    RemoveContainerOptionsBuilder, RemoveVolumeOptions, UploadToContainerOptionsBuilder,
};
use futures_util::StreamExt as _;
use tokio::runtime::Runtime;

/// A sandbox's container, used past Casemate.
pub struct Container {
    docker: Docker,
    id: String,
    name: String,
}

impl Container {
    /// The only one of `instance`.
    pub async fn of(instance: &str) -> Self {
        let docker = Docker::connect_with_defaults().expect("docker");
        let label = format!("io.casemate.instance={instance}");
        let filters = HashMap::from([("label".to_owned(), vec![label])]);
        let options = ListContainersOptionsBuilder::new()
            .filters(&filters)
            .build();
        let mut found = docker.list_containers(Some(options)).await.expect("list");
        let container = found.pop().expect("a container");
        let names = container.names.unwrap_or_default();
        Self {
            docker,
            id: container.id.expect("id"),
            name: names
                .first()
                .map_or("", |name| name.trim_start_matches('/'))
                .to_owned(),
        }
    }

    /// `exec_run`: create, start, drain, ask for the exit code.
    pub async fn exec(&self, command: &[&str]) {
        let options = CreateExecOptions {
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            cmd: Some(command.to_vec()),
            ..CreateExecOptions::default()
        };
        let exec = self
            .docker
            .create_exec(&self.id, options)
            .await
            .expect("create exec");
        let started = self
            .docker
            .start_exec(&exec.id, None)
            .await
            .expect("start exec");
        if let StartExecResults::Attached { mut output, .. } = started {
            while let Some(chunk) = output.next().await {
                chunk.expect("output");
            }
        }
        let ended = self
            .docker
            .inspect_exec(&exec.id)
            .await
            .expect("inspect exec");
        assert_eq!(ended.exit_code, Some(0));
    }

    /// `get_archive`.
    pub async fn get(&self, path: &str) {
        let options = DownloadFromContainerOptionsBuilder::new()
            .path(path)
            .build();
        let mut archive = self.docker.download_from_container(&self.id, Some(options));
        while let Some(chunk) = archive.next().await {
            chunk.expect("archive");
        }
    }

    /// `put_archive`.
    pub async fn put(&self, folder: &str, name: &str, content: &[u8]) {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_uid(1000);
        header.set_gid(1000);
        let mut archive = tar::Builder::new(Vec::new());
        archive
            .append_data(&mut header, name, content)
            .expect("tar");
        let archive = archive.into_inner().expect("tar");
        let options = UploadToContainerOptionsBuilder::new().path(folder).build();
        let body = bollard::body_full(archive.into());
        self.docker
            .upload_to_container(&self.id, Some(options), body)
            .await
            .expect("upload");
    }
}

/// The same command on the host, without a container.
pub fn on_host() {
    let status = std::process::Command::new("bash")
        .args(["-c", "true"])
        .status();
    assert!(status.expect("bash").success());
}

/// Removes the container and its volume.
pub fn remove(runtime: &Runtime, container: &Container) {
    runtime.block_on(async {
        let options = RemoveContainerOptionsBuilder::new().force(true).build();
        let _ = container
            .docker
            .remove_container(&container.id, Some(options))
            .await;
        let _ = container
            .docker
            .remove_volume(&container.name, None::<RemoveVolumeOptions>)
            .await;
    });
}
