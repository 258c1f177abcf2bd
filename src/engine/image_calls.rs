//! The face of images: what sandboxes run from.

use super::Engine;
use super::description::ImageDescription;
use super::error::EngineError;
use super::prepared_image::{ImageState, PreparedImage};
use super::rootfs::SandboxFiles;
use super::uids::UidRange;

impl Engine {
    /// The prepared image of `image`. If it does not exist yet, preparing it takes some seconds, and
    /// a pull of the image minutes. `uids` are the uids of the users. `progress` gets messages for
    /// people.
    ///
    /// # Errors
    /// [`EngineError::ImageMissing`], or [`EngineError::ImageUnusable`] for an image that is not
    /// for Linux, has ONBUILD, or a VOLUME in a directory that is ours.
    pub async fn prepared_image(
        &self,
        image: &str,
        files: impl Into<SandboxFiles<'_>>,
        uids: UidRange,
        progress: impl Fn(&str) + Send + Sync,
    ) -> Result<PreparedImage, EngineError> {
        dispatch!(self.prepared_image(image, files, uids, progress).await)
    }

    /// The prepared image of `image`, if it exists.
    ///
    /// # Errors
    /// Those of every call.
    pub async fn known_prepared(
        &self,
        image: &str,
        files: impl Into<SandboxFiles<'_>>,
        uids: UidRange,
    ) -> Result<Option<PreparedImage>, EngineError> {
        dispatch!(self.known_prepared(image, files, uids).await)
    }

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
        dispatch!(self.image_state(image, files, uids).await)
    }

    /// The command by which an operator has the Engine get `image`.
    pub fn command_for_image(&self, image: &str) -> String {
        dispatch!(self.command_for_image(image))
    }

    /// What `image` says of itself; `None` if it says nothing or the Engine does not have it.
    ///
    /// # Errors
    /// Those of every call.
    pub async fn image_description(
        &self,
        image: &str,
    ) -> Result<Option<ImageDescription>, EngineError> {
        dispatch!(self.image_description(image).await)
    }

    /// The prepared images that nothing needs any more, by name: those that one of `keep` has
    /// replaced, and those whose base is gone. Young ones are not among them: a server may be about
    /// to use one. Only [`Self::remove_unless_used`] shows whether a container uses one.
    ///
    /// # Errors
    /// Those of every call.
    pub async fn unused_prepared(
        &self,
        keep: &[PreparedImage],
    ) -> Result<Vec<String>, EngineError> {
        dispatch!(self.unused_prepared(keep).await)
    }

    /// Removes an image of ours. Returns whether it was removed: an image in use stays.
    ///
    /// # Errors
    /// Those of every call.
    pub async fn remove_unless_used(&self, name: &str) -> Result<bool, EngineError> {
        dispatch!(self.remove_unless_used(name).await)
    }
}
