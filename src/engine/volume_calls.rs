//! The interface of volumes, and of marks.

use std::collections::{BTreeMap, HashMap};

use super::Engine;
use super::container_spec::ContainerSpec;
use super::error::EngineError;
use super::labels::Labels;
use super::volume::VolumeSummary;

impl Engine {
    /// Makes the volume of `size` bytes, with `more` labels, or finds it: of two servers one makes
    /// it, and both get the same. Returns it as it is: one that exists keeps its labels and size.
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
        dispatch!(self.ensure_volume(name, labels, more, size).await)
    }

    /// Gives the volume of `spec` to the user that it runs as, if it is empty. Repeating it is fine.
    ///
    /// # Errors
    /// Those of every call.
    pub async fn give_to_user(&self, spec: &ContainerSpec) -> Result<(), EngineError> {
        dispatch!(self.give_to_user(spec).await)
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
        dispatch!(self.find_volume(name, labels).await)
    }

    /// The volume of this name, whosever it is.
    ///
    /// # Errors
    /// Those of every call.
    pub async fn inspect_volume(&self, name: &str) -> Result<Option<VolumeSummary>, EngineError> {
        dispatch!(self.inspect_volume(name).await)
    }

    /// Whether there is one of this name.
    ///
    /// # Errors
    /// Those of every call.
    pub async fn has_volume(&self, name: &str) -> Result<bool, EngineError> {
        dispatch!(self.has_volume(name).await)
    }

    /// Makes a mark: something without content that exists only for its name and its labels, and that
    /// listings of volumes have among them. Of two servers with different labels one makes it. An
    /// existing one with these labels is fine.
    ///
    /// # Errors
    /// [`EngineError::Foreign`] where one of this name lacks one of them.
    pub async fn mark(&self, name: &str, labels: &[(&str, &str)]) -> Result<(), EngineError> {
        dispatch!(self.mark(name, labels).await)
    }

    /// The mark of this name, whosever it is.
    ///
    /// # Errors
    /// Those of every call.
    pub async fn find_mark(&self, name: &str) -> Result<Option<VolumeSummary>, EngineError> {
        dispatch!(self.find_mark(name).await)
    }

    /// Takes the mark away. One that is gone is fine.
    ///
    /// # Errors
    /// Those of every call.
    pub async fn remove_mark(&self, name: &str) -> Result<(), EngineError> {
        dispatch!(self.remove_mark(name).await)
    }

    /// Takes the volume away with all that is in it. One that is gone is fine.
    ///
    /// # Errors
    /// [`EngineError::InUse`] while a container has it, also one that does not run.
    pub async fn remove_volume(&self, name: &str) -> Result<(), EngineError> {
        dispatch!(self.remove_volume(name).await)
    }

    /// All volumes and marks that have every one of these labels, in one look.
    ///
    /// # Errors
    /// Those of every call.
    pub async fn list_volumes(
        &self,
        labels: &[(&str, &str)],
    ) -> Result<Vec<VolumeSummary>, EngineError> {
        dispatch!(self.list_volumes(labels).await)
    }

    /// All volumes and marks with a uid in their labels, of all instances whose users share a kernel.
    ///
    /// # Errors
    /// Those of every call.
    pub async fn volumes_with_uid(&self) -> Result<Vec<VolumeSummary>, EngineError> {
        dispatch!(self.volumes_with_uid().await)
    }

    /// The bytes of each volume, by name, as far as they are known. It may read whole
    /// directories, so only operators' commands call it.
    ///
    /// # Errors
    /// Those of every call; a busy disk takes longer than its time.
    pub async fn volume_sizes(&self) -> Result<HashMap<String, u64>, EngineError> {
        dispatch!(self.volume_sizes().await)
    }

    /// An operator says that nothing writes to the volume any more: on Kubernetes the Pod that had it goes,
    /// also where its node is lost. Elsewhere an Engine knows by itself.
    ///
    /// # Errors
    /// [`EngineError::OnlyOnKubernetes`], and those of every call.
    #[cfg_attr(not(feature = "kubernetes"), expect(unused_variables))]
    pub async fn release(&self, name: &str) -> Result<(), EngineError> {
        match self {
            #[cfg(feature = "kubernetes")]
            Self::Kubernetes(kubernetes) => kubernetes.release(name).await,
            Self::Docker(_) => Err(EngineError::OnlyOnKubernetes),
        }
    }

    /// All volumes and marks of shared data of an instance: versions, and what says which counts.
    ///
    /// # Errors
    /// Those of every call.
    pub async fn shared_volumes(&self, instance: &str) -> Result<Vec<VolumeSummary>, EngineError> {
        dispatch!(self.shared_volumes(instance).await)
    }

    /// Makes an empty volume of shared data with these labels, or finds it. Returns it as it is:
    /// one that exists keeps its own labels.
    ///
    /// # Errors
    /// Those of every call.
    pub async fn make_shared_volume(
        &self,
        name: &str,
        labels: BTreeMap<String, String>,
    ) -> Result<VolumeSummary, EngineError> {
        dispatch!(self.make_shared_volume(name, labels).await)
    }
}
