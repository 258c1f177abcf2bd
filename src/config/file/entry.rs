//! The keys of a table, each with its line.

use std::path::Path;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::config::error::{ConfigError, Excerpt};
use crate::config::layer::RawValue;
use crate::config::nearest::nearest;
use crate::config::origin::{FileLocation, Origin};

/// One key with its value.
pub struct TomlEntry<'a> {
    pub key: &'a str,
    pub value: &'a Spanned<DeValue<'a>>,
    pub place: FileLocation,
}

/// In the order of the file, so that the first error is the topmost.
pub fn entries<'a>(table: &'a DeTable<'a>, places: &LineIndex) -> Vec<TomlEntry<'a>> {
    let mut spanned: Vec<_> = table.iter().collect();
    spanned.sort_by_key(|(key, _)| key.span().start);
    spanned
        .into_iter()
        .map(|(key, value)| TomlEntry {
            key: key.get_ref(),
            value,
            place: places.at(key.span().start),
        })
        .collect()
}

impl TomlEntry<'_> {
    pub fn unknown(&self, known: impl Iterator<Item = &'static str>) -> ConfigError {
        ConfigError::Unknown {
            name: format!("key {} in {}", Excerpt::of(self.key), self.place),
            nearest: nearest(self.key, known),
        }
    }

    /// The value as text. Of a number the text is kept, because a float cannot hold 0.1.
    pub fn given(&self, key: &'static str) -> Result<RawValue, ConfigError> {
        let origin = Origin::Key(key, self.place.clone());
        let value = match self.value.get_ref() {
            DeValue::String(text) => text.clone().into_owned(),
            // Hexadecimal too. A number above `i128` is above every bound in any notation.
            DeValue::Integer(number) => i128::from_str_radix(number.as_str(), number.radix())
                .map_or_else(|_| number.to_string(), |number| number.to_string()),
            DeValue::Float(number) => number.as_str().trim_start_matches('+').to_owned(),
            DeValue::Boolean(switch) => switch.to_string(),
            DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => {
                let found = self.value.get_ref().type_str();
                let problem = format!("expected text, a number or true or false, found {found}");
                return Err(ConfigError::setting(&origin, problem));
            }
        };
        Ok(RawValue { value, origin })
    }
}

/// Finds the line of an offset by binary search: a file may have tens of thousands of users.
pub struct LineIndex {
    path: Arc<Path>,
    line_ends: Vec<usize>,
}

impl LineIndex {
    pub fn new(path: &Path, text: &str) -> Self {
        Self {
            path: path.into(),
            line_ends: text.match_indices('\n').map(|(end, _)| end).collect(),
        }
    }

    pub fn at(&self, offset: usize) -> FileLocation {
        FileLocation {
            path: self.path.clone(),
            line: self.line_ends.partition_point(|&end| end < offset) + 1,
        }
    }
}
