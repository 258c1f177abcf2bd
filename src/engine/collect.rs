//! Removes prepared images that nobody needs any more.

use std::collections::HashMap;
use std::time::Duration;

use bollard::query_parameters::{ListImagesOptionsBuilder, RemoveImageOptionsBuilder};

use super::error::EngineError;
use super::image::{PreparedImage, REPOSITORY};
use super::labels::{PREPARED, PREPARED_FROM};
use super::prepare::is_older;
use super::{CHANGE, Engine, QUICK};

/// How long a prepared image is kept although nothing seems to need it: a server may be between
/// preparing it and its first container.
const UNUSED: Duration = Duration::from_secs(3600);

impl Engine {
    /// Removes the prepared images that `keep` has replaced, and those whose base is gone: the name
    /// they were made from leads elsewhere, or nowhere. One that a container uses, or that is less
    /// than an hour old, stays. Returns the names of the removed.
    ///
    /// A server of another version on the same Engine may miss its own then: its next create says
    /// [`EngineError::ImageMissing`], and it prepares again.
    ///
    /// # Errors
    /// Those of every call.
    pub async fn collect_prepared(&self, keep: &PreparedImage) -> Result<Vec<String>, EngineError> {
        self.collect_older(keep, UNUSED).await
    }

    async fn collect_older(
        &self,
        keep: &PreparedImage,
        than: Duration,
    ) -> Result<Vec<String>, EngineError> {
        let filters = HashMap::from([("label", vec![PREPARED])]);
        let options = ListImagesOptionsBuilder::new().filters(&filters).build();
        let docker = self.docker().await?;
        let images = self
            .bounded("list images", QUICK, docker.list_images(Some(options)))
            .await?;
        let mut removed = Vec::new();
        for image in images {
            let old = image.id != keep.id && is_older(image.created, than);
            if old && self.is_replaced(&image.labels, keep).await? {
                let ours = |tag: &String| tag.starts_with(&format!("{REPOSITORY}:"));
                let tag = image.repo_tags.into_iter().find(ours);
                let name = tag.unwrap_or(image.id);
                if self.remove_prepared(&name).await? {
                    removed.push(name);
                }
            }
        }
        Ok(removed)
    }

    async fn is_replaced(
        &self,
        labels: &HashMap<String, String>,
        keep: &PreparedImage,
    ) -> Result<bool, EngineError> {
        let (Some(from), Some(base)) = (labels.get(PREPARED_FROM), labels.get(PREPARED)) else {
            return Ok(false);
        };
        if *from == keep.from {
            return Ok(true);
        }
        match self.inspect_image(from).await {
            Ok(found) => Ok(found.is_none_or(|found| found.id != *base)),
            // Somebody else's label: nothing that we made has it.
            Err(EngineError::Name { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether it was removed: one that a container uses stays.
    pub(super) async fn remove_prepared(&self, name: &str) -> Result<bool, EngineError> {
        // The base is the operator's, also where it has no name any more: noprune.
        let options = RemoveImageOptionsBuilder::new().noprune(true).build();
        let docker = self.docker().await?;
        let call = docker.remove_image(name, Some(options), None);
        match self.bounded("remove image", CHANGE, call).await {
            Ok(_) => Ok(true),
            Err(error) if matches!(error.status(), Some(404 | 409)) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
#[path = "collect_tests.rs"]
mod tests;
