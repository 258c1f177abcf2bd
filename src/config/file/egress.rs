//! `egress` in the settings file: the table `[egress]`, and that of a user.
//!
//! The tables are read by serde, into the types of `casemate-egress`. Keys are checked before,
//! so that an unknown one is told like every other unknown key of the file.

use std::collections::BTreeMap;

use casemate_egress::rules::{AllowEntry, EgressSettings, LayerSettings};
use serde::de::DeserializeOwned;
use toml::de::{DeValue, ValueDeserializer};

use super::entry::{LineIndex, TomlEntry, entries};
use crate::config::egress::{RawEgress, RawPart};
use crate::config::error::{ConfigError, shortened};
use crate::config::layer::{Layer, RawValue};
use crate::config::origin::{FileLocation, Origin};
use crate::config::setting::Setting;

/// The key of both tables.
pub const KEY: &str = "egress";

/// In both tables: the rules. Those of `[egress]` are [`Setting::EgressAllow`].
const ALLOW: &str = "allow";
/// In `[egress]`: the table of lists, whose keys are names.
const LISTS: &str = "lists";
const EVERYBODY_KEYS: [&str; 7] = [ALLOW, LISTS, "deny", "quiet", "contact", "proxy", "ca_file"];
const USER_KEYS: [&str; 2] = [ALLOW, "extend"];
/// Of an entry of `allow` that is a table.
const ENTRY_KEYS: [&str; 4] = ["host", "port", "protocol", "allow_cidrs"];

/// `[egress]`.
///
/// # Errors
///
/// An unknown key, or a value of the wrong type.
pub fn everybody(
    entry: &TomlEntry,
    lines: &LineIndex,
) -> Result<RawEgress<EgressSettings>, ConfigError> {
    read(entry, &EVERYBODY_KEYS, lines)
}

/// `egress` of a user.
///
/// # Errors
///
/// As [`everybody`].
pub fn of_user(
    entry: &TomlEntry,
    lines: &LineIndex,
) -> Result<RawEgress<LayerSettings>, ConfigError> {
    read(entry, &USER_KEYS, lines)
}

/// Makes the rules of `[egress]` the value of [`Setting::EgressAllow`] in this file.
///
/// # Errors
///
/// It has one already.
pub fn merge(table: &RawEgress<EgressSettings>, settings: &mut Layer) -> Result<(), ConfigError> {
    let Some(allow) = table.parts.get(ALLOW) else {
        return Ok(());
    };
    if let Some(other) = settings.get(Setting::EgressAllow) {
        let problem = format!("allow in [egress] is the same setting: {}", allow.place);
        return Err(ConfigError::setting(&other.origin, problem));
    }
    let given = given("egress.allow", &table.settings.allow, &allow.place);
    settings.insert(Setting::EgressAllow, given);
    Ok(())
}

/// Rules that stand in the file, as the one line that they are from other sources.
pub fn given(key: &str, entries: &[AllowEntry], place: &FileLocation) -> RawValue {
    let entries: Vec<_> = entries.iter().map(ToString::to_string).collect();
    RawValue {
        value: entries.join(","),
        origin: Origin::Part(key.to_owned(), place.clone()),
    }
}

fn read<T: DeserializeOwned>(
    entry: &TomlEntry,
    known: &[&'static str],
    lines: &LineIndex,
) -> Result<RawEgress<T>, ConfigError> {
    let parts = parts(entry, known, lines)?;
    let deserializer = ValueDeserializer::from(entry.value.clone());
    let settings = serde_path_to_error::deserialize(deserializer).map_err(|error| {
        let span = error.inner().span();
        let place = span.map_or_else(|| entry.place.clone(), |span| lines.at(span.start));
        let key = shortened(&format!("{KEY}.{}", error.path()).escape_debug().to_string());
        ConfigError::setting(
            &Origin::Part(key, place),
            shortened(error.inner().message()),
        )
    })?;
    Ok(RawEgress {
        settings,
        place: entry.place.clone(),
        parts,
    })
}

/// The places of all parts that an error can be about.
fn parts(
    entry: &TomlEntry,
    known: &[&'static str],
    lines: &LineIndex,
) -> Result<BTreeMap<String, RawPart>, ConfigError> {
    let DeValue::Table(table) = entry.value.get_ref() else {
        let found = entry.value.get_ref().type_str();
        let problem = format!("{KEY} is a table, found {found}");
        return Err(ConfigError::file(&entry.place, problem));
    };
    let mut parts = BTreeMap::new();
    for entry in entries(table, lines) {
        if !known.contains(&entry.key) {
            return Err(entry.unknown(known.iter().copied()));
        }
        match entry.value.get_ref() {
            DeValue::Table(lists) if entry.key == LISTS => {
                for list in entries(lists, lines) {
                    parts.insert(format!("{LISTS}.{}", list.key), part(&list, lines)?);
                }
            }
            _ => {
                parts.insert(entry.key.to_owned(), part(&entry, lines)?);
            }
        }
    }
    Ok(parts)
}

fn part(entry: &TomlEntry, lines: &LineIndex) -> Result<RawPart, ConfigError> {
    let mut items = Vec::new();
    if let DeValue::Array(array) = entry.value.get_ref() {
        for item in array.iter() {
            if let DeValue::Table(table) = item.get_ref() {
                let mut keys = entries(table, lines).into_iter();
                if let Some(unknown) = keys.find(|entry| !ENTRY_KEYS.contains(&entry.key)) {
                    return Err(unknown.unknown(ENTRY_KEYS.into_iter()));
                }
            }
            items.push(lines.at(item.span().start));
        }
    }
    Ok(RawPart {
        place: entry.place.clone(),
        items,
    })
}
