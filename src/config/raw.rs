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
use super::file::{self, FileSettings};
use super::flags::SettingsArgs;
use super::nearest::nearest;
use super::origin::{FileLocation, Origin};
use super::setting::{CONFIG_VARIABLE, PREFIX, Setting};

/// One value as text, and where it stood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawValue {
    /// As given.
    pub value: String,
    /// For the error about it.
    pub origin: Origin,
}

impl RawValue {
    fn new(value: OsString, origin: Origin) -> Result<Self, ConfigError> {
        match value.into_string() {
            Ok(value) => Ok(Self { value, origin }),
            Err(_) => Err(ConfigError::NotUtf8(origin)),
        }
    }
}

/// What one source gives, or several of them put over each other; nothing where none says anything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Layer(BTreeMap<Setting, RawValue>);

impl Layer {
    /// What it gives for a setting.
    pub fn get(&self, setting: Setting) -> Option<&RawValue> {
        self.0.get(&setting)
    }

    /// Adds or replaces one value.
    pub(super) fn insert(&mut self, setting: Setting, given: RawValue) {
        self.0.insert(setting, given);
    }

    /// This layer on top of another: of two values this one's holds.
    #[must_use]
    pub fn over(self, mut below: Self) -> Self {
        below.0.extend(self.0);
        below
    }
}

/// What the file gives for one user: a `[[users]]` table.
#[derive(Debug, Clone)]
pub struct RawUser {
    /// Where the table begins.
    pub place: FileLocation,
    /// Who vouches for the user; `local` when not given.
    pub issuer: Option<RawValue>,
    /// The user.
    pub subject: RawValue,
    /// Those settings that are the user's own.
    pub settings: Layer,
}

/// What was given for each setting.
#[derive(Debug, Clone)]
pub struct RawConfig {
    /// The one setting whose default is the machine's.
    pub(super) user: RawValue,
    pub(super) settings: Layer,
    pub(super) users: Vec<RawUser>,
}

impl RawConfig {
    /// Reads and merges all sources. Blocks on the settings file and the list of users.
    ///
    /// # Errors
    ///
    /// An unknown name, a value that is not text, or a file that cannot be read or parsed.
    pub fn gather(args: SettingsArgs, environment: &dyn Environment) -> Result<Self, ConfigError> {
        let named = || environment.variable(CONFIG_VARIABLE).map(PathBuf::from);
        let file = match args.config.clone().or_else(named) {
            Some(path) => file::read(&path)?,
            None => FileSettings::default(),
        };
        let variables = from_variables(environment)?;
        let settings = from_flags(args)?.over(variables).over(file.settings);
        let user = settings.get(Setting::User).cloned();
        let user = user.unwrap_or_else(|| RawValue {
            value: environment.os_user(),
            origin: Origin::OsUser,
        });
        Ok(Self {
            user,
            settings,
            users: file.users,
        })
    }
}

fn from_flags(args: SettingsArgs) -> Result<Layer, ConfigError> {
    let mut flags = Layer::default();
    for (setting, value) in args.given {
        flags.insert(setting, RawValue::new(value, Origin::Flag(setting))?);
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
        let Some(setting) = Setting::from_variable(&name) else {
            let known = Setting::ALL.iter().map(|setting| setting.variable());
            return Err(ConfigError::UnknownVariable {
                nearest: nearest(&name, known.chain([CONFIG_VARIABLE.to_owned()])),
                name: Excerpt::of(&name),
            });
        };
        variables.insert(setting, RawValue::new(value, Origin::Variable(setting))?);
    }
    Ok(variables)
}
