//! The calls about volumes.

use std::collections::HashMap;

use bollard::models::{Volume, VolumeCreateRequest};
use bollard::query_parameters::{ListVolumesOptionsBuilder, RemoveVolumeOptions};

use super::volume_driver::VolumeDriver;
use super::{DockerEngine, QUERY_TIMEOUT, UPDATE_TIMEOUT, label_filters, podman, segment};
use crate::engine::error::EngineError;
use crate::engine::labels::{Labels, UID};
use crate::engine::uids::RunAs;
use crate::engine::volume::VolumeSummary;

impl DockerEngine {
    /// Makes the volume, with `more` labels, or finds it. Returns it as it is: one that exists
    /// keeps its own labels and its size.
    ///
    /// # Errors
    /// [`EngineError::Foreign`] where one of this name does not have our labels.
    pub async fn ensure_volume(
        &self,
        name: &str,
        labels: &Labels,
        more: &[(&str, String)],
        size: Option<u64>,
    ) -> Result<VolumeSummary, EngineError> {
        let more = more
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()));
        let labels_of_volume: HashMap<_, _> = labels.to_map().into_iter().chain(more).collect();
        let uid = labels_of_volume.get(UID).and_then(|uid| uid.parse().ok());
        let VolumeDriver {
            name: driver,
            options,
        } = VolumeDriver::local(size);
        let options = self.volume_options(options, RunAs::of(uid)).await?;
        let request = VolumeCreateRequest {
            name: Some(segment("volume", name)?.to_owned()),
            driver: Some(driver),
            driver_opts: Some(options),
            labels: Some(labels_of_volume),
            cluster_volume_spec: None,
        };
        self.create_volume(request).await?.owned_by(labels)
    }

    /// For an existing volume the Engine returns its stored values, not the requested ones.
    pub(super) async fn create_volume(
        &self,
        request: VolumeCreateRequest,
    ) -> Result<VolumeSummary, EngineError> {
        let docker = self.docker().await?;
        let name = request.name.clone().unwrap_or_default();
        let create = || {
            let call = docker.create_volume(request.clone());
            self.bounded("create volume", UPDATE_TIMEOUT, call)
        };
        let made = match create().await {
            // Another server was faster, by a moment. The next call finds its volume.
            Err(EngineError::Refused { message, .. })
                if message.contains(podman::VOLUME_EXISTS) =>
            {
                create().await
            }
            made => made,
        };
        match made {
            Ok(volume) => Ok(volume.into()),
            // It exists with another driver.
            Err(error) if error.status() == Some(409) => Err(foreign(name)),
            Err(error) => Err(error),
        }
    }

    /// The volume of this name, if it exists.
    ///
    /// # Errors
    /// [`EngineError::Foreign`] where it does not have our labels.
    pub async fn find_volume(
        &self,
        name: &str,
        labels: &Labels,
    ) -> Result<Option<VolumeSummary>, EngineError> {
        let Some(row) = self.inspect_volume(name).await? else {
            return Ok(None);
        };
        row.owned_by(labels).map(Some)
    }

    /// The volume of this name, whosever it is.
    ///
    /// # Errors
    /// Those of every call.
    pub async fn inspect_volume(&self, name: &str) -> Result<Option<VolumeSummary>, EngineError> {
        let docker = self.docker().await?;
        let call = docker.inspect_volume(segment("volume", name)?);
        match self.bounded("inspect volume", QUERY_TIMEOUT, call).await {
            Ok(volume) => Ok(Some(volume.into())),
            Err(error) if error.status() == Some(404) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Creates a volume only for its labels: a mark. An existing one with them is fine.
    ///
    /// # Errors
    /// [`EngineError::Foreign`] where one of this name lacks one of them.
    pub async fn mark(&self, name: &str, labels: &[(&str, &str)]) -> Result<(), EngineError> {
        let label = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
        let request = VolumeCreateRequest {
            name: Some(segment("volume", name)?.to_owned()),
            labels: Some(labels.iter().map(label).collect()),
            ..VolumeCreateRequest::default()
        };
        let found = self.create_volume(request).await?.labels;
        let has = |&(name, value): &(&str, &str)| found.get(name).is_some_and(|has| has == value);
        match labels.iter().all(has) {
            true => Ok(()),
            false => Err(foreign(name.to_owned())),
        }
    }

    /// As [`Self::inspect_volume`]: a mark is a volume.
    ///
    /// # Errors
    /// Those of every call.
    pub async fn find_mark(&self, name: &str) -> Result<Option<VolumeSummary>, EngineError> {
        self.inspect_volume(name).await
    }

    /// As [`Self::remove_volume`].
    ///
    /// # Errors
    /// Those of every call.
    pub async fn remove_mark(&self, name: &str) -> Result<(), EngineError> {
        self.remove_volume(name).await
    }

    /// Whether there is one of this name.
    ///
    /// # Errors
    /// Those of every call.
    pub async fn has_volume(&self, name: &str) -> Result<bool, EngineError> {
        Ok(self.inspect_volume(name).await?.is_some())
    }

    /// Takes the volume away with all that is in it. One that is gone is fine.
    ///
    /// # Errors
    /// [`EngineError::InUse`] while a container has it, also one that does not run.
    pub async fn remove_volume(&self, name: &str) -> Result<(), EngineError> {
        let docker = self.docker().await?;
        let call = docker.remove_volume(segment("volume", name)?, None::<RemoveVolumeOptions>);
        match self.bounded("remove volume", UPDATE_TIMEOUT, call).await {
            Err(error) if error.status() == Some(404) => Ok(()),
            Err(error) if error.status() == Some(409) => Err(EngineError::InUse {
                name: name.to_owned(),
            }),
            other => other,
        }
    }

    /// All volumes that have every one of these labels. It waits while the Engine takes away
    /// a volume with much in it: more than 10 s were seen.
    ///
    /// # Errors
    /// Those of every call.
    pub async fn list_volumes(
        &self,
        labels: &[(&str, &str)],
    ) -> Result<Vec<VolumeSummary>, EngineError> {
        self.filtered_volumes(label_filters(labels)).await
    }

    /// All volumes of any instance with a uid in their labels, and the claims for one.
    ///
    /// # Errors
    /// Those of every call.
    pub async fn volumes_with_uid(&self) -> Result<Vec<VolumeSummary>, EngineError> {
        let has = HashMap::from([("label".to_owned(), vec![UID.to_owned()])]);
        self.filtered_volumes(has).await
    }

    pub(super) async fn filtered_volumes(
        &self,
        filters: HashMap<String, Vec<String>>,
    ) -> Result<Vec<VolumeSummary>, EngineError> {
        let options = ListVolumesOptionsBuilder::new().filters(&filters).build();
        let docker = self.docker().await?;
        let list = self
            .bounded(
                "list volumes",
                UPDATE_TIMEOUT,
                docker.list_volumes(Some(options)),
            )
            .await?;
        let volumes = list.volumes.unwrap_or_default().into_iter();
        Ok(volumes.map(VolumeSummary::from).collect())
    }
}

fn foreign(name: String) -> EngineError {
    let kind = "volume";
    EngineError::Foreign { kind, name }
}

impl From<Volume> for VolumeSummary {
    fn from(volume: Volume) -> Self {
        Self {
            name: volume.name,
            labels: volume.labels.into_iter().collect(),
            created: volume.created_at,
        }
    }
}
