//! What runs the containers: one interface, with a backend for each kind of engine.
//!
//! ```text
//! Engine (container_calls, volume_calls, image_calls, host_calls)
//!   ├─► docker       Docker Engine and Podman, by Docker's API
//!   └─► kubernetes   a cluster: Pods and claims
//!
//! container, container_spec, volume, …   plain data, which a backend takes and gives
//! labels, rootfs, accounts, env, …       what is the same on every engine
//! ```
//!
//! Invariants:
//!
//! - No module outside sees a type of a backend, or of a library that a backend speaks by.
//! - Backends do not see each other, and none sees the interface.
//! - An [`Engine`] is a value, not a global. Making one does no I/O: what it speaks to may be down.
//! - Every call has a deadline, except [`Engine::ended`].
//! - A container that is stored with less hardening than asked is never handed out.

/// One call, answered by whichever backend this Engine is.
macro_rules! dispatch {
    ($engine:ident.$call:ident($($argument:expr),*).await) => {
        match $engine {
            $crate::engine::Engine::Docker(docker) => docker.$call($($argument),*).await,
            #[cfg(feature = "kubernetes")]
            $crate::engine::Engine::Kubernetes(kubernetes) => {
                kubernetes.$call($($argument),*).await
            }
        }
    };
    ($engine:ident.$call:ident($($argument:expr),*)) => {
        match $engine {
            $crate::engine::Engine::Docker(docker) => docker.$call($($argument),*),
            #[cfg(feature = "kubernetes")]
            $crate::engine::Engine::Kubernetes(kubernetes) => kubernetes.$call($($argument),*),
        }
    };
}

mod accounts;
mod address;
mod capabilities;
mod container;
mod container_calls;
mod container_spec;
mod description;
mod difference;
mod docker;
mod end_cause;
mod engine_version;
mod env;
mod error;
mod exec_stream;
mod host_calls;
mod image_calls;
mod kind;
#[cfg(feature = "kubernetes")]
mod kubernetes;
pub mod labels;
mod node;
mod prepared_image;
mod rfc3339;
mod rootfs;
mod shared_mount;
mod shared_names;
mod uids;
mod volume;
mod volume_calls;

#[cfg(test)]
pub(crate) use docker::testing;

pub use address::EngineAddress;
pub use capabilities::Capabilities;
pub use container::{Container, ContainerSummary, CreatedContainer, EndedContainer, State};
pub use container_spec::{ContainerSpec, Limits, Workspace};
pub use description::ImageDescription;
pub use difference::{Difference, DifferenceKind};
pub use docker::locate;
pub use end_cause::EndCause;
pub use engine_version::{Component, EngineVersion};
pub use error::{Cause, EngineError};
pub use exec_stream::ExecStream;
pub use kind::EngineKind;
pub use labels::Labels;
pub use prepared_image::{ImageState, PreparedImage};
pub use rfc3339::parse_rfc3339;
pub use rootfs::SandboxFiles;
pub use shared_mount::SharedMount;
pub use shared_names::{head_volume, removal_volume, version_volume};
pub use uids::{RunAs, UidRange};
pub use volume::{Quota, VolumeSummary};

use crate::config::KubernetesSettings;
use docker::DockerEngine;
#[cfg(feature = "kubernetes")]
use kubernetes::KubernetesEngine;

/// What runs the containers. Cheap to clone; all clones share what is known of it.
#[derive(Debug, Clone)]
pub enum Engine {
    /// Docker Engine, or Podman by Docker's API.
    Docker(DockerEngine),
    /// One namespace of a Kubernetes cluster.
    #[cfg(feature = "kubernetes")]
    Kubernetes(KubernetesEngine),
}

impl Engine {
    /// The Engine at `address`. The first call connects to it.
    ///
    /// # Errors
    /// [`EngineError::Address`] for an address that cannot be one.
    pub fn new(address: EngineAddress) -> Result<Self, EngineError> {
        DockerEngine::new(address).map(Self::Docker)
    }

    /// The cluster of the kubeconfig or of the service account. Blocks on the file with the secret; the
    /// first call connects.
    ///
    /// # Errors
    /// [`EngineError::Address`] without a secret that can be used, [`EngineError::NotBuilt`] where this
    /// program was built without the feature `kubernetes`.
    #[cfg_attr(not(feature = "kubernetes"), expect(unused_variables))]
    pub fn on_kubernetes(settings: &KubernetesSettings) -> Result<Self, EngineError> {
        #[cfg(feature = "kubernetes")]
        return KubernetesEngine::new(settings.clone()).map(Self::Kubernetes);
        #[cfg(not(feature = "kubernetes"))]
        return Err(EngineError::NotBuilt);
    }
}
