//! The files that are put into images.

use crate::config::{Config, ImageRef, Profile};
use crate::engine::{Engine, EngineError, ImageState, SandboxFiles, UidRange};

/// casemate-init, as it is put into every image.
const INIT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/casemate-init"));

/// What a server with these settings puts into images of sandboxes of this profile.
pub fn sandbox_files(config: &Config, profile: Profile) -> SandboxFiles<'_> {
    SandboxFiles {
        init: INIT,
        readable: profile == Profile::High,
        roots: config.egress.roots(),
    }
}

/// How far `image` is prepared for this server's sandboxes of this profile. Does not prepare it.
///
/// # Errors
/// The Engine's.
pub async fn image_state(
    engine: &Engine,
    config: &Config,
    image: &str,
    profile: Profile,
    uids: UidRange,
) -> Result<ImageState, EngineError> {
    engine
        .image_state(image, sandbox_files(config, profile), uids)
        .await
}

/// Prepares `image` on a Docker Engine, unless it is. The prepared image's name.
///
/// # Errors
/// The Engine's.
pub async fn prepare_image(
    engine: &Engine,
    config: &Config,
    image: &ImageRef,
) -> Result<String, EngineError> {
    let uids = super::uid_range(&config.uids, &*engine.capabilities().await?);
    let files = sandbox_files(config, Profile::Standard);
    let progress = |step: &str| tracing::info!(image = image.as_str(), step, "preparing the image");
    let prepared = engine
        .prepared_image(image.as_str(), files, uids, progress)
        .await?;
    Ok(prepared.tag)
}
