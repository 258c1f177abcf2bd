//! Phase 1, what was given: flags, environment and settings file merged, every value still the text
//! it was, with its origin.
//!
//! ```text
//! flags > CASEMATE_* > file (--config, else CASEMATE_CONFIG) > defaults (phase 2)
//! ```
//!
//! A name that is not known is an error wherever it stands; a value is judged in phase 2, and only
//! the one that won.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use super::environment::Environment;
use super::error::{ConfigError, Excerpt};
use super::file;
use super::setting::{self, CONFIG_VARIABLE, Origin, PREFIX, Setting};

/// The settings as flags of a verb; flatten it into the verb's own arguments.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Settings (flag, else CASEMATE_*, else the file)")]
pub struct SettingsArgs {
    /// TOML file with settings (else CASEMATE_CONFIG)
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Whose sandbox a stdio server uses [default: the OS user]
    #[arg(long, value_name = "NAME")]
    pub user: Option<OsString>,
    /// How containers and workspaces live [default: persistent]
    #[arg(long, value_name = "MODE")]
    pub mode: Option<OsString>,
    /// Any Linux image [default: casemate-tools:latest]
    #[arg(long, value_name = "IMAGE")]
    pub image: Option<OsString>,
    /// Namespace of containers and volumes on the Engine [default: default]
    #[arg(long, value_name = "NAME")]
    pub instance: Option<OsString>,
    /// Memory of a sandbox, from 32m [default: 512m]
    #[arg(long, value_name = "SIZE")]
    pub memory: Option<OsString>,
    /// CPUs of a sandbox, 0.01 to 256 [default: 1]
    #[arg(long, value_name = "NUMBER")]
    pub cpus: Option<OsString>,
    /// Processes and threads of a sandbox, 16 to 32768 [default: 256]
    #[arg(long, value_name = "NUMBER")]
    pub pids: Option<OsString>,
    /// How long a sandbox without work stays, 1s to 7days [default: 15m]
    #[arg(long, value_name = "DURATION")]
    pub idle_timeout: Option<OsString>,
    /// How long background processes outlive their user's last call, 0s to 7days [default: 1h]
    #[arg(long, value_name = "DURATION")]
    pub background_ttl: Option<OsString>,
    /// Calls of one user that run at once, 1 to 256 [default: 16]
    #[arg(long, value_name = "NUMBER")]
    pub calls_per_user: Option<OsString>,
    /// Halves of a tool result: both, or text [default: both]
    #[arg(long, value_name = "HALVES")]
    pub results: Option<OsString>,
    /// Tools that clients see: all, or core (without edit_file) [default: all]
    #[arg(long, value_name = "SET")]
    pub tools: Option<OsString>,
    /// Make the sandbox ready before the first call: on or off [default: on]
    #[arg(long, value_name = "SWITCH")]
    pub warm: Option<OsString>,
    /// What is logged, as in `warn,casemate=debug` [default: info]
    #[arg(long, value_name = "FILTER")]
    pub log: Option<OsString>,
}

impl SettingsArgs {
    fn flags(self) -> [(Setting, Option<OsString>); 14] {
        [
            (Setting::User, self.user),
            (Setting::Mode, self.mode),
            (Setting::Image, self.image),
            (Setting::Instance, self.instance),
            (Setting::Memory, self.memory),
            (Setting::Cpus, self.cpus),
            (Setting::Pids, self.pids),
            (Setting::IdleTimeout, self.idle_timeout),
            (Setting::BackgroundTtl, self.background_ttl),
            (Setting::CallsPerUser, self.calls_per_user),
            (Setting::Results, self.results),
            (Setting::Tools, self.tools),
            (Setting::Warm, self.warm),
            (Setting::Log, self.log),
        ]
    }
}

/// One value as text, and where it stood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// As given.
    pub value: String,
    /// For the error about it.
    pub origin: Origin,
}

impl Given {
    fn new(value: OsString, origin: Origin) -> Result<Self, ConfigError> {
        match value.into_string() {
            Ok(value) => Ok(Self { value, origin }),
            Err(_) => Err(ConfigError::NotUtf8(origin)),
        }
    }
}

/// What was given for each setting; nothing where nobody said anything.
#[derive(Debug, Clone)]
pub struct RawConfig {
    /// The one setting whose default is the machine's.
    pub(super) user: Given,
    pub(super) settings: BTreeMap<Setting, Given>,
}

impl RawConfig {
    /// Reads and merges all sources. Blocks on the settings file and the list of users.
    ///
    /// # Errors
    ///
    /// An unknown name, a value that is not text, or a file that cannot be read or parsed.
    pub fn gather(args: SettingsArgs, environment: &dyn Environment) -> Result<Self, ConfigError> {
        let named = environment.variable(CONFIG_VARIABLE).map(PathBuf::from);
        let path = args.config.clone().or(named);

        // Lowest first: what comes later replaces it.
        let mut settings = BTreeMap::new();
        if let Some(path) = path {
            settings.extend(file::read(&path)?);
        }
        settings.extend(from_variables(environment)?);
        for (setting, value) in args.flags() {
            if let Some(value) = value {
                settings.insert(setting, Given::new(value, Origin::Flag(setting))?);
            }
        }
        let user = settings.remove(&Setting::User).unwrap_or_else(|| Given {
            value: environment.os_user(),
            origin: Origin::OsUser,
        });
        Ok(Self { user, settings })
    }
}

fn from_variables(environment: &dyn Environment) -> Result<Vec<(Setting, Given)>, ConfigError> {
    let mut given = Vec::new();
    for (name, value) in environment.variables() {
        let name = name.to_string_lossy();
        if !name.starts_with(PREFIX) || name == CONFIG_VARIABLE || value.is_empty() {
            continue;
        }
        let Some(setting) = Setting::from_variable(&name) else {
            return Err(ConfigError::UnknownVariable {
                nearest: setting::nearest_variable(&name),
                name: Excerpt::of(&name),
            });
        };
        given.push((setting, Given::new(value, Origin::Variable(setting))?));
    }
    Ok(given)
}
