//! How far an image is on its way to sandboxes, without taking a step of it.

use super::Engine;
use super::error::EngineError;
use super::image::{tag, usable};
use super::rootfs::files_digest;
use super::uids::UidRange;

/// What the Engine has of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageState {
    /// Nothing: the first call pulls it.
    Absent,
    /// It, and no sandbox can be made from it.
    Unusable {
        /// The property that is in the way.
        reason: String,
    },
    /// It; the first call prepares it.
    Unprepared,
    /// It, and what was prepared from it.
    Prepared {
        /// The name of that: `casemate-prepared:<12 hex>`.
        tag: String,
    },
}

impl Engine {
    /// Looks what there is of `image`. `init` is the casemate-init binary. Pulls and makes nothing.
    ///
    /// # Errors
    /// Those of every call, and [`EngineError::Foreign`] for an image that only has the name of a
    /// prepared one.
    pub async fn image_state(
        &self,
        image: &str,
        init: &[u8],
        uids: UidRange,
    ) -> Result<ImageState, EngineError> {
        let Some(base) = self.inspect_image(image).await? else {
            return Ok(ImageState::Absent);
        };
        if let Err(reason) = usable(&base.os, &base.config.clone().unwrap_or_default()) {
            return Ok(ImageState::Unusable { reason });
        }
        let tag = tag(&base.id, &files_digest(init), uids);
        Ok(match self.find_prepared(&tag, &base.id).await? {
            Some(_) => ImageState::Prepared { tag },
            None => ImageState::Unprepared,
        })
    }
}
