//! From any Linux image to one that sandboxes can run from: the prepared image.
//!
//! ```text
//! image's name ─► base (pulled if missing) ─► checked ─► tag by hash ─► there? use it
//!                                                                     └──► prepare
//! ```
//!
//! The tag `casemate-prepared:<12 hex>` is a hash over the base image's id, the files that are put
//! into it, the uids and [`RECIPE`]: an existing image with the tag is the one that would be
//! prepared. Several servers may prepare at once; they make equal images, and the first one gets
//! the tag.

use std::collections::{BTreeMap, HashMap};
use std::path::{Component, Path, PathBuf};

use casemate_protocol::{INIT_PATH, WORKSPACE};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::{DockerEngine, podman};
use crate::engine::error::{EngineError, shorten};
use crate::engine::hex::hex;
use crate::engine::prepared_image::PreparedImage;
use crate::engine::rootfs::{SandboxFiles, files_digest};
use crate::engine::uids::UidRange;
use crate::engine::{labels, node};

/// The repository of all prepared images. Never pushed.
pub(super) const REPOSITORY: &str = "casemate-prepared";

/// Version of the steps that prepare an image. Raised when they change.
const RECIPE: u32 = 5;

/// Hex digits of the tag: 48 bits. Only the operator chooses the hashed values.
const TAG_DIGITS: usize = 12;

/// The used parts of an image's inspect.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Image {
    pub(super) id: String,
    #[serde(default)]
    pub(super) os: String,
    #[serde(default)]
    pub(super) config: Option<ImageConfig>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ImageConfig {
    pub(super) env: Option<Vec<String>>,
    pub(super) cmd: Option<Vec<String>>,
    pub(super) entrypoint: Option<Vec<String>>,
    pub(super) labels: Option<BTreeMap<String, String>>,
    pub(super) volumes: Option<HashMap<String, serde_json::Value>>,
    on_build: Option<Vec<String>>,
}

/// The prepared image of a base: its tag, and whether it exists.
#[derive(Debug)]
pub(super) struct PreparedLookup {
    pub(super) tag: String,
    pub(super) files_digest: String,
    /// `None`: it does not exist yet.
    pub(super) id: Option<String>,
}

impl DockerEngine {
    /// The prepared image of `image`. If it does not exist yet, preparing it takes some seconds,
    /// and a pull of the image minutes. `uids` are the uids of the users. `progress` gets messages for people.
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
        let files = files.into();
        let base = self.base_image(image, &progress).await?;
        let config = base.config.clone().unwrap_or_default();
        let volumes = usable(&base.os, &config).map_err(|reason| EngineError::ImageUnusable {
            image: image.to_owned(),
            reason,
        })?;
        let found = self.look_up_prepared(&base, files, uids).await?;
        let id = match found.id {
            Some(id) => id,
            None => {
                progress(&format!("preparing {image}, once"));
                self.prepare(&base, image, (files, uids), &found.tag)
                    .await?
            }
        };
        Ok(PreparedImage {
            id,
            tag: found.tag,
            from: image.to_owned(),
            base_id: base.id,
            files_digest: found.files_digest,
            env: config.env.unwrap_or_default(),
            volumes,
        })
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
        let Some(base) = self.inspect_image(image).await? else {
            return Ok(None);
        };
        let found = self.look_up_prepared(&base, files.into(), uids).await?;
        Ok(found.id.map(|id| PreparedImage {
            id,
            tag: found.tag,
            from: image.to_owned(),
            base_id: base.id,
            files_digest: found.files_digest,
            env: Vec::new(),
            volumes: Vec::new(),
        }))
    }

    /// Looks for the image that [`Self::prepare`] would make from `base`.
    pub(super) async fn look_up_prepared(
        &self,
        base: &Image,
        files: SandboxFiles<'_>,
        uids: UidRange,
    ) -> Result<PreparedLookup, EngineError> {
        let files_digest = files_digest(files);
        let tag = tag(&base.id, &files_digest, uids);
        let id = self.find_prepared(&tag, &base.id).await?;
        Ok(PreparedLookup {
            tag,
            files_digest,
            id,
        })
    }

    async fn base_image(
        &self,
        image: &str,
        progress: &(impl Fn(&str) + Send + Sync),
    ) -> Result<Image, EngineError> {
        if let Some(base) = self.inspect_image(image).await? {
            return Ok(base);
        }
        self.pull(image, progress).await?;
        self.inspect_image(image)
            .await?
            .ok_or_else(|| EngineError::image_missing(image, "it was pulled, but is gone again"))
    }

    /// An image made on Podman's own machine is `localhost/NAME` there. Its commands look for that
    /// first, and its Docker API never does.
    pub(super) async fn inspect_image(&self, image: &str) -> Result<Option<Image>, EngineError> {
        if podman::is_short(image) && self.is_podman().await? {
            let local = podman::local_name(image);
            if let Some(found) = self.inspect_named(&local).await? {
                return Ok(Some(found));
            }
        }
        self.inspect_named(image).await
    }

    async fn inspect_named(&self, image: &str) -> Result<Option<Image>, EngineError> {
        let path = format!("/images/{}/json", path_of(image)?);
        match self.get("inspect image", &path).await {
            Ok(found) => Image::deserialize(found)
                .map(Some)
                .map_err(|error| EngineError::Answer {
                    call: "inspect image",
                    source: error.into(),
                }),
            Err(error) if error.status() == Some(404) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn find_prepared(
        &self,
        tag: &str,
        base: &str,
    ) -> Result<Option<String>, EngineError> {
        let Some(found) = self.inspect_image(tag).await? else {
            return Ok(None);
        };
        let labels = found.config.unwrap_or_default().labels.unwrap_or_default();
        if labels.get(labels::PREPARED).is_some_and(|of| of == base) {
            Ok(Some(found.id))
        } else {
            Err(EngineError::Foreign {
                kind: "image",
                name: tag.to_owned(),
            })
        }
    }
}

/// The name of the image that is prepared from this base with these files for these uids.
pub(super) fn tag(base: &str, files_digest: &str, uids: UidRange) -> String {
    let (first, count) = (uids.first(), uids.count());
    let inputs = format!("{RECIPE}\n{base}\n{files_digest}\n{first}\n{count}");
    let mut digits = hex(&Sha256::digest(inputs));
    digits.truncate(TAG_DIGITS);
    format!("{REPOSITORY}:{digits}")
}

/// An image's name may have slashes, but nothing that leads to another path of the API.
fn path_of(image: &str) -> Result<&str, EngineError> {
    let inner = |b: u8| b.is_ascii_alphanumeric() || b"_.-/:@[]".contains(&b);
    let starts_well = image.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '[');
    let parts_good = image
        .split('/')
        .all(|part| !["", ".", ".."].contains(&part));
    if starts_well && parts_good && image.bytes().all(inner) {
        Ok(image)
    } else {
        Err(EngineError::Name {
            kind: "image",
            name: shorten(image),
        })
    }
}

/// The VOLUMEs that a tmpfs must cover; the error says why the image cannot be used.
pub(super) fn usable(os: &str, config: &ImageConfig) -> Result<Vec<String>, String> {
    if os != "linux" {
        return Err(format!(
            "its operating system is {os:?}, and casemate-init is for linux"
        ));
    }
    if config.on_build.iter().flatten().next().is_some() {
        return Err(
            "it has ONBUILD instructions: it is a base for builds, not for running".to_owned(),
        );
    }
    let mut covered = Vec::new();
    for volume in config.volumes.iter().flat_map(HashMap::keys) {
        covered.extend(coverable(volume)?);
    }
    covered.sort();
    covered.dedup();
    Ok(covered)
}

/// `None` if the workspace or the sandbox's own tmpfs already covers it.
fn coverable(volume: &str) -> Result<Option<String>, String> {
    let cleaned = clean(volume);
    let path = Path::new(&cleaned);
    let refuse = |why: String| Err(format!("its VOLUME {volume} {why}"));
    for ours in [WORKSPACE, "/tmp"] {
        if path == Path::new(ours) {
            return Ok(None);
        }
        if Path::new(ours).starts_with(path) || path.starts_with(ours) {
            return refuse(format!("is above or below {ours}"));
        }
    }
    for kept in [INIT_PATH, node::DIRECTORY, "/proc", "/sys", "/dev"] {
        if path.starts_with(kept) {
            return refuse(format!("would cover {kept}"));
        }
    }
    Ok(Some(cleaned))
}

/// The path as the Engine uses it: absolute, without `.` and `..`.
pub(super) fn clean(path: &str) -> String {
    let mut clean = PathBuf::from("/");
    for component in Path::new(path).components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => {
                clean.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    clean.to_string_lossy().into_owned()
}

#[cfg(test)]
#[path = "image_tests.rs"]
mod tests;
