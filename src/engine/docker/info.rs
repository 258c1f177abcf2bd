//! What a Docker Engine says of itself and of its host.

use std::collections::HashMap;
use std::sync::Arc;

use bollard::models::{Runtime, SystemInfo};

use super::podman::PodmanHost;
use super::{DockerEngine, QUERY_TIMEOUT};
use crate::engine::capabilities::Capabilities;
use crate::engine::error::EngineError;
use crate::engine::kind::EngineKind;

impl DockerEngine {
    /// The capabilities of the Engine, requested once per connection.
    ///
    /// # Errors
    /// Those of every call.
    pub async fn capabilities(&self) -> Result<Arc<Capabilities>, EngineError> {
        let connection = self.connect().await?;
        if let Some(known) = connection.capabilities.get() {
            return Ok(Arc::clone(known));
        }
        let info = self
            .bounded("info", QUERY_TIMEOUT, connection.docker.info())
            .await?;
        let mut capabilities = Capabilities {
            kind: connection.kind,
            ..Capabilities::from(info)
        };
        if capabilities.kind == EngineKind::Podman {
            let own = self.podmans_host().await?;
            capabilities = capabilities.with_podmans_own(&own);
        }
        let known = connection.capabilities.get_or_init(|| capabilities.into());
        Ok(Arc::clone(known))
    }

    /// The time on the Engine's machine, RFC 3339 in any time zone; `None` if the Engine does not
    /// report it.
    ///
    /// # Errors
    /// Those of every call.
    pub async fn time(&self) -> Result<Option<String>, EngineError> {
        let docker = self.docker().await?;
        let info = self.bounded("info", QUERY_TIMEOUT, docker.info()).await?;
        Ok(info.system_time)
    }
}

impl Capabilities {
    /// What Podman has by its own API. In Docker's words it reports AppArmor where the kernel has it,
    /// though a rootless Podman cannot use it; and of limits, a rootless one on cgroup version 1 reports
    /// each, accepts it without a warning, and stores none, and on version 2 it reports none of CPU time
    /// and of swap, whatever its controllers (tried: 5.8).
    fn with_podmans_own(self, own: &PodmanHost) -> Self {
        let has = |name: &str| own.controllers.iter().any(|one| one == name);
        let engine = Self {
            apparmor: own.apparmor,
            ..self
        };
        match (engine.cgroup_version, engine.rootless) {
            (1, false) => engine,
            (1, true) => Self {
                memory_limit: false,
                swap_limit: false,
                cpu_limit: false,
                pids_limit: false,
                ..engine
            },
            _ => Self {
                memory_limit: has("memory"),
                swap_limit: has("memory"),
                cpu_limit: has("cpu"),
                pids_limit: has("pids"),
                ..engine
            },
        }
    }
}

/// Of gVisor, by what the runtime says of itself (`runsc features`).
fn platform(status: &HashMap<String, String>) -> Option<String> {
    let features = status.get("org.opencontainers.runtime-spec.features")?;
    let features: serde_json::Value = serde_json::from_str(features).ok()?;
    let platform = features["annotations"]["dev.gvisor.flag.platform"].as_str()?;
    Some(platform.to_owned())
}

impl From<SystemInfo> for Capabilities {
    fn from(info: SystemInfo) -> Self {
        let security = info.security_options.unwrap_or_default();
        // `name=seccomp,profile=default`
        let has = |name: &str| {
            security
                .iter()
                .any(|option| option.split(',').any(|part| part == name))
        };
        let runtimes = info.runtimes.unwrap_or_default();
        let platform = |(name, runtime): (&String, &Runtime)| {
            Some((name.clone(), platform(runtime.status.as_ref()?)?))
        };
        let platforms = runtimes.iter().filter_map(platform).collect();
        let mut runtimes: Vec<_> = runtimes.into_keys().collect();
        runtimes.sort();
        let cgroups = info.cgroup_version.map(|version| version.to_string());
        Self {
            kind: EngineKind::Docker,
            apparmor: has("name=apparmor"),
            selinux: has("name=selinux"),
            seccomp: has("name=seccomp"),
            rootless: has("name=rootless"),
            user_namespaces: has("name=userns"),
            swap_limit: info.swap_limit.unwrap_or(false),
            memory_limit: info.memory_limit.unwrap_or(false),
            cpu_limit: info.cpu_cfs_quota.unwrap_or(false),
            pids_limit: info.pids_limit.unwrap_or(false),
            // Absent: an Engine before 20.10, which knows only the first.
            cgroup_version: if cgroups.as_deref() == Some("2") {
                2
            } else {
                1
            },
            runtimes,
            platforms,
            default_runtime: info.default_runtime.unwrap_or_else(|| "runc".to_owned()),
            cpus: info
                .ncpu
                .and_then(|count| u32::try_from(count).ok())
                .unwrap_or(1),
            memory: info
                .mem_total
                .and_then(|bytes| u64::try_from(bytes).ok())
                .unwrap_or(0),
            storage_driver: info.driver.unwrap_or_default(),
            root_dir: info.docker_root_dir.unwrap_or_default(),
            os: info.os_type.unwrap_or_default(),
            host_name: info.name.unwrap_or_default(),
            kernel: info.kernel_version.unwrap_or_default(),
        }
    }
}

#[cfg(test)]
#[path = "info_tests.rs"]
mod tests;
