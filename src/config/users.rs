//! Users with settings of their own.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use super::error::ConfigError;
use super::origin::FileLocation;
use super::raw::{Layer, RawUser};
use super::sandbox::SandboxSettings;
use crate::identity::{Issuer, User};

/// By user. Whoever is not in here has what everybody has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Users(BTreeMap<User, UserOverride>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct UserOverride {
    /// Merged: what is not the user's own is everybody's.
    settings: Arc<SandboxSettings>,
    /// What is the user's own.
    given: Layer,
    /// Of the table.
    place: FileLocation,
}

impl Users {
    /// `all`: what was given for everybody.
    ///
    /// # Errors
    ///
    /// A user with two tables, or a value that its setting does not take.
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
                    return Err(ConfigError::SameUser {
                        user: entry.key().clone(),
                        first: entry.get().place.clone(),
                        second: own.place,
                    });
                }
            };
        }
        Ok(Self(users))
    }

    /// The settings of this user's sandbox.
    pub fn settings(&self, user: &User) -> Option<&Arc<SandboxSettings>> {
        self.0.get(user).map(|own| &own.settings)
    }

    /// Of all who have some of their own.
    pub fn all(&self) -> impl Iterator<Item = &SandboxSettings> {
        self.0.values().map(|own| &*own.settings)
    }

    /// What was given for this user alone.
    pub fn given(&self, user: &User) -> Option<&Layer> {
        self.0.get(user).map(|own| &own.given)
    }

    /// What was given for each of them alone.
    pub fn layers(&self) -> impl Iterator<Item = &Layer> {
        self.0.values().map(|own| &own.given)
    }
}
