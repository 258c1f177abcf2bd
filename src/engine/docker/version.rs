//! Which program answers, and of which version it and its components are.

use bollard::models::SystemVersionComponents;

use super::{DockerEngine, QUERY_TIMEOUT};
use crate::engine::engine_version::{Component, EngineVersion};
use crate::engine::error::EngineError;
use crate::engine::kind::EngineKind;

/// The component that only Podman has.
const PODMAN_COMPONENT: &str = "Podman Engine";

/// Which program has these components.
pub(super) fn kind_of(components: Option<&[SystemVersionComponents]>) -> EngineKind {
    let mut components = components.into_iter().flatten();
    match components.any(|component| component.name == PODMAN_COMPONENT) {
        true => EngineKind::Podman,
        false => EngineKind::Docker,
    }
}

impl DockerEngine {
    /// Asks for the Engine's version.
    ///
    /// # Errors
    /// Those of every call.
    pub async fn version(&self) -> Result<EngineVersion, EngineError> {
        let docker = self.docker().await?;
        let version = self
            .bounded("version", QUERY_TIMEOUT, docker.version())
            .await?;
        Ok(EngineVersion {
            kind: kind_of(version.components.as_deref()),
            version: version.version.unwrap_or_default(),
            api: version.api_version.unwrap_or_default(),
            os: version.os.unwrap_or_default(),
            arch: version.arch.unwrap_or_default(),
            kernel: version.kernel_version.unwrap_or_default(),
            components: {
                let components = version.components.unwrap_or_default();
                components.into_iter().map(Component::from).collect()
            },
        })
    }
}

impl From<SystemVersionComponents> for Component {
    fn from(part: SystemVersionComponents) -> Self {
        if let Some(name) = part.name.strip_prefix("OCI Runtime (") {
            return Self::from_podman(name.trim_end_matches(')'), &part);
        }
        // Most Engines report a commit there, Debian's packages their version.
        let commit = part.details.and_then(|mut it| it.remove("GitCommit"));
        let is_version = |it: &String| !part.version.is_empty() && it.starts_with(&part.version);
        Self {
            package: commit.filter(is_version),
            name: part.name,
            version: part.version,
        }
    }
}

impl Component {
    /// Podman quotes its runtime, `crun version 1.28` and more lines, and names its package
    /// `crun_1.28-1_amd64`.
    fn from_podman(name: &str, part: &SystemVersionComponents) -> Self {
        let line = part.version.lines().next().unwrap_or_default();
        let version = line.rsplit(' ').next().unwrap_or_default();
        let package = part.details.as_ref().and_then(|it| it.get("Package"));
        let package = package.and_then(|package| package.split('_').nth(1));
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            package: package.map(str::to_owned),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_runtime_of_podman_is_read_from_its_own_words() {
        let runtime = Component::from(SystemVersionComponents {
            name: "OCI Runtime (crun)".to_owned(),
            version: "crun version 1.28\ncommit: 54f16ff\n+SYSTEMD +SECCOMP".to_owned(),
            details: Some([("Package".to_owned(), "crun_1.28-1_amd64".to_owned())].into()),
        });
        let Component {
            name,
            version,
            package,
        } = runtime;
        assert_eq!((name.as_str(), version.as_str()), ("crun", "1.28"));
        assert_eq!(package.as_deref(), Some("1.28-1"));
    }
}
