//! The images that give a new volume its owner: empty directories, one for each uid, and nothing
//! else. An image has the directories of a block of uids, so it serves many users; it is
//! independent of the settings and of the images that sandboxes run from.

use std::collections::HashMap;
use std::io;

use bollard::body_full;
use bollard::query_parameters::{CreateImageOptionsBuilder, ListImagesOptionsBuilder};
use futures_util::TryStreamExt as _;
use tar::{Builder, EntryType};
use tracing::debug;

use super::{DockerEngine, QUERY_TIMEOUT, UPDATE_TIMEOUT};
use crate::engine::error::EngineError;
use crate::engine::{labels, rootfs};

/// The repository of these images. Never pushed.
const REPOSITORY: &str = "casemate-owner";

/// Uids in an image: 1 MB on disk, made in 0.1 s.
const UIDS_PER_IMAGE: u32 = 256;

/// The first uid of the block that has `uid`.
fn first_of(uid: u32) -> u32 {
    uid - uid % UIDS_PER_IMAGE
}

/// The image with the directory of `uid`.
pub(super) fn owner_image(uid: u32) -> String {
    format!("{REPOSITORY}:{}", first_of(uid))
}

/// The directory of `uid` in its image.
pub(super) fn owner_directory(uid: u32) -> String {
    format!("/{uid}")
}

impl DockerEngine {
    /// Creates the image with the directory of `uid`. If two servers do so at once, the later one
    /// gets the name, and the next import removes the other.
    pub(super) async fn make_owner_image(&self, uid: u32) -> Result<(), EngineError> {
        const CALL: &str = "import";
        let first = first_of(uid);
        let archive = archive(first).map_err(|error| EngineError::Answer {
            call: CALL,
            source: error.into(),
        })?;
        let options = CreateImageOptionsBuilder::new()
            .from_src("-")
            .repo(REPOSITORY)
            .tag(&first.to_string())
            .changes(vec![format!("LABEL {}=yes", labels::OWNER_IMAGE)])
            .build();
        let docker = self.docker().await?;
        let import = docker.create_image(Some(options), Some(body_full(archive.into())), None);
        let import = import.try_for_each(async |_| Ok(()));
        self.bounded(CALL, UPDATE_TIMEOUT, import).await?;
        debug!(first, "made the image that gives volumes their owners");
        if let Err(error) = self.remove_unnamed_owner_images().await {
            let error = &error as &dyn std::error::Error;
            debug!(error, "an image without a name stays");
        }
        Ok(())
    }

    /// An image that a container still uses stays until the next time.
    async fn remove_unnamed_owner_images(&self) -> Result<(), EngineError> {
        let filters = HashMap::from([
            ("label", vec![labels::OWNER_IMAGE]),
            ("dangling", vec!["true"]),
        ]);
        let options = ListImagesOptionsBuilder::new().filters(&filters).build();
        let docker = self.docker().await?;
        let images = docker.list_images(Some(options));
        for image in self.bounded("list images", QUERY_TIMEOUT, images).await? {
            self.remove_unless_used(&image.id).await?;
        }
        Ok(())
    }
}

/// The directories of the block that begins with `first`, in times of 1970.
fn archive(first: u32) -> io::Result<Vec<u8>> {
    let mut tar = Builder::new(Vec::new());
    for uid in first..first + UIDS_PER_IMAGE {
        let header = rootfs::header(EntryType::Directory, 0o755, uid, 0);
        rootfs::append(&mut tar, header, &owner_directory(uid), &[])?;
    }
    tar.into_inner()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_has_the_directories_of_its_block_each_with_its_owner() {
        for uid in [1000, 65_536, 65_791, 2_147_483_647] {
            let first = first_of(uid);
            assert_eq!(owner_image(uid), format!("casemate-owner:{first}"));
            let bytes = archive(first).expect("an archive");
            let mut archive = tar::Archive::new(bytes.as_slice());
            let entries = archive.entries().expect("entries").map(|entry| {
                let entry = entry.expect("an entry");
                let header = entry.header();
                let (owner, group) = (header.uid().expect("uid"), header.gid().expect("gid"));
                assert_eq!((header.mode().expect("mode"), owner), (0o755, group));
                let path = entry.path().expect("a path").display().to_string();
                assert_eq!(path, owner.to_string());
                owner
            });
            let owners: Vec<u64> = entries.collect();
            assert_eq!(owners.len(), UIDS_PER_IMAGE as usize);
            assert!(owners.contains(&uid.into()), "{uid}");
        }
    }
}
