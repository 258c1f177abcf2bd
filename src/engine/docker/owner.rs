//! The owner of a new volume.
//!
//! The top directory of a new volume belongs to root, and at every create of a container the Engine
//! copies the image's content at the mount point onto an *empty* volume, with its owner and mode:
//! so after a user deletes all files, the next container would change the owner. `NoCopy` prevents
//! that, but then the volume does not get its user as owner: a chown needs a running root, and the
//! archive API does not change the top directory. So a container that never starts mounts the
//! volume once, without `NoCopy`, over an empty directory that belongs to the user, in an image
//! made for that ([`super::owner_image`]).
//!
//! This can be repeated: the Engine copies nothing onto a volume that has content.

use std::collections::BTreeMap;

use bollard::models::{ContainerCreateBody, HostConfig, MountVolumeOptions};
use tracing::debug;

use super::DockerEngine;
use super::owner_image::{owner_directory, owner_image};
use crate::engine::container_spec::{ContainerSpec, Workspace};
use crate::engine::error::EngineError;
use crate::engine::hex::hex;
use crate::engine::kind::EngineKind;
use crate::engine::labels::{self, OWNER_MODE};

impl DockerEngine {
    /// Gives the volume of `spec` to the user that it runs as, if it is empty. The container is
    /// removed; the sweep removes a leftover one.
    ///
    /// # Errors
    /// Those of every call.
    pub async fn give_to_user(&self, spec: &ContainerSpec) -> Result<(), EngineError> {
        let Workspace::Volume(volume) = &spec.workspace else {
            return Ok(());
        };
        // A volume on Podman has its owner from the start: `podman::volume_options`.
        if spec.engine == EngineKind::Podman {
            return Ok(());
        }
        let random = hex(&uuid::Uuid::new_v4().as_bytes()[..6]);
        let name = format!("{volume}-owner-{random}");
        let create = || self.create_body(&name, spec.owner_body());
        let created = match create().await {
            Err(EngineError::ImageMissing { .. }) => {
                // One import for all who wait for it.
                let _importing = self.shared.importing.lock().await;
                match create().await {
                    Err(EngineError::ImageMissing { .. }) => {
                        self.make_owner_image(spec.run_as.uid()).await?;
                        create().await
                    }
                    created => created,
                }
            }
            created => created,
        }?;
        self.remove(&created.id).await?;
        debug!(volume, uid = spec.run_as.uid(), "it has its owner");
        Ok(())
    }
}

impl ContainerSpec {
    /// The body of the container that never starts.
    fn owner_body(&self) -> ContainerCreateBody {
        let mut host = HostConfig {
            network_mode: Some("none".to_owned()),
            cap_drop: Some(vec!["ALL".to_owned()]),
            readonly_rootfs: Some(true),
            mounts: Some(vec![self.mount()]),
            ..HostConfig::default()
        };
        self.complete_mounts(&mut host);
        for mount in host.mounts.iter_mut().flatten() {
            mount.target = Some(owner_directory(self.run_as.uid()));
            mount.volume_options = mount.volume_options.take().map(|options| {
                // Our only mount that copies.
                MountVolumeOptions {
                    no_copy: Some(false),
                    ..options
                }
            });
        }
        let mut labels: BTreeMap<_, _> = self.labels.to_map();
        labels.insert(labels::MODE.to_owned(), OWNER_MODE.to_owned());
        ContainerCreateBody {
            image: Some(owner_image(self.run_as.uid())),
            user: Some(self.run_as.as_user()),
            // Never run; the Engine wants one.
            entrypoint: Some(vec!["/casemate-never-runs".to_owned()]),
            labels: Some(labels.into_iter().collect()),
            host_config: Some(host),
            ..ContainerCreateBody::default()
        }
    }
}

#[cfg(test)]
#[path = "owner_tests.rs"]
mod tests;
