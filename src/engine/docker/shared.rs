//! Volumes of shared data: how they are made and listed, and how a container has one.

use std::collections::{BTreeMap, HashMap};

use bollard::models::{
    Mount, MountType, MountVolumeOptions, MountVolumeOptionsDriverConfig, VolumeCreateRequest,
};

use serde_json::Value;

use super::volume_driver::VolumeDriver;
use super::{DockerEngine, segment};
use crate::engine::error::EngineError;
use crate::engine::labels::{INSTANCE, REMADE, SHARED};
use crate::engine::shared_mount::SharedMount;
use crate::engine::shared_names::{version_volume, without_version};
use crate::engine::uids::RunAs;
use crate::engine::volume::VolumeSummary;

impl SharedMount {
    /// `None`: nothing is mounted. The Engine makes a missing volume at the create call: its labels
    /// say so, and it is never used.
    pub(super) fn mount(&self, instance: &str) -> Option<Mount> {
        let VolumeDriver { name, options } = VolumeDriver::local(None);
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

impl SharedMount {
    /// The volume of this share that a stored container has at its path.
    pub(super) fn mounted_version(&self, instance: &str, stored: &Value) -> Option<String> {
        let any = version_volume(instance, &self.name, &"0".repeat(64));
        let is_version = |mount: &&Value| {
            let volume = mount["Name"].as_str().unwrap_or_default();
            mount["Type"] == "volume"
                && mount["Destination"] == self.path.as_str()
                && without_version(volume) == without_version(&any)
        };
        let mount = stored["Mounts"].as_array()?.iter().find(is_version)?;
        mount["Name"].as_str().map(str::to_owned)
    }
}

impl DockerEngine {
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
        let options = self
            .volume_options(BTreeMap::new(), RunAs::SHARED_DATA)
            .await?;
        let request = VolumeCreateRequest {
            name: Some(segment("volume", name)?.to_owned()),
            driver_opts: Some(options),
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
