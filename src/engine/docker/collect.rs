//! Finds unused prepared images, and removes images of ours that nothing uses.

use std::collections::HashMap;
use std::time::Duration;

use bollard::query_parameters::{ListImagesOptionsBuilder, RemoveImageOptionsBuilder};

use super::image::REPOSITORY;
use super::prepare::is_older;
use super::{DockerEngine, QUERY_TIMEOUT, UPDATE_TIMEOUT, podman};
use crate::engine::error::EngineError;
use crate::engine::labels::{PREPARED, PREPARED_FROM};
use crate::engine::prepared_image::PreparedImage;

/// How long an apparently unused prepared image is kept: a server may be between preparing it and
/// its first container.
const UNUSED_IMAGE_TTL: Duration = Duration::from_secs(3600);

impl DockerEngine {
    /// The prepared images that one of `keep` has replaced, and those whose base is gone: the name
    /// that they were made from now names another image or none. By name. Images less than an hour
    /// old are not among them, nor images with a foreign name, which somebody uses. Only the
    /// removal shows whether a container uses one.
    ///
    /// A server of another version on the same Engine may lose its image by this: its next create
    /// fails with [`EngineError::ImageMissing`], and it prepares again.
    ///
    /// # Errors
    /// Those of every call.
    pub async fn unused_prepared(
        &self,
        keep: &[PreparedImage],
    ) -> Result<Vec<String>, EngineError> {
        self.unused_older(keep, UNUSED_IMAGE_TTL).await
    }

    async fn unused_older(
        &self,
        keep: &[PreparedImage],
        than: Duration,
    ) -> Result<Vec<String>, EngineError> {
        let filters = HashMap::from([("label", vec![PREPARED])]);
        let options = ListImagesOptionsBuilder::new().filters(&filters).build();
        let docker = self.docker().await?;
        let images = self
            .bounded(
                "list images",
                QUERY_TIMEOUT,
                docker.list_images(Some(options)),
            )
            .await?;
        let mut unused = Vec::new();
        for image in images {
            let ours = |tag: &String| {
                let name = podman::without_host(tag);
                name.starts_with(&format!("{REPOSITORY}:"))
            };
            let old = is_older(image.created, than) && keep.iter().all(|keep| keep.id != image.id);
            if old
                && image.repo_tags.iter().all(ours)
                && self.is_replaced(&image.labels, keep).await?
            {
                let tag = image.repo_tags.into_iter().next();
                unused.push(tag.unwrap_or(image.id));
            }
        }
        unused.sort();
        Ok(unused)
    }

    async fn is_replaced(
        &self,
        labels: &HashMap<String, String>,
        keep: &[PreparedImage],
    ) -> Result<bool, EngineError> {
        let (Some(from), Some(base)) = (labels.get(PREPARED_FROM), labels.get(PREPARED)) else {
            return Ok(false);
        };
        if keep.iter().any(|keep| *from == keep.from) {
            return Ok(true);
        }
        match self.inspect_image(from).await {
            Ok(found) => Ok(found.is_none_or(|found| found.id != *base)),
            // A foreign label: no image of ours has it.
            Err(EngineError::Name { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Removes an image of ours. Returns whether it was removed: an image in use stays.
    ///
    /// # Errors
    /// Those of every call.
    pub async fn remove_unless_used(&self, name: &str) -> Result<bool, EngineError> {
        // The base belongs to the operator, even without a name: noprune.
        let options = RemoveImageOptionsBuilder::new().noprune(true).build();
        let docker = self.docker().await?;
        let call = docker.remove_image(name, Some(options), None);
        match self.bounded("remove image", UPDATE_TIMEOUT, call).await {
            Ok(_) => Ok(true),
            Err(error) if matches!(error.status(), Some(404 | 409)) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
#[path = "collect_tests.rs"]
mod tests;
