//! The settings file: TOML with the settings' keys at the top level, and a `[[users]]` table for
//! each user with other settings than the rest. Unknown keys are errors that name the nearest known
//! one. `[[groups]]` are read by [`groups`], `[[shared]]` by [`shared`].
//!
//! ```toml
//! memory = "512m"
//!
//! [backup]
//! every = "1d"            # the setting backup_every
//!
//! [[users]]
//! user = "alice"          # the subject, exact
//! issuer = "local"        # when left out
//! mode = "ephemeral"
//! ```
//!
//! `[egress]`, and `egress` of a user, are read by [`egress`].

mod egress;
mod entry;
mod groups;
mod shared;

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::egress::RawEgress;
use super::error::ConfigError;
use super::layer::{Layer, RawGroup, RawShared, RawUser};
use super::limits::CONFIG_FILE_BYTES;
use super::origin::{FileLocation, Origin};
use super::setting::Setting;
use casemate_egress::rules::{EgressSettings, LayerSettings};
use entry::{LineIndex, TomlEntry, entries};

/// The key of the users' tables.
const USERS: &str = "users";
/// The table of settings that begin with `backup_`; its keys leave that out.
const BACKUP: &str = "backup";
/// In such a table: the user's issuer.
const ISSUER: &str = "issuer";
/// In such a table: the user.
const USER: &str = "user";

/// The settings of a file.
#[derive(Debug, Default)]
pub struct FileSettings {
    /// For all.
    pub settings: Layer,
    /// `[egress]`, if there is one.
    pub egress: Option<RawEgress<EgressSettings>>,
    /// For some users, in the order of the file.
    pub users: Vec<RawUser>,
    /// For the users of a group, in the order of the file.
    pub groups: Vec<RawGroup>,
    /// The shares, in the order of the file.
    pub shared: Vec<RawShared>,
}

/// The settings that one table of a user or a group has different from the others.
#[derive(Debug, Default)]
struct OwnSettings {
    settings: Layer,
    egress: Option<RawEgress<LayerSettings>>,
}

/// The settings of the file at `path`.
///
/// # Errors
///
/// As [`super::RawConfig::gather`].
pub fn read(path: &Path) -> Result<FileSettings, ConfigError> {
    let text = read_bounded(path).map_err(|source| ConfigError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    parse(path, &text)
}

fn read_bounded(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let file = File::open(path)?;
    file.take(CONFIG_FILE_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > CONFIG_FILE_BYTES {
        let message = format!("it has more than {CONFIG_FILE_BYTES} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    Ok(text)
}

/// Reads nothing: `path` is only for errors and origins.
pub(super) fn parse(path: &Path, text: &str) -> Result<FileSettings, ConfigError> {
    let places = LineIndex::new(path, text);
    let table = DeTable::parse(text).map_err(|error| {
        let place = places.at(error.span().map_or(0, |span| span.start));
        ConfigError::file(&place, error.message())
    })?;
    let mut file = FileSettings::default();
    for entry in entries(table.get_ref(), &places) {
        if entry.key == USERS {
            file.users = users(&entry, &places)?;
            continue;
        }
        if entry.key == groups::KEY {
            file.groups = groups::groups(&entry, &places)?;
            continue;
        }
        if entry.key == shared::KEY {
            file.shared = shared::shared(&entry, &places)?;
            continue;
        }
        if entry.key == BACKUP {
            backup(&entry, &places, &mut file.settings)?;
            continue;
        }
        if entry.key == egress::KEY {
            file.egress = Some(egress::everybody(&entry, &places)?);
            continue;
        }
        let Some((key, setting)) = Setting::from_key(entry.key) else {
            let known = Setting::ALL.iter().map(|setting| setting.key());
            let tables = [USERS, groups::KEY, shared::KEY, BACKUP, egress::KEY];
            return Err(entry.unknown(known.chain(tables)));
        };
        file.settings.insert(setting, entry.given(key)?);
    }
    if let Some(table) = &file.egress {
        egress::merge(table, &mut file.settings)?;
    }
    Ok(file)
}

fn backup(entry: &TomlEntry, places: &LineIndex, settings: &mut Layer) -> Result<(), ConfigError> {
    let DeValue::Table(table) = entry.value.get_ref() else {
        let found = entry.value.get_ref().type_str();
        let problem = format!("[backup] is a table, found {found}");
        return Err(ConfigError::file(&entry.place, problem));
    };
    for entry in entries(table, places) {
        let mut known = Setting::in_section(BACKUP);
        let Some((_, setting)) = known.find(|(key, _)| *key == entry.key) else {
            let known = Setting::in_section(BACKUP);
            return Err(entry.unknown(known.map(|(key, _)| key)));
        };
        settings.insert(setting, entry.given(setting.key())?);
    }
    Ok(())
}

/// The tables of an array, such as `[[users]]`, each with the place where it begins.
fn tables<'a>(
    entry: &'a TomlEntry<'a>,
    places: &LineIndex,
) -> Result<Vec<(&'a DeTable<'a>, FileLocation)>, ConfigError> {
    let key = entry.key;
    let not_tables = |place: &FileLocation, found| {
        let problem = format!("{key} are [[{key}]] tables, found {found}");
        ConfigError::file(place, problem)
    };
    let DeValue::Array(tables) = entry.value.get_ref() else {
        return Err(not_tables(&entry.place, entry.value.get_ref().type_str()));
    };
    let table = |item: &'a toml::Spanned<DeValue<'a>>| {
        let place = places.at(item.span().start);
        match item.get_ref() {
            DeValue::Table(table) => Ok((table, place)),
            other => Err(not_tables(&place, other.type_str())),
        }
    };
    tables.iter().map(table).collect()
}

fn users(entry: &TomlEntry, places: &LineIndex) -> Result<Vec<RawUser>, ConfigError> {
    let tables = tables(entry, places)?;
    let read = |(table, place): (_, FileLocation)| user(table, place, places);
    tables.into_iter().map(read).collect()
}

fn user(table: &DeTable, place: FileLocation, places: &LineIndex) -> Result<RawUser, ConfigError> {
    let (mut issuer, mut subject) = (None, None);
    let mut own = OwnSettings::default();
    for entry in entries(table, places) {
        match entry.key {
            ISSUER => issuer = Some(entry.given(ISSUER)?),
            USER => subject = Some(entry.given(USER)?),
            _ => own.take(&entry, places, &[ISSUER, USER])?,
        }
    }
    let Some(subject) = subject else {
        let problem = "a [[users]] table needs the key user";
        return Err(ConfigError::file(&place, problem));
    };
    Ok(RawUser {
        place,
        issuer,
        subject,
        settings: own.settings,
        egress: own.egress,
    })
}

impl OwnSettings {
    /// Takes one key of the table, which may also have the keys `others`.
    fn take(
        &mut self,
        entry: &TomlEntry,
        places: &LineIndex,
        others: &[&'static str],
    ) -> Result<(), ConfigError> {
        match Setting::from_key(entry.key) {
            _ if entry.key == egress::KEY => {
                let own: RawEgress<LayerSettings> = egress::of_user(entry, places)?;
                let given = egress::given(egress::KEY, &own.settings.allow, &own.place);
                self.settings.insert(Setting::EgressAllow, given);
                self.egress = Some(own);
            }
            _ if entry.key == shared::KEY => {
                self.settings
                    .insert(Setting::SharedData, shared::names(entry)?);
            }
            Some((key, setting)) if setting.is_per_user() => {
                self.settings.insert(setting, entry.given(key)?);
            }
            Some((key, _)) => return Err(not_per_user(key, entry.place.clone())),
            None => {
                let known = Setting::per_user().map(Setting::key);
                let others = others.iter().copied().chain([egress::KEY, shared::KEY]);
                return Err(entry.unknown(known.chain(others)));
            }
        }
        Ok(())
    }
}

fn not_per_user(key: &'static str, place: FileLocation) -> ConfigError {
    let keys = Setting::per_user().map(Setting::key);
    let keys: Vec<_> = keys.chain([egress::KEY, shared::KEY]).collect();
    let problem = format!(
        "it holds for all users; a user may have: {}",
        keys.join(", ")
    );
    ConfigError::setting(&Origin::Key(key, place), problem)
}
