//! What is known of an image without a pull: whether it is ready for sandboxes, and what it says of
//! itself.

use super::DockerEngine;
use super::image::usable;
use super::remedies::command_for;
use crate::engine::description::ImageDescription;
use crate::engine::error::EngineError;
use crate::engine::labels;
use crate::engine::prepared_image::ImageState;
use crate::engine::rootfs::SandboxFiles;
use crate::engine::uids::UidRange;

impl DockerEngine {
    /// Checks `image` without a pull or a change.
    ///
    /// # Errors
    /// Those of every call, and [`EngineError::Foreign`] for an image that only has the name of a
    /// prepared one.
    pub async fn image_state(
        &self,
        image: &str,
        files: impl Into<SandboxFiles<'_>>,
        uids: UidRange,
    ) -> Result<ImageState, EngineError> {
        let Some(base) = self.inspect_image(image).await? else {
            return Ok(ImageState::Absent);
        };
        if let Err(reason) = usable(&base.os, &base.config.clone().unwrap_or_default()) {
            return Ok(ImageState::Unusable { reason });
        }
        let found = self.look_up_prepared(&base, files.into(), uids).await?;
        Ok(match found.id {
            Some(_) => ImageState::Prepared { tag: found.tag },
            None => ImageState::Unprepared,
        })
    }

    /// The command by which the Engine gets `image`.
    pub fn command_for_image(&self, image: &str) -> String {
        command_for(image)
    }

    /// What `image` says of itself; `None` if it says nothing or the Engine does not have it.
    ///
    /// # Errors
    /// Those of every call.
    pub async fn image_description(
        &self,
        image: &str,
    ) -> Result<Option<ImageDescription>, EngineError> {
        let found = self.inspect_image(image).await?;
        let config = found.and_then(|image| image.config).unwrap_or_default();
        let labels = config.labels.unwrap_or_default();
        let label = labels.get(labels::DESCRIPTION);
        Ok(label.and_then(|label| ImageDescription::from_label(label)))
    }
}
