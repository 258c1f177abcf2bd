//! What one source gives for the settings, as text with its origin, and the way from text to
//! values.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::str::FromStr;

use casemate_egress::rules::LayerSettings;

use super::egress::RawEgress;
use super::error::{ConfigError, Excerpt};
use super::origin::{FileLocation, Origin};
use super::setting::{Bounded, Setting};
use super::value_error::ValueError;

/// One value as text, and where it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawValue {
    /// As given.
    pub value: String,
    /// For the error about it.
    pub origin: Origin,
}

/// The values of one source, or of several merged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Layer(BTreeMap<Setting, RawValue>);

/// What the file gives for one user: a `[[users]]` table.
#[derive(Debug, Clone)]
pub struct RawUser {
    /// Where the table begins.
    pub place: FileLocation,
    /// The user's issuer; `local` when not given.
    pub issuer: Option<RawValue>,
    /// The user.
    pub subject: RawValue,
    /// The settings that this user has different from the others.
    pub settings: Layer,
    /// What this user may reach, if the table says it.
    pub egress: Option<RawEgress<LayerSettings>>,
}

/// What the file gives for one group: a `[[groups]]` table.
#[derive(Debug, Clone)]
pub struct RawGroup {
    /// Where the table begins.
    pub place: FileLocation,
    /// Its name.
    pub name: RawValue,
    /// Its members.
    pub members: RawMembers,
    /// The settings that its users have different from the others.
    pub settings: Layer,
    /// What its users may reach, if the table says it.
    pub egress: Option<RawEgress<LayerSettings>>,
}

/// What the file gives for one share: a `[[shared]]` table.
#[derive(Debug, Clone)]
pub struct RawShared {
    /// Where the table begins.
    pub place: FileLocation,
    /// Its name.
    pub name: RawValue,
    /// Where it is in sandboxes.
    pub path: RawValue,
}

/// The members of a group, as the file says it.
#[derive(Debug, Clone)]
pub enum RawMembers {
    /// A list of users of one issuer; `local` when not given.
    Users {
        /// Their issuer.
        issuer: Option<RawValue>,
        /// Each user, with its line.
        users: Vec<(RawValue, FileLocation)>,
    },
    /// All users of this delegate.
    Delegate(RawValue),
    /// Those whose access token has all of these values, by claim.
    Claims(BTreeMap<String, String>),
}

impl RawValue {
    /// # Errors
    ///
    /// The value is not UTF-8.
    pub(super) fn new(value: OsString, origin: Origin) -> Result<Self, ConfigError> {
        match value.into_string() {
            Ok(value) => Ok(Self { value, origin }),
            Err(_) => {
                let problem = "the value is not valid UTF-8";
                Err(ConfigError::setting(&origin, problem))
            }
        }
    }

    /// The value that the text means.
    pub(super) fn parse<T>(
        &self,
        parse: impl FnOnce(&str) -> Result<T, ValueError>,
    ) -> Result<T, ConfigError> {
        parse(&self.value).map_err(|reason| ConfigError::BadValue {
            origin: self.origin.clone(),
            value: Excerpt::of(&self.value),
            reason: Box::new(reason),
        })
    }
}

impl Layer {
    /// What it gives for a setting.
    pub fn get(&self, setting: Setting) -> Option<&RawValue> {
        self.0.get(&setting)
    }

    /// All that it gives.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Setting, &RawValue)> {
        self.0.iter().map(|(&setting, given)| (setting, given))
    }

    /// Adds or replaces one value. A value under the setting's old name does not replace one under
    /// its present name.
    pub(super) fn insert(&mut self, setting: Setting, given: RawValue) {
        if !given.origin.is_old_name_of(setting) || self.get(setting).is_none() {
            self.0.insert(setting, given);
        }
    }

    /// Puts this layer on top of another: its values win.
    #[must_use]
    pub fn over(self, mut below: Self) -> Self {
        below.0.extend(self.0);
        below
    }

    /// Where a setting was given.
    pub(super) fn origin(&self, setting: Setting) -> Origin {
        let given = self.get(setting);
        given.map_or(Origin::Default, |given| given.origin.clone())
    }

    /// The given value, or the default.
    pub(super) fn value<T>(
        &self,
        setting: Setting,
        default: T,
        parse: impl FnOnce(&str) -> Result<T, ValueError>,
    ) -> Result<T, ConfigError> {
        match self.get(setting) {
            Some(given) => given.parse(parse),
            None => Ok(default),
        }
    }

    /// The given value, within the bounds in the table of settings, or the default in that table.
    pub(super) fn bounded<T: Bounded>(&self, setting: Setting) -> Result<T, ConfigError> {
        let bounds = T::bounds(setting);
        self.value(setting, bounds.default, |text| bounds.read(text))
    }

    /// The given value, if there is one.
    pub(super) fn optional<T: FromStr<Err = ValueError>>(
        &self,
        setting: Setting,
    ) -> Result<Option<T>, ConfigError> {
        let given = self.get(setting);
        given.map(|given| given.parse(str::parse)).transpose()
    }
}
