//! Phase 1: merges flags, environment and settings file. Every value is still text, with its origin.
//!
//! ```text
//! flags > CASEMATE_* > file (--config, else CASEMATE_CONFIG) > defaults (phase 2)
//! ```
//!
//! An unknown name is an error in every source. Phase 2 checks only the values that are in force.

use std::path::PathBuf;

use casemate_egress::rules::EgressSettings;

use super::egress::{EgressSource, RawEgress};
use super::environment::Environment;
use super::error::{ConfigError, Excerpt};
use super::file::{self, FileSettings};
use super::flags::SettingsArgs;
use super::layer::{Layer, RawGroup, RawShared, RawUser, RawValue};
use super::nearest::nearest;
use super::origin::Origin;
use super::setting::{CONFIG_VARIABLE, PREFIX, Setting};

/// The given texts of all settings.
#[derive(Debug, Clone)]
pub struct RawConfig {
    /// The one setting whose default comes from the machine.
    pub(super) user: RawValue,
    pub(super) settings: Layer,
    pub(super) users: Vec<RawUser>,
    pub(super) groups: Vec<RawGroup>,
    pub(super) shared: Vec<RawShared>,
    /// `[egress]`. Its `allow` is among the settings too.
    pub(super) egress: Option<RawEgress<EgressSettings>>,
    pub(super) egress_source: EgressSource,
    pub(super) state_directory: Option<PathBuf>,
}

impl RawConfig {
    /// Reads and merges all sources. Blocks on the settings file and the list of users.
    ///
    /// # Errors
    ///
    /// An unknown name, a value that is not UTF-8, or a file that cannot be read or parsed.
    pub fn gather(args: SettingsArgs, environment: &dyn Environment) -> Result<Self, ConfigError> {
        let path = path(&args, environment);
        let file = match &path {
            Some(path) => file::read(path)?,
            None => FileSettings::default(),
        };
        let above = above(args, environment)?;
        let egress_source = EgressSource::new(path.as_deref(), &above);
        let settings = above.over(file.settings);
        let user = settings.get(Setting::User).cloned();
        let user = user.unwrap_or_else(|| RawValue {
            value: environment.os_user(),
            origin: Origin::OsUser,
        });
        Ok(Self {
            user,
            settings,
            users: file.users,
            groups: file.groups,
            shared: file.shared,
            egress: file.egress,
            egress_source,
            state_directory: environment.state_directory(),
        })
    }
}

/// Why a running server with these settings would not use its file now, and keep its old egress
/// rules; `None`: it would use it, or has none. For `doctor`, which sees the file and not the server.
/// Blocks on the file.
pub fn egress_problem(args: SettingsArgs, environment: &dyn Environment) -> Option<ConfigError> {
    let path = path(&args, environment);
    let source = EgressSource::new(path.as_deref(), &above(args, environment).ok()?);
    source.read().err()
}

fn path(args: &SettingsArgs, environment: &dyn Environment) -> Option<PathBuf> {
    let named = || environment.variable(CONFIG_VARIABLE).map(PathBuf::from);
    args.config.clone().or_else(named)
}

/// Flags and variables, which override the file.
fn above(args: SettingsArgs, environment: &dyn Environment) -> Result<Layer, ConfigError> {
    let variables = from_variables(environment)?;
    Ok(from_flags(args)?.over(variables))
}

fn from_flags(args: SettingsArgs) -> Result<Layer, ConfigError> {
    let mut flags = Layer::default();
    for (key, value) in args.given {
        if let Some((key, setting)) = Setting::from_key(key) {
            flags.insert(setting, RawValue::new(value, Origin::Flag(key))?);
        }
    }
    Ok(flags)
}

fn from_variables(environment: &dyn Environment) -> Result<Layer, ConfigError> {
    let mut variables = Layer::default();
    for (name, value) in environment.variables() {
        let name = name.to_string_lossy();
        if !name.starts_with(PREFIX) || name == CONFIG_VARIABLE || value.is_empty() {
            continue;
        }
        let Some((key, setting)) = Setting::from_variable(&name) else {
            let known = Setting::ALL.iter().map(|setting| setting.variable());
            return Err(ConfigError::Unknown {
                nearest: nearest(&name, known.chain([CONFIG_VARIABLE.to_owned()])),
                name: format!("variable {}", Excerpt::of(&name)),
            });
        };
        variables.insert(setting, RawValue::new(value, Origin::Variable(key))?);
    }
    Ok(variables)
}
