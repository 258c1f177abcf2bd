//! Users with other settings than the rest.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::error::ConfigError;
use super::layer::{Layer, RawUser};
use super::sandbox::SandboxSettings;
use crate::identity::{Issuer, User};

/// Per-user overrides; all other users get the defaults.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Users(BTreeMap<User, UserOverride>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct UserOverride {
    /// Merged with the settings of all users.
    settings: Arc<SandboxSettings>,
    /// Given in the user's table.
    given: Layer,
}

/// The tables with their users, in the order of the file.
///
/// # Errors
///
/// Text that is no user, or a user with two tables.
pub fn identify(raw: Vec<RawUser>) -> Result<Vec<(User, RawUser)>, ConfigError> {
    let mut lines: BTreeMap<User, usize> = BTreeMap::new();
    let identify = |table: RawUser| {
        let issuer = match &table.issuer {
            Some(given) => given.parse(|text| Ok(text.parse()?))?,
            None => Issuer::local(),
        };
        let subject = table.subject.parse(|text| Ok(text.parse()?))?;
        let user = User { issuer, subject };
        if let Some(line) = lines.insert(user.clone(), table.place.line) {
            let problem = format!("{user} has a [[users]] table already, in line {line}");
            return Err(ConfigError::file(&table.place, problem));
        }
        Ok((user, table))
    };
    raw.into_iter().map(identify).collect()
}

impl Users {
    /// `all`: the settings for all users.
    ///
    /// # Errors
    ///
    /// A value that is not allowed.
    pub fn from_raw(raw: Vec<(User, RawUser)>, all: &Layer) -> Result<Self, ConfigError> {
        let own = |(user, table): (User, RawUser)| {
            let merged = table.settings.clone().over(all.clone());
            let own = UserOverride {
                settings: Arc::new(SandboxSettings::from_layer(&merged)?),
                given: table.settings,
            };
            Ok((user, own))
        };
        Ok(Self(raw.into_iter().map(own).collect::<Result<_, _>>()?))
    }

    /// The settings of a user without a group, if there is a table for the user.
    pub fn settings(&self, user: &User) -> Option<&Arc<SandboxSettings>> {
        self.0.get(user).map(|own| &own.settings)
    }

    /// The settings of all users who have a table.
    pub fn all(&self) -> impl Iterator<Item = &SandboxSettings> {
        self.0.values().map(|own| &*own.settings)
    }

    /// The users who have a table.
    pub fn names(&self) -> impl Iterator<Item = &User> {
        self.0.keys()
    }

    /// What this user's table gives.
    pub fn given(&self, user: &User) -> Option<&Layer> {
        self.0.get(user).map(|own| &own.given)
    }

    /// What each table gives.
    pub fn layers(&self) -> impl Iterator<Item = &Layer> {
        self.0.values().map(|own| &own.given)
    }
}
