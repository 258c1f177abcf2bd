//! The program that runs the containers.

/// Which program answers. Podman speaks Docker's API, stores containers in its own way, and has
/// its own versions: `docs/engines.md` lists the differences.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineKind {
    /// Docker Engine, and all that is built from it.
    Docker,
    /// Podman's service (`podman system service`).
    Podman,
    /// A Kubernetes cluster, by its own API.
    Kubernetes,
}

impl EngineKind {
    /// As people name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Docker => "Docker Engine",
            Self::Podman => "Podman",
            Self::Kubernetes => "Kubernetes",
        }
    }
}
