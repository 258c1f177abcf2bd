//! The specification of a sandbox's container: plain data, from which each backend makes its own
//! request and its own hash.

use super::kind::EngineKind;
use super::labels::Labels;
use super::prepared_image::PreparedImage;
use super::shared_mount::SharedMount;
use super::uids::RunAs;

/// The source of /workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Workspace {
    /// A named volume, which exists: see [`super::Engine::ensure_volume`].
    Volume(String),
    /// A directory of the Engine's host, which exists.
    Bind(String),
}

/// The limits of a sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes, swap included.
    pub memory: u64,
    /// Billionths of a CPU.
    pub nano_cpus: u64,
    /// Processes and threads.
    pub pids: u32,
    /// Largest file, in bytes.
    pub file_size: u64,
}

/// One sandbox's container, before it exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerSpec {
    /// The program that it is for: what is asked of them differs.
    pub engine: EngineKind,
    /// The image that it runs from.
    pub image: PreparedImage,
    /// The user that it runs as.
    pub run_as: RunAs,
    /// Its owner.
    pub labels: Labels,
    /// The arguments of PID 1 after `pid1`. `--spec=<hash>` is added here.
    pub init_args: Vec<String>,
    /// The source of the workspace.
    pub workspace: Workspace,
    /// The size of a volume as workspace, in bytes; `None`: the Engine's disk is the limit.
    pub volume_size: Option<u64>,
    /// Distinguishes this creation of a container from all others: see [`MADE_FOR`](super::labels::MADE_FOR).
    pub made_for: String,
    /// Its limits.
    pub limits: Limits,
    /// The OCI runtime. By default: [`super::Capabilities::default_runtime`].
    pub runtime: String,
    /// Whether PID 1 has another real user than the commands, because the kernel of this runtime does
    /// not protect it from its own: root of that kernel, without a capability in effect.
    pub separate_init: bool,
    /// The shared data that it reads.
    pub shared: Vec<SharedMount>,
    /// Whether the Engine's host has AppArmor: [`super::Capabilities::apparmor`].
    pub apparmor: bool,
    /// Whether its kernel can limit swap: [`super::Capabilities::swap_limit`].
    pub swap_limit: bool,
}
