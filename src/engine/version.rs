//! Which program answers, and of which version it and its components are.

use bollard::models::SystemVersionComponents;

use super::error::EngineError;
use super::kind::EngineKind;
use super::{Engine, QUERY_TIMEOUT};

/// The component that only Podman has.
const PODMAN_COMPONENT: &str = "Podman Engine";

/// The Engine that answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineVersion {
    /// The program that answers.
    pub kind: EngineKind,
    /// The Engine's own version: `20.10.24`.
    pub version: String,
    /// The newest version of the API that it speaks: `1.41`.
    pub api: String,
    /// Its operating system: `linux`.
    pub os: String,
    /// Its architecture, in Go's words: `amd64`.
    pub arch: String,
    /// Its kernel.
    pub kernel: String,
    /// Its components. It names only its default runtime's, and leaves out components without a
    /// known version.
    pub components: Vec<Component>,
}

/// A component of an Engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Component {
    /// `runc`, `containerd`.
    pub name: String,
    /// Its version: `1.1.5+ds1`.
    pub version: String,
    /// The version of the distribution's package, if the build reports it:
    /// `1.1.5+ds1-1+deb12u1`.
    pub package: Option<String>,
}

/// Which program has these components.
pub(super) fn kind_of(components: Option<&[SystemVersionComponents]>) -> EngineKind {
    let mut components = components.into_iter().flatten();
    match components.any(|component| component.name == PODMAN_COMPONENT) {
        true => EngineKind::Podman,
        false => EngineKind::Docker,
    }
}

impl Engine {
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
