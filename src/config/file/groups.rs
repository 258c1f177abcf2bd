//! `[[groups]]` in the settings file.

use std::collections::BTreeMap;

use toml::de::{DeTable, DeValue};

use super::entry::{LineIndex, TomlEntry, entries};
use super::{ISSUER, OwnSettings, USERS, tables};
use crate::config::error::ConfigError;
use crate::config::layer::{RawGroup, RawMembers, RawValue};
use crate::config::origin::FileLocation;

/// The key of the tables.
pub const KEY: &str = "groups";

const NAME: &str = "name";
/// The claims of an access token, each with the value that it has to have.
const CLAIMS: &str = "claims";
/// The name of a delegate's token.
const DELEGATE: &str = "delegate";

/// The tables, in the order of the file.
///
/// # Errors
///
/// An unknown key, a value of the wrong type, or a table without a name or without members.
pub fn groups(entry: &TomlEntry, lines: &LineIndex) -> Result<Vec<RawGroup>, ConfigError> {
    let tables = tables(entry, lines)?;
    let read = |(table, place): (_, FileLocation)| group(table, place, lines);
    tables.into_iter().map(read).collect()
}

fn group(table: &DeTable, place: FileLocation, lines: &LineIndex) -> Result<RawGroup, ConfigError> {
    let (mut name, mut issuer, mut members) = (None, None, Vec::new());
    let mut own = OwnSettings::default();
    for entry in entries(table, lines) {
        match entry.key {
            NAME => name = Some(entry.given(NAME)?),
            ISSUER => issuer = Some(entry.given(ISSUER)?),
            USERS => members.push(RawMembers::Users {
                issuer: None,
                users: users(&entry, lines)?,
            }),
            DELEGATE => members.push(RawMembers::Delegate(entry.given(DELEGATE)?)),
            CLAIMS => members.push(RawMembers::Claims(claims(&entry, lines)?)),
            _ => own.take(&entry, lines, &[NAME, USERS, ISSUER, DELEGATE, CLAIMS])?,
        }
    }
    let Some(name) = name else {
        let problem = "a [[groups]] table needs the key name";
        return Err(ConfigError::file(&place, problem));
    };
    let (Some(mut members), None) = (members.pop(), members.pop()) else {
        let problem = "a [[groups]] table needs one of the keys users, claims and delegate";
        return Err(ConfigError::file(&place, problem));
    };
    match (&mut members, issuer) {
        (RawMembers::Users { issuer, .. }, given) => *issuer = given,
        (_, None) => {}
        (_, Some(given)) => {
            let problem = "it is the issuer of users, and this group has none";
            return Err(ConfigError::setting(&given.origin, problem));
        }
    }
    Ok(RawGroup {
        place,
        name,
        members,
        settings: own.settings,
        egress: own.egress,
    })
}

/// The texts of a list, each with its line.
fn users(
    entry: &TomlEntry,
    lines: &LineIndex,
) -> Result<Vec<(RawValue, FileLocation)>, ConfigError> {
    let DeValue::Array(items) = entry.value.get_ref() else {
        let found = entry.value.get_ref().type_str();
        let problem = format!("users of a group are a list of names, found {found}");
        return Err(ConfigError::file(&entry.place, problem));
    };
    let user = |value| {
        let place = lines.at(toml::Spanned::span(value).start);
        let item = TomlEntry {
            key: USERS,
            value,
            place: place.clone(),
        };
        Ok((item.given(USERS)?, place))
    };
    items.iter().map(user).collect()
}

fn claims(entry: &TomlEntry, lines: &LineIndex) -> Result<BTreeMap<String, String>, ConfigError> {
    let wrong = |place: &FileLocation| {
        let problem = "claims of a group are a table of claims, each with a text: \
                       { groups = \"analysts\" }";
        ConfigError::file(place, problem)
    };
    let DeValue::Table(table) = entry.value.get_ref() else {
        return Err(wrong(&entry.place));
    };
    let claim = |claim: TomlEntry| match claim.value.get_ref() {
        DeValue::String(value) if !claim.key.is_empty() => {
            Ok((claim.key.to_owned(), value.clone().into_owned()))
        }
        _ => Err(wrong(&claim.place)),
    };
    let claims: BTreeMap<_, _> = entries(table, lines)
        .into_iter()
        .map(claim)
        .collect::<Result<_, _>>()?;
    match claims.is_empty() {
        // Everybody would be in it.
        true => Err(wrong(&entry.place)),
        false => Ok(claims),
    }
}
