//! Whether an image is ready for sandboxes.

use super::Engine;
use super::error::EngineError;
use super::image::usable;
use super::rootfs::SandboxFiles;
use super::uids::UidRange;

/// How far an image is prepared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageState {
    /// The Engine does not have it: the first call pulls it.
    Absent,
    /// No sandbox can be made from it.
    Unusable {
        /// The property that prevents it.
        reason: String,
    },
    /// The Engine has it; the first call prepares it.
    Unprepared,
    /// The prepared image exists.
    Prepared {
        /// Its name: `casemate-prepared:<12 hex>`.
        tag: String,
    },
}

impl Engine {
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
}
