//! Settings, in two phases: what was given ([`RawConfig`]), what is valid ([`Config`]).
//!
//! ```text
//! SettingsArgs ─┐
//! Environment ──┼─► RawConfig (text, origin) ─► Config (typed, bounded) ─► for_user
//! file ─────────┘
//! ```
//!
//! Invariants:
//!
//! - After phase 2 no value is out of its bounds, and nobody checks one again.
//! - An error names the setting, where it was given, the value and what is allowed.
//! - What a `[[users]]` table of the file gives goes before what holds for everybody, wherever that
//!   was given: it says more exactly what is meant.
//! - Nothing else in the server reads the environment.

mod backup;
mod bind;
mod choices;
mod environment;
mod error;
mod file;
mod flags;
mod http;
mod image;
pub mod limits;
mod nearest;
mod origin;
mod parse;
mod raw;
mod sandbox;
mod setting;
mod uids;
mod units;
mod users;
mod web;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tracing_subscriber::EnvFilter;

pub use backup::{AwsVariables, BackupSettings, BackupTarget, Retention};
pub use bind::{Bind, HostDir};
pub use choices::{AuthScheme, Mode, Results, ToolSet};
pub use environment::{Environment, MapEnvironment, ProcessEnvironment};
pub use error::{ConfigError, Excerpt, ValueError};
pub use flags::SettingsArgs;
pub use http::{Auth, HttpSettings, JwksSource, JwtSettings};
pub use image::ImageRef;
pub use origin::{FileLocation, Origin};
pub use raw::{Layer, RawConfig, RawUser, RawValue};
pub use sandbox::SandboxSettings;
pub use setting::{Group, Setting, SettingSpec, ValueKind};
pub use uids::Uids;
pub use units::{Bytes, NanoCpus, Quantity};
pub use web::{AllowedHost, HttpUrl, WebOrigin, listen_address};

use crate::identity::{Instance, User};
use choices::switch;
use users::Users;

/// The settings of a server, all valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Whose sandbox a stdio server uses.
    pub user: User,
    /// Namespace of names and labels on the Engine.
    pub instance: Instance,
    /// The halves of a tool result.
    pub results: Results,
    /// The tools that clients see.
    pub tools: ToolSet,
    /// How long a call of `shell_exec` that does not say waits; [`limits::WAIT`].
    pub wait: Duration,
    /// Whether a sandbox is made ready before the first call.
    pub warm: bool,
    /// One upload over HTTP; [`limits::UPLOAD_LIMIT`].
    pub upload_limit: Bytes,
    /// Where the operator's tools ask for metrics; `None`: nowhere.
    pub admin: Option<SocketAddr>,
    /// The directory where calls are recorded; `None`: nowhere.
    pub audit: Option<HostDir>,
    /// Whether that has what commands and files contain.
    pub audit_content: bool,
    /// What is logged: directives that [`EnvFilter`] takes.
    pub log: String,
    /// Sandboxes alive at once; [`limits::MAX_SANDBOXES`].
    pub max_sandboxes: u32,
    /// How long the volume of an unused workspace is kept; `None`: for ever.
    pub volume_retention: Option<Duration>,
    /// Free space on the Engine's disk below which writes and new sandboxes are refused;
    /// [`limits::DISK_FLOOR`].
    pub disk_floor: Bytes,
    /// The uids that users' code runs as.
    pub uids: Uids,
    /// The directory for bind mode. There is one exactly if some user is in that mode.
    pub bind: Option<Bind>,
    /// Where backups go, when, and how many stay.
    pub backup: BackupSettings,
    /// Who may call over HTTP, and from where.
    pub http: HttpSettings,
    /// The sandboxes of users without settings of their own.
    sandbox: Arc<SandboxSettings>,
    /// Those of the others.
    users: Users,
    /// What was given, for [`Config::in_force`].
    given: Layer,
}

/// A setting as it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EffectiveSetting {
    /// Which.
    pub setting: Setting,
    /// As given, or the default in words; `None`: it has none.
    pub value: Option<String>,
    /// Why.
    pub origin: Origin,
}

impl Config {
    /// Both phases. Blocks on the settings file and the list of users.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong; see [`ConfigError`].
    pub fn load(args: SettingsArgs, environment: &dyn Environment) -> Result<Self, ConfigError> {
        Self::from_raw(RawConfig::gather(args, environment)?)
    }

    /// Phase 2: parses what was given, fills in what was not.
    ///
    /// # Errors
    ///
    /// The first value that its setting does not take, or two that do not go together.
    pub fn from_raw(raw: RawConfig) -> Result<Self, ConfigError> {
        use Setting as S;
        let mut given = raw.settings;
        let user = User::local(raw.user.parse(|text| Ok(text.parse()?))?);
        given.insert(S::User, raw.user);
        let sandbox = SandboxSettings::from_layer(&given)?;
        let users = Users::from_raw(raw.users, &given)?;
        Ok(Self {
            user,
            instance: given.value(S::Instance, Instance::default(), |text| Ok(text.parse()?))?,
            results: given.value(S::Results, Results::Both, str::parse)?,
            tools: given.value(S::Tools, ToolSet::All, str::parse)?,
            wait: given.bounded(S::Wait, limits::WAIT)?,
            warm: given.value(S::Warm, true, switch)?,
            upload_limit: given.bounded(S::UploadLimit, limits::UPLOAD_LIMIT)?,
            admin: given.value(S::Admin, None, |text| web::listen_address(text).map(Some))?,
            audit: given.value(S::Audit, None, |text| text.parse().map(Some))?,
            audit_content: given.value(S::AuditContent, false, switch)?,
            log: given.value(S::Log, limits::LOG.to_owned(), log_filter)?,
            max_sandboxes: given.bounded(S::MaxSandboxes, limits::MAX_SANDBOXES)?,
            volume_retention: given.value(S::VolumeRetention, None, retention)?,
            disk_floor: given.bounded(S::DiskFloor, limits::DISK_FLOOR)?,
            uids: Uids::from_layer(&given)?,
            bind: Bind::from_layers(&given, users.layers().chain([&given]))?,
            backup: BackupSettings::from_layer(&given)?,
            http: HttpSettings::from_layer(&given)?,
            sandbox: Arc::new(sandbox),
            users,
            given,
        })
    }

    /// Whether each workspace is a directory of the host, and nobody's a volume.
    pub fn all_users_bind(&self) -> bool {
        let mut all = self.users.all().chain([&*self.sandbox]);
        all.all(|settings| settings.mode == Mode::Bind)
    }

    /// What a server asks before it serves, and the other verbs do not: that the directory to bind is
    /// there. One that goes later is an error of the calls that need it. Blocks.
    ///
    /// # Errors
    ///
    /// [`ConfigError::NoDirectory`].
    pub fn check_directory(&self) -> Result<(), ConfigError> {
        let Some(bind) = &self.bind else {
            return Ok(());
        };
        let given = self.given.get(bind.setting());
        bind.check().map_err(|reason| ConfigError::NoDirectory {
            origin: given.map_or(Origin::Default, |given| given.origin.clone()),
            path: bind.as_path().to_owned(),
            reason,
        })
    }

    /// The settings of `user`'s sandbox.
    pub fn for_user(&self, user: &User) -> Arc<SandboxSettings> {
        self.users.settings(user).unwrap_or(&self.sandbox).clone()
    }

    /// The same limits for users whom nobody has settings for, in sandboxes that keep nobody waiting
    /// and end soon after their server: over a volume, also where all others are in bind mode. For
    /// whoever tries one out.
    #[must_use]
    pub fn for_probe(&self, idle_timeout: Duration) -> Self {
        let sandbox = SandboxSettings {
            mode: Mode::Persistent,
            idle_timeout,
            ..SandboxSettings::clone(&self.sandbox)
        };
        Self {
            sandbox: Arc::new(sandbox),
            users: Users::default(),
            bind: None,
            // No user's sandbox is to make room for it.
            max_sandboxes: limits::MAX_SANDBOXES.most,
            ..self.clone()
        }
    }

    /// All images that sandboxes are made from, each once.
    pub fn images(&self) -> Vec<ImageRef> {
        let mut images = vec![self.sandbox.image.clone()];
        for own in self.users.all() {
            if !images.contains(&own.image) {
                images.push(own.image.clone());
            }
        }
        images
    }

    /// All settings as they hold for `user`, in the order of [`Setting::ALL`], and where each was
    /// given.
    pub fn in_force(&self, user: &User) -> Vec<EffectiveSetting> {
        let layer = match self.users.given(user) {
            Some(own) => own.clone().over(self.given.clone()),
            None => self.given.clone(),
        };
        let in_force = |&setting: &Setting| match layer.get(setting) {
            Some(given) => EffectiveSetting {
                setting,
                value: Some(given.value.clone()),
                origin: given.origin.clone(),
            },
            None => EffectiveSetting {
                setting,
                value: setting.spec().value_kind.default(),
                origin: Origin::Default,
            },
        };
        Setting::ALL.iter().map(in_force).collect()
    }
}

/// `off`, or a duration that cannot be too short by a slip.
fn retention(text: &str) -> Result<Option<Duration>, ValueError> {
    if text == "off" {
        return Ok(None);
    }
    let time = Duration::read(text)?;
    match time >= limits::MIN_RETENTION {
        true => Ok(Some(time)),
        false => Err(ValueError::Retention),
    }
}

/// Kept as text, because a filter cannot be cloned. Without white space around directives:
/// tracing-subscriber 0.3 counts positions after it and cuts before it (`Directive::parse`), so
/// that ` a=warn` means another target, and in other scripts panics.
fn log_filter(text: &str) -> Result<String, ValueError> {
    let text = text.split(',').map(str::trim).collect::<Vec<_>>().join(",");
    match EnvFilter::try_new(&text) {
        Ok(_) => Ok(text),
        Err(error) => Err(ValueError::Log(error.to_string())),
    }
}

#[cfg(test)]
mod tests;
