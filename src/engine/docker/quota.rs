//! Whether the Engine can limit the size of a volume, found by trying.
//!
//! The `local` driver can if the Engine keeps its volumes on XFS with project quotas
//! (`docker volume create --opt size=…`, moby `volume/local/local_linux.go`).

use std::collections::BTreeMap;

use bollard::models::VolumeCreateRequest;

use super::volume_driver::VolumeDriver;
use super::{DockerEngine, UPDATE_TIMEOUT};
use crate::engine::error::EngineError;
use crate::engine::labels::PROBE;
use crate::engine::uids::RunAs;
use crate::engine::volume::Quota;

impl DockerEngine {
    /// The Engine's quota, tested once per connection with a volume of 1 MiB.
    ///
    /// # Errors
    /// Those of every call, except the refusal that is the answer.
    pub async fn quota(&self) -> Result<Quota, EngineError> {
        let connection = self.connect().await?;
        if let Some(known) = connection.quota.get() {
            return Ok(*known);
        }
        let found = self.probe_quota().await?;
        if let Some(found) = found {
            return Ok(*connection.quota.get_or_init(|| found));
        }
        // Refused for another reason: next time it may be the answer.
        Ok(Quota::None)
    }

    async fn probe_quota(&self) -> Result<Option<Quota>, EngineError> {
        // A leftover of an interrupted test.
        for left in self.list_volumes(&[(PROBE, "quota")]).await? {
            self.remove_volume(&left.name).await?;
        }
        let name = format!("casemate-probe-{}", uuid::Uuid::new_v4().simple());
        let driver = VolumeDriver::local(Some(1 << 20));
        let options = self.volume_options(driver.options, RunAs::DEFAULT).await?;
        let labels = BTreeMap::from([(PROBE.to_owned(), "quota".to_owned())]);
        let request = VolumeCreateRequest {
            name: Some(name.clone()),
            driver: Some(driver.name),
            driver_opts: Some(options.into_iter().collect()),
            labels: Some(labels.into_iter().collect()),
            cluster_volume_spec: None,
        };
        let docker = self.docker().await?;
        let made = self.bounded(
            "create volume",
            UPDATE_TIMEOUT,
            docker.create_volume(request),
        );
        match made.await {
            Ok(_) => {
                self.remove_volume(&name).await?;
                Ok(Some(Quota::Volume))
            }
            // "quota size requested but no quota support", with 500 in 20.10; Podman 5.8: "Filesystem does
            // not support Project Quota".
            Err(EngineError::Refused { message, .. }) => {
                let is_quota = message.to_lowercase().contains("quota");
                Ok(is_quota.then_some(Quota::None))
            }
            // The disk is too full for the test. Running sandboxes do not need it.
            Err(EngineError::Full { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
