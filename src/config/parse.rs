//! From text to values: what phase 2 asks of what phase 1 gathered.

use std::str::FromStr;

use super::error::{ConfigError, Excerpt, ValueError};
use super::limits::Bounds;
use super::origin::Origin;
use super::raw::{Layer, RawValue};
use super::setting::Setting;
use super::units::Quantity;

impl RawValue {
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
    /// What was given, or the default.
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

    /// As [`Layer::value`], within its bounds.
    pub(super) fn bounded<T: Quantity>(
        &self,
        setting: Setting,
        bounds: Bounds<T>,
    ) -> Result<T, ConfigError> {
        self.value(setting, bounds.default, |text| {
            let value = T::read(text)?;
            if bounds.contains(&value) {
                return Ok(value);
            }
            Err(ValueError::OutOfBounds {
                least: bounds.least.show(),
                most: bounds.most.show(),
            })
        })
    }

    /// What was given, if anything was, and where.
    pub(super) fn optional<T: FromStr<Err = ValueError>>(
        &self,
        setting: Setting,
    ) -> Result<Option<(T, &Origin)>, ConfigError> {
        self.get(setting)
            .map(|given| Ok((given.parse(str::parse)?, &given.origin)))
            .transpose()
    }
}
