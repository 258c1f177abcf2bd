//! Settings, in two phases: what was given ([`RawConfig`]), what is valid ([`Config`]).
//!
//! ```text
//! SettingsArgs ─┐
//! Environment ──┼─► RawConfig (text, origin) ─► Config (typed, bounded)
//! file ─────────┘
//! ```
//!
//! Invariants:
//!
//! - After phase 2 no value is out of its bounds, and nobody checks one again.
//! - An error names the setting, where it was given, the value and what is allowed.
//! - Nothing else in the server reads the environment.

mod environment;
mod error;
mod file;
mod image;
pub mod limits;
mod raw;
mod setting;
mod units;

use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use tracing_subscriber::EnvFilter;

pub use environment::{Environment, MapEnvironment, ProcessEnvironment};
pub use error::{ConfigError, Excerpt, ValueError};
pub use image::ImageRef;
pub use raw::{Given, RawConfig, SettingsArgs};
pub use setting::{Origin, Setting};
pub use units::{Bytes, NanoCpus};

use crate::identity::{Instance, User};
use limits::Bounds;

/// The settings of a server, all valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Whose sandbox a stdio server uses.
    pub user: User,
    /// How containers and workspaces live.
    pub mode: Mode,
    /// What the prepared image is made from.
    pub image: ImageRef,
    /// Namespace of names and labels on the Engine.
    pub instance: Instance,
    /// Memory of a sandbox, swap included; [`limits::MEMORY`].
    pub memory: Bytes,
    /// CPU time of a sandbox; [`limits::CPUS`].
    pub cpus: NanoCpus,
    /// Processes and threads of a sandbox; [`limits::PIDS`].
    pub pids: u32,
    /// How long a sandbox without work stays; [`limits::IDLE_TIMEOUT`].
    pub idle_timeout: Duration,
    /// How long a background process outlives its user's last call; [`limits::BACKGROUND_TTL`].
    pub background_ttl: Duration,
    /// Calls of one user that run at once; [`limits::CALLS_PER_USER`].
    pub calls_per_user: u32,
    /// The halves of a tool result.
    pub results: Results,
    /// The tools that clients see.
    pub tools: ToolSet,
    /// Whether a sandbox is made ready before the first call.
    pub warm: bool,
    /// What is logged: directives that [`EnvFilter`] takes.
    pub log: String,
}

/// How containers and workspaces live. `bind` and `ephemeral` are not there yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// One container a user, long-running, over a named volume.
    Persistent,
}

/// Which halves a tool result has. Some clients give the model only one of them, others both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Results {
    /// `content` and, where the tool has it, `structuredContent`.
    Both,
    /// `content` alone: half the tokens with a client that passes both on.
    Text,
}

/// Which tools there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToolSet {
    /// All of them.
    All,
    /// `shell_exec`, `write_file`, `read_file`, `list_files`: every tool's description costs
    /// tokens in every conversation.
    Core,
}

impl Config {
    /// Both phases. Blocks on the settings file and the list of users.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong; see [`ConfigError`].
    pub fn load(args: SettingsArgs, environment: &dyn Environment) -> Result<Self, ConfigError> {
        Self::from_raw(&RawConfig::gather(args, environment)?)
    }

    /// Phase 2: parses what was given, fills in what was not.
    ///
    /// # Errors
    ///
    /// The first value that its setting does not take.
    pub fn from_raw(raw: &RawConfig) -> Result<Self, ConfigError> {
        use Setting as S;
        Ok(Self {
            user: User::local(raw.user.parse(|text| Ok(text.parse()?))?),
            mode: raw.value(S::Mode, Mode::Persistent, str::parse)?,
            image: raw.value(S::Image, ImageRef::default(), str::parse)?,
            instance: raw.value(S::Instance, Instance::default(), |text| Ok(text.parse()?))?,
            memory: raw.bounded(S::Memory, limits::MEMORY, str::parse, |size| size)?,
            cpus: raw.bounded(S::Cpus, limits::CPUS, str::parse, |cpus| cpus)?,
            pids: raw.bounded(S::Pids, limits::PIDS, units::number, |number| number)?,
            idle_timeout: raw.duration(S::IdleTimeout, limits::IDLE_TIMEOUT)?,
            background_ttl: raw.duration(S::BackgroundTtl, limits::BACKGROUND_TTL)?,
            calls_per_user: raw.bounded(
                S::CallsPerUser,
                limits::CALLS_PER_USER,
                units::number,
                |number| number,
            )?,
            results: raw.value(S::Results, Results::Both, str::parse)?,
            tools: raw.value(S::Tools, ToolSet::All, str::parse)?,
            warm: raw.value(S::Warm, true, switch)?,
            log: raw.value(S::Log, limits::LOG.to_owned(), log_filter)?,
        })
    }
}

impl Given {
    fn parse<T>(&self, parse: impl Fn(&str) -> Result<T, ValueError>) -> Result<T, ConfigError> {
        parse(&self.value).map_err(|reason| ConfigError::BadValue {
            origin: self.origin.clone(),
            value: Excerpt::of(&self.value),
            reason,
        })
    }
}

impl RawConfig {
    fn value<T>(
        &self,
        setting: Setting,
        default: T,
        parse: impl Fn(&str) -> Result<T, ValueError>,
    ) -> Result<T, ConfigError> {
        match self.settings.get(&setting) {
            Some(given) => given.parse(parse),
            None => Ok(default),
        }
    }

    /// `show` makes the bounds readable in the error.
    fn bounded<T: Copy + PartialOrd, S: Display>(
        &self,
        setting: Setting,
        bounds: Bounds<T>,
        parse: impl Fn(&str) -> Result<T, ValueError>,
        show: impl Fn(T) -> S,
    ) -> Result<T, ConfigError> {
        self.value(setting, bounds.default, |text| {
            let value = parse(text)?;
            if bounds.contains(&value) {
                return Ok(value);
            }
            Err(ValueError::OutOfBounds {
                least: show(bounds.least).to_string(),
                most: show(bounds.most).to_string(),
            })
        })
    }

    fn duration(&self, setting: Setting, b: Bounds<Duration>) -> Result<Duration, ConfigError> {
        self.bounded(setting, b, units::duration, humantime::format_duration)
    }
}

impl Mode {
    /// The word for it in settings and labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Persistent => "persistent",
        }
    }
}

impl FromStr for Mode {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        match text {
            "persistent" => Ok(Self::Persistent),
            "bind" | "ephemeral" => Err(ValueError::ModeNotYet),
            _ => Err(ValueError::Choice("persistent")),
        }
    }
}

impl FromStr for Results {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        match text {
            "both" => Ok(Self::Both),
            "text" => Ok(Self::Text),
            _ => Err(ValueError::Choice("both, text")),
        }
    }
}

impl FromStr for ToolSet {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        match text {
            "all" => Ok(Self::All),
            "core" => Ok(Self::Core),
            _ => Err(ValueError::Choice("all, core")),
        }
    }
}

/// TOML's own booleans come as `true` and `false`.
fn switch(text: &str) -> Result<bool, ValueError> {
    match text {
        "on" | "true" => Ok(true),
        "off" | "false" => Ok(false),
        _ => Err(ValueError::Choice("on, off")),
    }
}

/// Kept as text, because a filter cannot be cloned.
fn log_filter(text: &str) -> Result<String, ValueError> {
    match EnvFilter::try_new(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(ValueError::Log(error.to_string())),
    }
}

#[cfg(test)]
mod tests;
