//! What an Engine is and what its host can do.

use std::collections::BTreeMap;

use super::error::EngineError;
use super::kind::EngineKind;

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
    /// The platforms of those that are gVisor's, by runtime, as far as the Engine knows them.
    pub platforms: BTreeMap<String, String>,
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
    /// Whether the Engine seems to be on this machine: a unix socket may lead into a
    /// virtual machine (Docker Desktop, Colima), whose files are not this machine's.
    pub fn is_on_this_machine(&self) -> bool {
        let here = rustix::system::uname();
        let kernel = here.release().to_str().map(as_the_engine_writes);
        here.nodename().to_bytes() == self.host_name.as_bytes()
            && kernel.is_ok_and(|kernel| kernel == self.kernel)
    }

    /// Whether sandboxes can be run by this runtime.
    ///
    /// # Errors
    /// [`EngineError::NoRuntime`], with what the operator can do.
    pub fn must_have(&self, runtime: &str) -> Result<(), EngineError> {
        let no_runtime = |reason: String| EngineError::NoRuntime {
            runtime: runtime.to_owned(),
            reason,
        };
        match self.kind {
            EngineKind::Docker if self.runtimes.iter().any(|one| one == runtime) => Ok(()),
            EngineKind::Docker => Err(no_runtime(format!(
                "the Engine has only {}; install gVisor on its host, `runsc install`, and let it \
                 read its settings again",
                self.runtimes.join(", ")
            ))),
            EngineKind::Podman => Err(no_runtime(
                "Podman runs all containers by its own runtime; use Docker Engine".to_owned(),
            )),
            EngineKind::Kubernetes => Err(no_runtime(
                "the profile is not there on Kubernetes yet".to_owned(),
            )),
        }
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
pub(super) fn as_the_engine_writes(release: &str) -> String {
    let no_digit = |c: char| !c.is_ascii_digit();
    let two = release.match_indices(no_digit).nth(1);
    let (two, rest) = release.split_at(two.map_or(release.len(), |(at, _)| at));
    let third = rest
        .strip_prefix('.')
        .is_some_and(|it| !it.starts_with(no_digit));
    format!("{two}{}{rest}", if third { "" } else { ".0" })
}
