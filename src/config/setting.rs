//! The settings by name. One list makes the flag, the variable and the key of the file, so the
//! three cannot drift apart.

use std::fmt;
use std::path::PathBuf;

/// What variables of this server begin with. An unknown one is an error.
pub const PREFIX: &str = "CASEMATE_";

/// The variable that names the settings file; not a setting itself, so no file can name a second.
pub const CONFIG_VARIABLE: &str = "CASEMATE_CONFIG";

/// One setting, under three names: `--idle-timeout`, `CASEMATE_IDLE_TIMEOUT`, `idle_timeout`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "`SettingsArgs` has a field with docs for each")]
pub enum Setting {
    User,
    Mode,
    Image,
    Instance,
    Memory,
    Cpus,
    Pids,
    IdleTimeout,
    BackgroundTtl,
    CallsPerUser,
    Results,
    Tools,
    Warm,
    Log,
}

impl Setting {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::User,
        Self::Mode,
        Self::Image,
        Self::Instance,
        Self::Memory,
        Self::Cpus,
        Self::Pids,
        Self::IdleTimeout,
        Self::BackgroundTtl,
        Self::CallsPerUser,
        Self::Results,
        Self::Tools,
        Self::Warm,
        Self::Log,
    ];

    /// Its key in the settings file.
    pub fn key(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Mode => "mode",
            Self::Image => "image",
            Self::Instance => "instance",
            Self::Memory => "memory",
            Self::Cpus => "cpus",
            Self::Pids => "pids",
            Self::IdleTimeout => "idle_timeout",
            Self::BackgroundTtl => "background_ttl",
            Self::CallsPerUser => "calls_per_user",
            Self::Results => "results",
            Self::Tools => "tools",
            Self::Warm => "warm",
            Self::Log => "log",
        }
    }

    /// Its flag on the command line.
    pub fn flag(self) -> String {
        format!("--{}", self.key().replace('_', "-"))
    }

    /// Its variable in the environment.
    pub fn variable(self) -> String {
        format!("{PREFIX}{}", self.key().to_ascii_uppercase())
    }

    /// The setting with this key.
    pub fn from_key(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|setting| setting.key() == key)
    }

    /// The setting with this variable.
    pub fn from_variable(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.variable() == name)
    }
}

/// The known key most like an unknown `key`, for its error.
pub fn nearest_key(key: &str) -> String {
    nearest(key, Setting::ALL.map(|s| s.key().to_owned()).to_vec())
}

/// The known variable most like an unknown `name`, for its error.
pub fn nearest_variable(name: &str) -> String {
    let mut known = Setting::ALL.map(Setting::variable).to_vec();
    known.push(CONFIG_VARIABLE.to_owned());
    nearest(name, known)
}

/// The fewest edits win; capitals and dashes are typing errors that count nothing.
fn nearest(unknown: &str, known: Vec<String>) -> String {
    let plain = |name: &str| name.to_ascii_lowercase().replace('-', "_");
    let unknown = plain(unknown);
    known
        .into_iter()
        .min_by_key(|name| strsim::osa_distance(&unknown, &plain(name)))
        .unwrap_or_default()
}

/// Where a value was given, for the error about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// On the command line.
    Flag(Setting),
    /// In the environment.
    Variable(Setting),
    /// In this settings file.
    File(Setting, PathBuf),
    /// In the host's list of users, for [`Setting::User`].
    OsUser,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(setting) => write!(f, "flag {}", setting.flag()),
            Self::Variable(setting) => write!(f, "variable {}", setting.variable()),
            Self::File(setting, path) => write!(f, "key {} in {path:?}", setting.key()),
            Self::OsUser => write!(f, "name of the OS user (set {})", Setting::User.variable()),
        }
    }
}
