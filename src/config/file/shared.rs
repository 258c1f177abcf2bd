//! `[[shared]]` in the settings file, and `shared` of a user or a group.

use toml::de::{DeTable, DeValue};

use super::entry::{LineIndex, TomlEntry, entries};
use super::tables;
use crate::config::error::ConfigError;
use crate::config::layer::{RawShared, RawValue};
use crate::config::origin::{FileLocation, Origin};

/// The key of the tables, and of the list of a user or a group.
pub const KEY: &str = "shared";

const NAME: &str = "name";
const PATH: &str = "path";

/// The tables, in the order of the file.
///
/// # Errors
///
/// An unknown key, a value of the wrong type, or a table without a name or a path.
pub fn shared(entry: &TomlEntry, lines: &LineIndex) -> Result<Vec<RawShared>, ConfigError> {
    let tables = tables(entry, lines)?;
    let read = |(table, place): (_, FileLocation)| one(table, place, lines);
    tables.into_iter().map(read).collect()
}

fn one(table: &DeTable, place: FileLocation, lines: &LineIndex) -> Result<RawShared, ConfigError> {
    let (mut name, mut path) = (None, None);
    for entry in entries(table, lines) {
        match entry.key {
            NAME => name = Some(entry.given(NAME)?),
            PATH => path = Some(entry.given(PATH)?),
            _ => return Err(entry.unknown([NAME, PATH].into_iter())),
        }
    }
    let (Some(name), Some(path)) = (name, path) else {
        let problem = "a [[shared]] table needs the keys name and path";
        return Err(ConfigError::file(&place, problem));
    };
    Ok(RawShared { place, name, path })
}

/// The names in the list of a user or a group, as the one line that they are from other sources.
///
/// # Errors
///
/// It is not a list of texts.
pub fn names(entry: &TomlEntry) -> Result<RawValue, ConfigError> {
    let wrong = || {
        let found = entry.value.get_ref().type_str();
        let problem = format!("{KEY} is a list of names of [[{KEY}]] tables, found {found}");
        ConfigError::file(&entry.place, problem)
    };
    let DeValue::Array(items) = entry.value.get_ref() else {
        return Err(wrong());
    };
    let name = |item: &toml::Spanned<DeValue>| match item.get_ref() {
        // An empty one would be the end of the list.
        DeValue::String(name) if !name.is_empty() => Ok(name.clone().into_owned()),
        _ => Err(wrong()),
    };
    let names: Vec<String> = items.iter().map(name).collect::<Result<_, _>>()?;
    Ok(RawValue {
        value: names.join(","),
        origin: Origin::Part(KEY.to_owned(), entry.place.clone()),
    })
}
