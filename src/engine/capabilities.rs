//! What an Engine is and what its host can do.

use std::sync::Arc;

use bollard::models::SystemInfo;

use super::error::EngineError;
use super::{Engine, EngineKind, QUERY_TIMEOUT};

/// The used parts of an Engine's `info`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capabilities {
    /// The program that answers.
    pub kind: EngineKind,
    /// Whether containers can be confined by AppArmor.
    pub apparmor: bool,
    /// Whether containers are confined by SELinux.
    pub selinux: bool,
    /// Whether containers can be confined by seccomp.
    pub seccomp: bool,
    /// Whether the Engine runs without root.
    pub rootless: bool,
    /// Whether container root is another user on the host.
    pub user_namespaces: bool,
    /// Whether the kernel can keep a container from using swap.
    pub swap_limit: bool,
    /// Whether the kernel can limit a container's memory.
    pub memory_limit: bool,
    /// Whether it can limit its CPU time.
    pub cpu_limit: bool,
    /// Whether it can limit the number of its processes.
    pub pids_limit: bool,
    /// 1 or 2.
    pub cgroup_version: u8,
    /// The OCI runtimes that it knows, sorted.
    pub runtimes: Vec<String>,
    /// The default runtime.
    pub default_runtime: String,
    /// CPUs of the host.
    pub cpus: u32,
    /// Memory of the host, in bytes.
    pub memory: u64,
    /// Where images and containers are kept: `overlay2`.
    pub storage_driver: String,
    /// The Engine's data directory on its host.
    pub root_dir: String,
    /// The operating system: `linux`.
    pub os: String,
    /// Its host's name, as uname(2) gives it.
    pub host_name: String,
    /// The release of its kernel: three numbers and a suffix.
    pub kernel: String,
}

impl Capabilities {
    /// A rootless Podman on cgroup version 1 reports every limit, accepts it without a warning, and
    /// stores none (tried: 5.8).
    fn without_false_limits(self) -> Self {
        if self.kind == EngineKind::Docker || !self.rootless || self.cgroup_version != 1 {
            return self;
        }
        Self {
            memory_limit: false,
            swap_limit: false,
            cpu_limit: false,
            pids_limit: false,
            ..self
        }
    }

    /// Whether the Engine seems to be on this machine: a unix socket may lead into a
    /// virtual machine (Docker Desktop, Colima), whose files are not this machine's.
    pub fn is_on_this_machine(&self) -> bool {
        let here = rustix::system::uname();
        let kernel = here.release().to_str().map(as_the_engine_writes);
        here.nodename().to_bytes() == self.host_name.as_bytes()
            && kernel.is_ok_and(|kernel| kernel == self.kernel)
    }

    /// The limits of a sandbox that the Engine's host would not enforce. Some Engines accept them
    /// all the same and store them as asked, such as a rootless one on cgroup v1.
    pub fn missing_limits(&self) -> Vec<&'static str> {
        let limits = [
            ("memory", self.memory_limit),
            ("CPU time", self.cpu_limit),
            ("processes", self.pids_limit),
        ];
        let missing = limits.into_iter().filter(|(_, is_there)| !is_there);
        missing.map(|(name, _)| name).collect()
    }

    /// What an operator can do about [`Self::missing_limits`].
    pub fn how_to_limit(&self) -> &'static str {
        match (self.rootless, self.cgroup_version) {
            (true, 1) => {
                "a rootless Engine has them on cgroup v2 only: boot with it, or use an Engine that \
                 runs as root"
            }
            (true, _) => {
                "let systemd delegate the cgroup controllers to the Engine's user (`Delegate=cpu \
                 memory pids` in user@.service)"
            }
            (false, _) => {
                "boot a kernel with the cgroup controllers memory, cpu and pids on \
                 (`cgroup_enable=memory`)"
            }
        }
    }
}

/// The release of a kernel as moby reports it: it reads three numbers, and writes a missing third
/// one as 0 (`ParseRelease` in pkg/parsers/kernel): `3.12-1-amd64` is `3.12.0-1-amd64`.
fn as_the_engine_writes(release: &str) -> String {
    let no_digit = |c: char| !c.is_ascii_digit();
    let two = release.match_indices(no_digit).nth(1);
    let (two, rest) = release.split_at(two.map_or(release.len(), |(at, _)| at));
    let third = rest
        .strip_prefix('.')
        .is_some_and(|it| !it.starts_with(no_digit));
    format!("{two}{}{rest}", if third { "" } else { ".0" })
}

impl Engine {
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
        let capabilities = Capabilities {
            kind: connection.kind,
            ..Capabilities::from(info)
        };
        let capabilities = capabilities.without_false_limits();
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

impl From<SystemInfo> for Capabilities {
    fn from(info: SystemInfo) -> Self {
        let security = info.security_options.unwrap_or_default();
        // `name=seccomp,profile=default`
        let has = |name: &str| {
            security
                .iter()
                .any(|option| option.split(',').any(|part| part == name))
        };
        let mut runtimes: Vec<_> = info.runtimes.unwrap_or_default().into_keys().collect();
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
#[path = "capabilities_tests.rs"]
mod tests;
