//! Volumes of shared data: their names, their labels, and how a container has one.
//!
//! ```text
//! casemate-<instance>-shared-<name>-<12 hex>   one version; its name has the hash of its content
//! casemate-<instance>-shared-<name>.<number>   a head: says that a version is whole
//! ```

use std::collections::{BTreeMap, HashMap};

use bollard::models::{
    Mount, MountType, MountVolumeOptions, MountVolumeOptionsDriverConfig, VolumeCreateRequest,
};

use super::error::EngineError;
use super::labels::{INSTANCE, REMADE, SHARED};
use super::volumes::{VolumeDriver, VolumeSummary};
use super::{Engine, segment};

/// Digits of a version in the name of its volume.
const VERSION_DIGITS: usize = 12;

/// Shared data in a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedMount {
    /// The name of the share.
    pub name: String,
    /// Where it is.
    pub path: String,
    /// The volume of its newest version; `None`: there is none, and nothing is mounted.
    pub volume: Option<String>,
}

impl SharedMount {
    /// `None`: nothing is mounted. The Engine makes a missing volume at the create call: its labels
    /// say so, and it is never used.
    pub(super) fn mount(&self, instance: &str) -> Option<Mount> {
        let VolumeDriver { name, options } = VolumeDriver::default();
        let labels = [(INSTANCE, instance), (SHARED, &self.name), (REMADE, "yes")];
        let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Some(Mount {
            target: Some(self.path.clone()),
            source: Some(self.volume.clone()?),
            typ: Some(MountType::VOLUME),
            // The kernel refuses every write with EROFS, also to root.
            read_only: Some(true),
            volume_options: Some(MountVolumeOptions {
                // Otherwise an empty version would get what the image has at the path.
                no_copy: Some(true),
                labels: Some(labels.into()),
                driver_config: Some(MountVolumeOptionsDriverConfig {
                    name: Some(name),
                    options: Some(options.into_iter().collect()),
                }),
                ..MountVolumeOptions::default()
            }),
            ..Mount::default()
        })
    }
}

/// The name of the volume with the version of this hash.
pub fn version_volume(instance: &str, name: &str, hash: &str) -> String {
    let version: String = hash.chars().take(VERSION_DIGITS).collect();
    format!("casemate-{instance}-shared-{name}-{version}")
}

/// The name of the head of this number. The names of users' volumes end with a hash, so none is
/// like this.
pub fn head_volume(instance: &str, name: &str, number: u64) -> String {
    format!("casemate-{instance}-shared-{name}.{number}")
}

/// The name of a volume of shared data without its version, the same for all of a share.
pub(super) fn without_version(volume: &str) -> &str {
    let is_digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    match volume.rsplit_once('-') {
        Some((share, version))
            if share.contains("-shared-")
                && version.len() == VERSION_DIGITS
                && version.bytes().all(is_digit) =>
        {
            share
        }
        _ => volume,
    }
}

impl Engine {
    /// All volumes of shared data of an instance: versions, and what says which counts.
    ///
    /// # Errors
    /// Those of every call.
    pub async fn shared_volumes(&self, instance: &str) -> Result<Vec<VolumeSummary>, EngineError> {
        let labels = vec![format!("{INSTANCE}={instance}"), SHARED.to_owned()];
        self.filtered_volumes(HashMap::from([("label".to_owned(), labels)]))
            .await
    }

    /// Makes an empty volume with these labels, or finds it. Returns it as it is: one that exists
    /// keeps its own labels.
    ///
    /// # Errors
    /// Those of every call.
    pub async fn make_shared_volume(
        &self,
        name: &str,
        labels: BTreeMap<String, String>,
    ) -> Result<VolumeSummary, EngineError> {
        let request = VolumeCreateRequest {
            name: Some(segment("volume", name)?.to_owned()),
            labels: Some(labels.into_iter().collect()),
            ..VolumeCreateRequest::default()
        };
        self.create_volume(request).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_versions_of_a_share_have_one_name_without_the_version_and_no_other_volume_has() {
        let volume = |hash: &str| version_volume("default", "data-1", hash);
        let (old, new) = (volume(&"0a".repeat(32)), volume(&"1b".repeat(32)));
        assert_eq!(old, "casemate-default-shared-data-1-0a0a0a0a0a0a");
        assert_eq!(without_version(&old), without_version(&new));
        assert_ne!(
            without_version(&old),
            without_version(&version_volume("default", "data", &"0a".repeat(32)))
        );
        for other in [
            "casemate-default-ada-0a0a0a0a0a0a",
            "casemate-default-shared-data.1",
            "casemate-default-shared-data-0a0a0a0a0a0g",
            "casemate-default-shared-data-0a0a",
            "",
        ] {
            assert_eq!(without_version(other), other);
        }
    }

    #[test]
    fn a_share_is_mounted_read_only_and_without_a_version_not_at_all() {
        let mut share = SharedMount {
            name: "datasets".to_owned(),
            path: "/shared/datasets".to_owned(),
            volume: Some("v".to_owned()),
        };
        let mount = share.mount("default").expect("a mount");
        assert_eq!(mount.read_only, Some(true));
        assert_eq!(mount.target.as_deref(), Some("/shared/datasets"));
        let options = mount.volume_options.expect("options");
        assert_eq!(options.no_copy, Some(true));
        assert!(options.labels.expect("labels").contains_key(REMADE));
        share.volume = None;
        assert_eq!(share.mount("default"), None);
    }
}
