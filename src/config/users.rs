//! Users with other settings than the rest.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use super::error::ConfigError;
use super::layer::{Layer, RawUser};
use super::origin::FileLocation;
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
    /// Where the table begins.
    place: FileLocation,
}

impl Users {
    /// `all`: the settings for all users.
    ///
    /// # Errors
    ///
    /// A user with two tables, or a value that is not allowed.
    pub fn from_raw(raw: Vec<RawUser>, all: &Layer) -> Result<Self, ConfigError> {
        let mut users = BTreeMap::new();
        for table in raw {
            let merged = table.settings.clone().over(all.clone());
            let own = UserOverride {
                settings: Arc::new(SandboxSettings::from_layer(&merged)?),
                given: table.settings,
                place: table.place,
            };
            let issuer = match table.issuer {
                Some(given) => given.parse(|text| Ok(text.parse()?))?,
                None => Issuer::local(),
            };
            let subject = table.subject.parse(|text| Ok(text.parse()?))?;
            match users.entry(User { issuer, subject }) {
                Entry::Vacant(entry) => entry.insert(own),
                Entry::Occupied(entry) => {
                    let (user, line) = (entry.key(), entry.get().place.line);
                    let problem = format!("{user} has a [[users]] table already, in line {line}");
                    return Err(ConfigError::file(&own.place, problem));
                }
            };
        }
        Ok(Self(users))
    }

    /// The settings of this user's sandbox, if there is a table for it.
    pub fn settings(&self, user: &User) -> Option<&Arc<SandboxSettings>> {
        self.0.get(user).map(|own| &own.settings)
    }

    /// The settings of all users who have a table.
    pub fn all(&self) -> impl Iterator<Item = &SandboxSettings> {
        self.0.values().map(|own| &*own.settings)
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
