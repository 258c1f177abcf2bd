//! The face of containers: made, found, ended, and the way into them.

use std::future::Future;

use casemate_protocol::HelloReply;

use super::Engine;
use super::container::{Container, ContainerSummary, CreatedContainer, EndedContainer};
use super::container_spec::ContainerSpec;
use super::difference::Difference;
use super::error::EngineError;
use super::exec_stream::ExecStream;

impl Engine {
    /// The container of this name or id, if it exists.
    ///
    /// # Errors
    /// Those of every call.
    pub async fn inspect(&self, name_or_id: &str) -> Result<Option<Container>, EngineError> {
        dispatch!(self.inspect(name_or_id).await)
    }

    /// Creates a container without starting it, and compares the stored container with `spec`. Of
    /// two creates under one name, one succeeds. A caller that gives up half-way may leave a created
    /// container: the sweep by label removes it.
    ///
    /// # Errors
    /// [`EngineError::Conflict`] for a name in use, [`EngineError::ImageMissing`] for an image that
    /// is gone, [`EngineError::Weakened`] where hardening was lost (the container is removed).
    pub async fn create(
        &self,
        name: &str,
        spec: &ContainerSpec,
    ) -> Result<CreatedContainer, EngineError> {
        dispatch!(self.create(name, spec).await)
    }

    /// The differences between the stored `container` and `spec`. A container with a difference of
    /// `Hardening` must not be used.
    pub fn differences(&self, spec: &ContainerSpec, container: &Container) -> Vec<Difference> {
        dispatch!(self.differences(spec, container))
    }

    /// Compares what was promised of a running container with what its PID 1 says of itself and of
    /// what the kernel showed it, where the Engine's own word is not enough.
    ///
    /// # Errors
    /// [`EngineError::Unreal`] for a container that must not be used.
    pub async fn verify_inside(&self, id: &str, hello: &HelloReply) -> Result<(), EngineError> {
        dispatch!(self.verify_inside(id, hello).await)
    }

    /// Starts it. One that runs already is fine.
    ///
    /// # Errors
    /// [`EngineError::Missing`] where it is gone.
    pub async fn start(&self, id: &str) -> Result<(), EngineError> {
        dispatch!(self.start(id).await)
    }

    /// The streams of a bridge to PID 1 of this container, which runs, and of no other. They are open
    /// when this returns; a bridge that cannot be run is an error of `output`.
    ///
    /// # Errors
    /// [`EngineError::Missing`] or [`EngineError::NotRunning`] for the container.
    pub async fn open_channel(&self, container: &str) -> Result<ExecStream, EngineError> {
        dispatch!(self.open_channel(container).await)
    }

    /// Removes it, and kills its processes. One that is gone, or going, is fine: its name may then
    /// not be free yet.
    ///
    /// # Errors
    /// Those of every call.
    pub async fn remove(&self, id: &str) -> Result<(), EngineError> {
        dispatch!(self.remove(id).await)
    }

    /// Removes it unless it runs: then `false`, and it is unchanged. One that is gone, or going, is
    /// fine.
    ///
    /// # Errors
    /// Those of every call.
    pub async fn remove_stopped(&self, id: &str) -> Result<bool, EngineError> {
        dispatch!(self.remove_stopped(id).await)
    }

    /// Frees the name of a container that does not end, and has it removed as soon as it ends. Until
    /// then it may have the name `aside`. One that is gone is fine.
    ///
    /// # Errors
    /// [`EngineError::Conflict`] where `aside` is in use.
    pub async fn free_name(&self, id: &str, aside: &str) -> Result<(), EngineError> {
        dispatch!(self.free_name(id, aside).await)
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
        async move { dispatch!(engine.ended(&id).await) }
    }

    /// All containers, running or not, that have every one of these labels.
    ///
    /// # Errors
    /// Those of every call.
    pub async fn list_containers(
        &self,
        labels: &[(&str, &str)],
    ) -> Result<Vec<ContainerSummary>, EngineError> {
        dispatch!(self.list_containers(labels).await)
    }
}
