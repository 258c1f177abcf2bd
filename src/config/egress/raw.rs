use std::collections::BTreeMap;

use casemate_egress::rules::RuleError;

use crate::config::error::{ConfigError, Excerpt, shortened};
use crate::config::origin::{FileLocation, Origin};
use crate::config::value_error::ValueError;

/// A table `egress` of the settings file, with the location of each part: an error of a part is found
/// only when the table is compiled.
#[derive(Debug, Clone)]
pub struct RawEgress<T> {
    /// As written.
    pub settings: T,
    /// Where the table begins.
    pub place: FileLocation,
    /// By key: `allow`, `lists.NAME`.
    pub parts: BTreeMap<String, RawPart>,
}

/// The location of one key of such a table.
#[derive(Debug, Clone)]
pub struct RawPart {
    /// The key.
    pub place: FileLocation,
    /// Each item, if its value is an array.
    pub items: Vec<FileLocation>,
}

impl<T> RawEgress<T> {
    /// `error`, with the location of the key that it names: `egress.allow[3]`.
    pub(super) fn located(&self, error: RuleError) -> ConfigError {
        let place = self.find(&error.key).unwrap_or(&self.place);
        let key = shortened(&error.key.escape_debug().to_string());
        refused(Origin::Part(key, place.clone()), error)
    }

    fn find(&self, key: &str) -> Option<&FileLocation> {
        let (_table, key) = key.split_once('.')?;
        let item = key.strip_suffix(']').and_then(|key| key.rsplit_once('['));
        let Some((key, index)) = item else {
            return self.parts.get(key).map(|part| &part.place);
        };
        self.parts.get(key)?.items.get(index.parse::<usize>().ok()?)
    }
}

/// `error`, about a value that was given at `origin`.
pub(super) fn refused(origin: Origin, error: RuleError) -> ConfigError {
    ConfigError::BadValue {
        origin,
        value: Excerpt::of(&error.value),
        reason: Box::new(ValueError::Egress(error.problem)),
    }
}
