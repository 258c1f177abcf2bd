//! The settings of one user's sandbox.

use std::time::Duration;

use super::choices::Mode;
use super::error::ConfigError;
use super::image::ImageRef;
use super::limits;
use super::raw::Layer;
use super::setting::Setting as S;
use super::units::{Bytes, NanoCpus};

/// What one user's sandbox is made with. Users may differ in all of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SandboxSettings {
    /// How container and workspace live.
    pub mode: Mode,
    /// What the prepared image is made from.
    pub image: ImageRef,
    /// Memory, swap included; [`limits::MEMORY`].
    pub memory: Bytes,
    /// CPU time; [`limits::CPUS`].
    pub cpus: NanoCpus,
    /// Processes and threads; [`limits::PIDS`].
    pub pids: u32,
    /// Size of the workspace, where the Engine can limit it; [`limits::QUOTA`].
    pub quota: Bytes,
    /// How long a sandbox without work stays; [`limits::IDLE_TIMEOUT`].
    pub idle_timeout: Duration,
    /// How long a background process outlives the last call; [`limits::BACKGROUND_TTL`].
    pub background_ttl: Duration,
    /// Calls that run at once; [`limits::CALLS_PER_USER`].
    pub calls_per_user: u32,
    /// Ephemeral containers that run a command at once; [`limits::EPHEMERAL_LIVE`].
    pub ephemeral_live: u32,
}

impl SandboxSettings {
    pub(super) fn from_layer(layer: &Layer) -> Result<Self, ConfigError> {
        Ok(Self {
            mode: layer.value(S::Mode, Mode::Persistent, str::parse)?,
            image: layer.value(S::Image, ImageRef::default(), str::parse)?,
            memory: layer.bounded(S::Memory, limits::MEMORY)?,
            cpus: layer.bounded(S::Cpus, limits::CPUS)?,
            pids: layer.bounded(S::Pids, limits::PIDS)?,
            quota: layer.bounded(S::Quota, limits::QUOTA)?,
            idle_timeout: layer.bounded(S::IdleTimeout, limits::IDLE_TIMEOUT)?,
            background_ttl: layer.bounded(S::BackgroundTtl, limits::BACKGROUND_TTL)?,
            calls_per_user: layer.bounded(S::CallsPerUser, limits::CALLS_PER_USER)?,
            ephemeral_live: layer.bounded(S::EphemeralLive, limits::EPHEMERAL_LIVE)?,
        })
    }
}
