//! The calls about containers.

use std::future::Future;

use bollard::errors::Error as BollardError;
use bollard::models::{ContainerCreateBody, ContainerWaitResponse};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, RemoveContainerOptionsBuilder, RenameContainerOptionsBuilder,
    StartContainerOptions, WaitContainerOptionsBuilder,
};
use casemate_protocol::HelloReply;
use futures_util::StreamExt;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tracing::{debug, warn};

use super::{CLIENT_TIMEOUT, DockerEngine, UPDATE_TIMEOUT, label_filters, segment};
use super::{inspect, remedies, verify};
use crate::engine::container::{Container, ContainerSummary, CreatedContainer, EndedContainer};
use crate::engine::container_spec::ContainerSpec;
use crate::engine::difference::{Difference, DifferenceKind};
use crate::engine::error::EngineError;
use crate::engine::kind::EngineKind;

impl DockerEngine {
    /// The container of this name or id, if it exists.
    ///
    /// # Errors
    /// Those of every call.
    pub async fn inspect(&self, name_or_id: &str) -> Result<Option<Container>, EngineError> {
        let path = format!("/containers/{}/json", segment("container", name_or_id)?);
        match self.get("inspect", &path).await {
            Ok(mut stored) => {
                if self.is_podman().await? {
                    self.add_podmans_own(&mut stored).await?;
                }
                inspect::container(stored).map(Some)
            }
            Err(error) if error.status() == Some(404) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Creates a container without starting it, and compares the stored container with `spec`. A
    /// caller that gives up half-way may leave a created container: the sweep by label removes it.
    ///
    /// # Errors
    /// [`EngineError::Conflict`] for a name in use, [`EngineError::ImageMissing`] for an image that
    /// is gone, [`EngineError::Weakened`] where hardening was lost (the container is removed).
    pub async fn create(
        &self,
        name: &str,
        spec: &ContainerSpec,
    ) -> Result<CreatedContainer, EngineError> {
        let body = spec.body();
        let created = self.create_body(name, body.clone()).await?;
        match self.check_fresh(name, &body, &created.id).await {
            Ok(differences) => Ok(CreatedContainer {
                differences,
                ..created
            }),
            Err(error) => {
                if let Err(error) = self.remove(&created.id).await {
                    debug!(
                        name,
                        error = &error as &dyn std::error::Error,
                        "left a container"
                    );
                }
                Err(error)
            }
        }
    }

    pub(super) async fn create_body(
        &self,
        name: &str,
        body: ContainerCreateBody,
    ) -> Result<CreatedContainer, EngineError> {
        let options = CreateContainerOptionsBuilder::new()
            .name(segment("container", name)?)
            .build();
        let image = body.image.clone().unwrap_or_default();
        if self.is_podman().await? {
            self.make_missing_volumes(&body).await?;
        }
        let docker = self.docker().await?;
        let created = self
            .bounded(
                "create",
                UPDATE_TIMEOUT,
                docker.create_container(Some(options), body),
            )
            .await
            .map_err(|error| match error.status() {
                Some(409) => EngineError::Conflict {
                    name: name.to_owned(),
                },
                Some(404) => EngineError::image_missing(&image, "it was removed"),
                _ => error,
            })?;
        Ok(CreatedContainer {
            id: created.id,
            warnings: created.warnings,
            differences: Vec::new(),
        })
    }

    async fn check_fresh(
        &self,
        name: &str,
        body: &ContainerCreateBody,
        id: &str,
    ) -> Result<Vec<Difference>, EngineError> {
        let container = self
            .inspect(id)
            .await?
            .ok_or_else(|| EngineError::Missing {
                kind: "container",
                name: name.to_owned(),
            })?;
        self.shared.unknown.lock().learn(&container.stored);
        let kind = self.kind().await?;
        let differences = self.compare(kind, body, &container);
        if differences
            .iter()
            .any(|difference| difference.kind == DifferenceKind::Hardening)
        {
            let remedy = match remedies::is_of_a_limit(&differences) {
                true => self
                    .capabilities()
                    .await
                    .ok()
                    .map(|host| host.how_to_limit()),
                false => None,
            };
            return Err(EngineError::Weakened {
                name: name.to_owned(),
                differences,
                remedy,
            });
        }
        Ok(differences)
    }

    /// The differences between the stored `container` and `spec`. A container with a
    /// difference of `Hardening` must not be used.
    pub fn differences(&self, spec: &ContainerSpec, container: &Container) -> Vec<Difference> {
        let spec = spec.with_versions_of(&container.stored);
        self.compare(spec.engine, &spec.body(), container)
    }

    fn compare(
        &self,
        kind: EngineKind,
        body: &ContainerCreateBody,
        container: &Container,
    ) -> Vec<Difference> {
        verify::compare(kind, body, &container.stored, &self.shared.unknown.lock())
    }

    /// Compares the word of Podman, which accepts what it then does not apply, with what the kernel
    /// showed PID 1 of a running container. Docker's word is true.
    ///
    /// # Errors
    /// [`EngineError::Unreal`] for a container that must not be used.
    pub async fn verify_inside(&self, id: &str, hello: &HelloReply) -> Result<(), EngineError> {
        let host = self.capabilities().await?;
        if host.kind != EngineKind::Podman {
            return Ok(());
        }
        let missing = || EngineError::Missing {
            kind: "container",
            name: id.to_owned(),
        };
        let container = self.inspect(id).await?.ok_or_else(missing)?;
        let unreal = verify::unreal(&container.stored, hello.confinement.as_ref(), &host);
        if unreal.is_empty() {
            return Ok(());
        }
        Err(EngineError::Unreal {
            name: container.name,
            protections: unreal.join(", "),
        })
    }

    /// Starts it. One that runs already is fine.
    ///
    /// # Errors
    /// [`EngineError::Missing`] where it is gone.
    pub async fn start(&self, id: &str) -> Result<(), EngineError> {
        let docker = self.docker().await?;
        let call = docker.start_container(segment("container", id)?, None::<StartContainerOptions>);
        self.bounded("start", UPDATE_TIMEOUT, call)
            .await
            .map_err(|error| missing(error, id))
    }

    /// Removes it with its anonymous volumes, and kills its processes. One that is gone, or going,
    /// is fine: its name may then not be free yet.
    ///
    /// # Errors
    /// Those of every call.
    pub async fn remove(&self, id: &str) -> Result<(), EngineError> {
        let options = RemoveContainerOptionsBuilder::new()
            .force(true)
            .v(true)
            .build();
        let docker = self.docker().await?;
        let call = docker.remove_container(segment("container", id)?, Some(options));
        match self.bounded("remove", UPDATE_TIMEOUT, call).await {
            // 409: "removal of container … is already in progress".
            Err(error) if matches!(error.status(), Some(404 | 409)) => Ok(()),
            other => other,
        }
    }

    /// Removes it unless it runs: then `false`, and it is unchanged. One that is
    /// gone, or going, is fine.
    ///
    /// # Errors
    /// Those of every call.
    pub async fn remove_stopped(&self, id: &str) -> Result<bool, EngineError> {
        let options = RemoveContainerOptionsBuilder::new().v(true).build();
        let docker = self.docker().await?;
        let call = docker.remove_container(segment("container", id)?, Some(options));
        match self.bounded("remove", UPDATE_TIMEOUT, call).await {
            Err(error) if error.status() == Some(404) => Ok(true),
            Err(EngineError::Refused {
                status: 409,
                message,
                ..
            }) => Ok(message.contains("already in progress")),
            other => other.map(|()| true),
        }
    }

    /// Gives it another name, so that its own is free. One that is gone is fine.
    ///
    /// # Errors
    /// [`EngineError::Conflict`] for a name in use.
    pub(super) async fn rename(&self, id: &str, name: &str) -> Result<(), EngineError> {
        let options = RenameContainerOptionsBuilder::new().name(name).build();
        let docker = self.docker().await?;
        let call = docker.rename_container(segment("container", id)?, options);
        match self.bounded("rename", UPDATE_TIMEOUT, call).await {
            Err(error) if error.status() == Some(404) => Ok(()),
            Err(error) if error.status() == Some(409) => Err(EngineError::Conflict {
                name: name.to_owned(),
            }),
            other => other,
        }
    }

    /// Frees the name of a container that does not end, and has it removed as soon as the kernel lets
    /// go of it. Until then its name is `aside`.
    ///
    /// # Errors
    /// As [`Self::rename`].
    pub async fn free_name(&self, id: &str, aside: &str) -> Result<(), EngineError> {
        self.rename(id, aside).await?;
        let (engine, id) = (self.clone(), id.to_owned());
        tokio::spawn(async move {
            if let Err(error) = engine.remove(&id).await {
                let error = &error as &dyn std::error::Error;
                warn!(container = id, error, "it is removed when it ends");
            }
        });
        Ok(())
    }

    /// Waits until it is gone, without a deadline. The request is sent when this is first polled:
    /// after the removal, the exit code is `None`.
    ///
    /// # Errors
    /// [`EngineError::Unavailable`] if the Engine ends first.
    pub fn ended(
        &self,
        id: &str,
    ) -> impl Future<Output = Result<EndedContainer, EngineError>> + Send + 'static {
        let (engine, id) = (self.clone(), id.to_owned());
        async move {
            let options = WaitContainerOptionsBuilder::new()
                .condition("removed")
                .build();
            let docker = engine.docker().await?;
            let mut answers =
                Box::pin(docker.wait_container(segment("container", &id)?, Some(options)));
            match answers.next().await {
                None => Err(engine.unavailable("the wait ended without an answer")),
                Some(Ok(ContainerWaitResponse { status_code, .. })) => {
                    Ok(EndedContainer::with_code(Some(status_code)))
                }
                // bollard's form of a code other than 0.
                Some(Err(BollardError::DockerContainerWaitError { code, .. })) => {
                    Ok(EndedContainer::with_code(Some(code)))
                }
                Some(Err(error)) => match engine.bollard_error("wait", CLIENT_TIMEOUT, error) {
                    error if error.status() == Some(404) => Ok(EndedContainer::default()),
                    error => Err(error),
                },
            }
        }
    }

    /// All containers, running or not, that have every one of these labels.
    ///
    /// # Errors
    /// Those of every call.
    pub async fn list_containers(
        &self,
        labels: &[(&str, &str)],
    ) -> Result<Vec<ContainerSummary>, EngineError> {
        let filters = serde_json::json!(label_filters(labels)).to_string();
        let filters = utf8_percent_encode(&filters, NON_ALPHANUMERIC);
        let path = format!("/containers/json?all=true&filters={filters}");
        // bollard refuses a whole listing for one state that it does not know, as Podman's `stopped`.
        inspect::summaries(self.get("list", &path).await?)
    }
}

fn missing(error: EngineError, id: &str) -> EngineError {
    match error.status() {
        Some(404) => EngineError::Missing {
            kind: "container",
            name: id.to_owned(),
        },
        _ => error,
    }
}

#[cfg(test)]
#[path = "containers_tests.rs"]
mod tests;
