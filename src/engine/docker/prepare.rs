//! Makes a prepared image: a container that never starts, one upload, one commit.
//!
//! No RUN and no shell, so images without one work too. The container never ran, so nothing can
//! race the archive calls, which resolve paths as root.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bollard::body_full;
use bollard::models::{ContainerConfig, ContainerCreateBody, HostConfig};
use bollard::query_parameters::{
    CommitContainerOptionsBuilder, DownloadFromContainerOptionsBuilder, TagImageOptionsBuilder,
    UploadToContainerOptionsBuilder,
};
use futures_util::StreamExt;
use tracing::{debug, warn};

use casemate_protocol::WORKSPACE;

use super::image::{Image, REPOSITORY, clean};
use super::{DockerEngine, IMAGE_TIMEOUT, QUERY_TIMEOUT, UPDATE_TIMEOUT, podman};
use crate::engine::error::EngineError;
use crate::engine::labels::{PREPARED, PREPARED_FROM, PREPARING};
use crate::engine::rootfs::{self, AccountFiles, MAX_FILE, SandboxFiles, TRUSTED};
use crate::engine::uids::UidRange;

/// The prefix of the containers' names. A container with this name and our label is ours.
const NAME_PREFIX: &str = "casemate-preparing-";

/// The age from which a leftover container belongs to a dead server: preparing takes seconds.
const ABANDONED_AGE_LIMIT: Duration = Duration::from_secs(600);

impl DockerEngine {
    /// Prepares `base` under the name `tag`: with this init, for these uids. Returns the id.
    pub(super) async fn prepare(
        &self,
        base: &Image,
        from: &str,
        content: (SandboxFiles<'_>, UidRange),
        tag: &str,
    ) -> Result<String, EngineError> {
        self.sweep_preparing().await;
        let container = PreparationContainer::create(self, base).await?;
        let prepared = container.fill_and_commit(base, from, content, tag).await;
        container.close().await;
        prepared
    }

    /// Gives an image its name, or uses the image of a faster server: two servers often start at
    /// once. Returns the id of the image with the name.
    async fn name_prepared(
        &self,
        id: String,
        tag: &str,
        base: &str,
    ) -> Result<String, EngineError> {
        let Some(theirs) = self.find_prepared(tag, base).await? else {
            let version = tag.rsplit(':').next().unwrap_or(tag);
            let repository = match self.is_podman().await? {
                true => podman::local_name(REPOSITORY),
                false => REPOSITORY.to_owned(),
            };
            let options = TagImageOptionsBuilder::new()
                .repo(&repository)
                .tag(version)
                .build();
            let docker = self.docker().await?;
            let call = docker.tag_image(&id, Some(options));
            self.bounded("tag", QUERY_TIMEOUT, call).await?;
            return Ok(id);
        };
        if let Err(error) = self.remove_unless_used(&id).await {
            debug!(
                id,
                error = &error as &dyn std::error::Error,
                "left an image for the next collection"
            );
        }
        Ok(theirs)
    }

    async fn sweep_preparing(&self) {
        let rows = self
            .list_containers(&[(PREPARING, "yes")])
            .await
            .unwrap_or_default();
        let abandoned = rows.iter().filter(|row| {
            row.name.starts_with(NAME_PREFIX) && is_older(row.created, ABANDONED_AGE_LIMIT)
        });
        for row in abandoned {
            if let Err(error) = self.remove(&row.id).await {
                debug!(
                    name = row.name,
                    error = &error as &dyn std::error::Error,
                    "not swept"
                );
            }
        }
    }
}

/// Whether something made at `created`, in seconds since 1970, is older than `than`.
pub(super) fn is_older(created: i64, than: Duration) -> bool {
    let created = UNIX_EPOCH + Duration::from_secs(u64::try_from(created).unwrap_or(0));
    SystemTime::now()
        .duration_since(created)
        .is_ok_and(|age| age > than)
}

/// The container that an image is prepared in. Removed by `close` and on drop; a later server
/// sweeps the rest.
struct PreparationContainer<'a> {
    engine: &'a DockerEngine,
    name: String,
    open: bool,
}

impl<'a> PreparationContainer<'a> {
    async fn create(engine: &'a DockerEngine, base: &Image) -> Result<Self, EngineError> {
        let random = RandomState::new().hash_one(&base.id);
        let name = format!("{NAME_PREFIX}{random:016x}");
        // Before the call: the future may be dropped after the Engine created it.
        let container = Self {
            engine,
            name,
            open: true,
        };
        let config = base.config.clone().unwrap_or_default();
        // Over each VOLUME, or the upload would go into an anonymous volume and not into the layer.
        let volumes = config.volumes.unwrap_or_default().into_keys();
        let tmpfs = volumes.map(|path| (clean(&path), String::new())).collect();
        let body = ContainerCreateBody {
            image: Some(base.id.clone()),
            // Never run. It is an entrypoint, so that the image's CMD is not inherited.
            entrypoint: Some(vec!["/casemate-never-runs".to_owned()]),
            cmd: Some(Vec::new()),
            labels: Some(HashMap::from([(PREPARING.to_owned(), "yes".to_owned())])),
            host_config: Some(HostConfig {
                network_mode: Some("none".to_owned()),
                tmpfs: Some(tmpfs),
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        };
        engine.create_body(&container.name, body).await?;
        Ok(container)
    }

    async fn fill_and_commit(
        &self,
        base: &Image,
        from: &str,
        (files, uids): (SandboxFiles<'_>, UidRange),
        tag: &str,
    ) -> Result<String, EngineError> {
        let accounts = AccountFiles {
            passwd: self.read("/etc/passwd", from).await?,
            group: self.read("/etc/group", from).await?,
            gitconfig: self.read("/etc/gitconfig", from).await?,
            trusted: match files.roots.is_empty() {
                true => None,
                false => self.trusted(from).await?,
            },
        };
        let volumes = base
            .config
            .as_ref()
            .and_then(|config| config.volumes.as_ref());
        let mut volumes: Vec<_> = volumes
            .into_iter()
            .flat_map(HashMap::keys)
            .map(|v| clean(v))
            .collect();
        volumes.retain(|volume| !matches!(volume.as_str(), WORKSPACE | "/tmp"));
        volumes.sort();
        let layer = rootfs::layer(files, &accounts, &volumes, uids).map_err(|error| {
            EngineError::Answer {
                call: "prepare",
                source: error.into(),
            }
        })?;
        let docker = self.engine.docker().await?;
        let options = UploadToContainerOptionsBuilder::new().path("/").build();
        let upload = docker.upload_to_container(&self.name, Some(options), body_full(layer.into()));
        self.engine.bounded("upload", IMAGE_TIMEOUT, upload).await?;
        let id = self.commit(base, from).await?;
        self.engine.name_prepared(id, tag, &base.id).await
    }

    /// The certificates that the image trusts.
    async fn trusted(&self, from: &str) -> Result<Option<Vec<u8>>, EngineError> {
        for path in TRUSTED {
            if let Some(found) = self.read(path, from).await? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Commits with the settings that the container did not inherit from its base.
    async fn commit(&self, base: &Image, from: &str) -> Result<String, EngineError> {
        let config = base.config.clone().unwrap_or_default();
        let labels = [
            (PREPARED, base.id.as_str()),
            (PREPARED_FROM, from),
            // The container's label is inherited. Emptied, so that no sandbox counts as one.
            (PREPARING, ""),
        ];
        let config = ContainerConfig {
            // Empty and not missing, or the container's would be inherited.
            entrypoint: Some(config.entrypoint.unwrap_or_default()),
            cmd: Some(config.cmd.unwrap_or_default()),
            labels: Some(labels.map(|(k, v)| (k.to_owned(), v.to_owned())).into()),
            ..ContainerConfig::default()
        };
        let options = CommitContainerOptionsBuilder::new()
            .container(&self.name)
            .pause(false)
            .build();
        let docker = self.engine.docker().await?;
        let commit = docker.commit_container(options, config);
        let commit = self.engine.bounded("commit", IMAGE_TIMEOUT, commit).await?;
        // Podman leaves the algorithm out.
        Ok(match commit.id.contains(':') {
            true => commit.id,
            false => format!("sha256:{}", commit.id),
        })
    }

    /// The content of a regular file; `None` if it is missing or a link.
    async fn read(&self, path: &str, image: &str) -> Result<Option<Vec<u8>>, EngineError> {
        let options = DownloadFromContainerOptionsBuilder::new()
            .path(path)
            .build();
        let docker = self.engine.docker().await?;
        let mut chunks = docker.download_from_container(&self.name, Some(options));
        let mut archive = Vec::new();
        let collect = async {
            while let Some(chunk) = chunks.next().await.transpose()? {
                archive.extend_from_slice(&chunk);
                if archive.len() > MAX_FILE {
                    break;
                }
            }
            Ok(())
        };
        match self
            .engine
            .bounded("download", UPDATE_TIMEOUT, collect)
            .await
        {
            Err(error) if error.status() == Some(404) => return Ok(None),
            other => other?,
        }
        let unusable = |reason: String| EngineError::ImageUnusable {
            image: image.to_owned(),
            reason: format!("its {path} {reason}"),
        };
        if archive.len() > MAX_FILE {
            return Err(unusable(format!("is larger than {MAX_FILE} bytes")));
        }
        rootfs::only_file(&archive).map_err(|error| unusable(format!("cannot be read: {error}")))
    }

    async fn close(mut self) {
        let removed = self.engine.remove(&self.name).await;
        self.open = false;
        if let Err(error) = removed {
            warn!(
                name = self.name,
                error = &error as &dyn std::error::Error,
                "the container an image was prepared in is left; the next server removes it"
            );
        }
    }
}

impl Drop for PreparationContainer<'_> {
    fn drop(&mut self) {
        if let (true, Ok(runtime)) = (self.open, tokio::runtime::Handle::try_current()) {
            let (engine, name) = (self.engine.clone(), std::mem::take(&mut self.name));
            runtime.spawn(async move { engine.remove(&name).await });
        }
    }
}

#[cfg(test)]
#[path = "prepare_tests.rs"]
mod tests;
