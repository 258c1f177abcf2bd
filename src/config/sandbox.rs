//! The settings of one user's sandbox.

use std::collections::BTreeSet;
use std::time::Duration;

use super::choices::{Mode, Profile, switch};
use super::error::ConfigError;
use super::image::ImageRef;
use super::layer::Layer;
use super::setting::Setting as S;
use super::shared::{self, SharedName};
use super::units::{Bytes, NanoCpus};

/// The settings of one user's sandbox. Each user may have others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SandboxSettings {
    /// Lifetime of container and workspace.
    pub mode: Mode,
    /// What stands between its code and the host's kernel.
    pub profile: Profile,
    /// The base of the prepared image.
    pub image: ImageRef,
    /// Memory, swap included; [`super::limits::MEMORY`].
    pub memory: Bytes,
    /// CPU time; [`super::limits::CPUS`].
    pub cpus: NanoCpus,
    /// Processes and threads; [`super::limits::PIDS`].
    pub pids: u32,
    /// Size of the workspace, where the Engine can limit it; [`super::limits::QUOTA`].
    pub quota: Bytes,
    /// How long an idle sandbox stays; [`super::limits::IDLE_TIMEOUT`].
    pub idle_timeout: Duration,
    /// How long a background process outlives the last call; [`super::limits::BACKGROUND_TTL`].
    pub background_ttl: Duration,
    /// Calls that run at once; [`super::limits::CALLS_PER_USER`].
    pub calls_per_user: u32,
    /// Ephemeral containers that run commands at once; [`super::limits::EPHEMERAL_LIVE`].
    pub ephemeral_live: u32,
    /// Workspaces that have a sandbox alive at once; [`super::limits::SANDBOXES_PER_USER`].
    pub sandboxes_per_user: u32,
    /// Workspaces that have a name; [`super::limits::WORKSPACES_PER_USER`].
    pub workspaces_per_user: u32,
    /// Whether links to what the user shares open without sign-in.
    pub share_links: bool,
    /// How long such a link lasts at most; [`super::limits::SHARE_LINK_MAX`].
    pub share_link_max: Duration,
    /// The shared data that it reads. Each has a `[[shared]]` table.
    pub shared: BTreeSet<SharedName>,
}

impl SandboxSettings {
    pub(super) fn from_layer(layer: &Layer) -> Result<Self, ConfigError> {
        Ok(Self {
            mode: layer.value(S::Mode, Mode::Persistent, str::parse)?,
            profile: layer.value(S::Profile, Profile::Standard, str::parse)?,
            image: layer.value(S::Image, ImageRef::default(), str::parse)?,
            memory: layer.bounded(S::Memory)?,
            cpus: layer.bounded(S::Cpus)?,
            pids: layer.bounded(S::Pids)?,
            quota: layer.bounded(S::Quota)?,
            idle_timeout: layer.bounded(S::IdleTimeout)?,
            background_ttl: layer.bounded(S::BackgroundTtl)?,
            calls_per_user: layer.bounded(S::CallsPerUser)?,
            ephemeral_live: layer.bounded(S::EphemeralLive)?,
            sandboxes_per_user: layer.bounded(S::SandboxesPerUser)?,
            workspaces_per_user: layer.bounded(S::WorkspacesPerUser)?,
            share_links: layer.value(S::ShareLinks, false, switch)?,
            share_link_max: layer.bounded(S::ShareLinkMax)?,
            shared: layer.value(S::SharedData, BTreeSet::new(), shared::names)?,
        })
    }
}
