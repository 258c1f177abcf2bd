//! Data that sandboxes read and do not own: the `[[shared]]` tables, and their names in the settings
//! of everybody, groups and users.
//!
//! Invariants:
//!
//! - No path is the workspace, a directory of the system, or in one of them, and no share is within
//!   another.
//! - Every name that a user is given has a table.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::error::{ConfigError, Excerpt};
use super::layer::{Layer, RawShared};
use super::nearest::nearest;
use super::origin::FileLocation;
use super::setting::Setting;
use super::value_error::ValueError;

/// Longest name, in characters: it is part of volumes' names.
pub const SHARED_NAME_CHARS: usize = 32;

/// Longest path, in bytes.
const PATH_BYTES: usize = 255;

/// Directories in which no share may be: those of the system (Filesystem Hierarchy Standard 3.0,
/// section 3), of the kernel and of Casemate. The image's programs are there, or files that the
/// sandbox's own mounts cover.
const RESERVED: [&str; 19] = [
    "/bin",
    "/boot",
    "/casemate-init",
    "/dev",
    "/etc",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/lost+found",
    "/proc",
    "/root",
    "/run",
    "/sbin",
    "/sys",
    "/tmp",
    "/usr",
    "/var",
    casemate_protocol::WORKSPACE,
];

/// The name of a share: `[a-z0-9][a-z0-9_-]{0,31}`. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SharedName(Arc<str>);

/// Where a share is in sandboxes: absolute, without `.`, `..` and empty names. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SharedPath(Arc<str>);

/// One `[[shared]]` table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedData {
    /// Its name.
    pub name: SharedName,
    /// Where it is in sandboxes.
    pub path: SharedPath,
    /// Where its table begins.
    pub place: FileLocation,
}

/// All shares, in the order of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SharedConfig(Vec<SharedData>);

impl SharedConfig {
    /// # Errors
    ///
    /// A name or a path that is not allowed, or that two tables have.
    pub(super) fn from_raw(raw: &[RawShared]) -> Result<Self, ConfigError> {
        let mut all: Vec<SharedData> = Vec::new();
        for table in raw {
            let name: SharedName = table.name.parse(str::parse)?;
            let path: SharedPath = table.path.parse(str::parse)?;
            if let Some(other) = all.iter().find(|other| other.name == name) {
                let line = other.place.line;
                let problem = format!("{name} has a [[shared]] table already, in line {line}");
                return Err(ConfigError::file(&table.place, problem));
            }
            if let Some(other) = all.iter().find(|other| other.path.overlaps(&path)) {
                let problem = format!(
                    "{path} is, holds or is within {}, the path of {}: no share may be in another",
                    other.path, other.name
                );
                return Err(ConfigError::setting(&table.path.origin, problem));
            }
            all.push(SharedData {
                name,
                path,
                place: table.place.clone(),
            });
        }
        Ok(Self(all))
    }

    /// Checks that every name that a layer gives has a table.
    ///
    /// # Errors
    ///
    /// The first that has none.
    pub(super) fn check<'a>(
        &self,
        layers: impl Iterator<Item = &'a Layer>,
    ) -> Result<(), ConfigError> {
        for layer in layers {
            let Some(given) = layer.get(Setting::SharedData) else {
                continue;
            };
            let names = given.parse(names)?;
            if let Some(unknown) = names.iter().find(|name| self.get(name).is_none()) {
                return Err(ConfigError::setting(&given.origin, self.unknown(unknown)));
            }
        }
        Ok(())
    }

    /// Why a name is not one of these.
    pub fn unknown(&self, name: &SharedName) -> String {
        let shown = Excerpt::of(name.as_str());
        match self.0.is_empty() {
            true => format!("{shown} has no [[shared]] table in the settings file, which has none"),
            false => {
                let known = self.0.iter().map(|data| data.name.as_str());
                let nearest = nearest(name.as_str(), known);
                format!("{shown} has no [[shared]] table; the nearest that has one is {nearest}")
            }
        }
    }

    /// The share of this name.
    pub fn get(&self, name: &SharedName) -> Option<&SharedData> {
        self.0.iter().find(|data| data.name == *name)
    }

    /// The shares in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = &SharedData> {
        self.0.iter()
    }

    /// Those of these names, in the order of the file.
    pub fn given<'a>(
        &'a self,
        names: &'a BTreeSet<SharedName>,
    ) -> impl Iterator<Item = &'a SharedData> {
        self.0.iter().filter(|data| names.contains(&data.name))
    }
}

/// Names with commas between them; empty: none.
pub(super) fn names(text: &str) -> Result<BTreeSet<SharedName>, ValueError> {
    if text.is_empty() {
        return Ok(BTreeSet::new());
    }
    text.split(',').map(|name| name.trim().parse()).collect()
}

impl SharedName {
    /// The text, as in the settings and in labels.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl SharedPath {
    /// The text, as in the settings.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What `path` is called within the share; `None`: it is not in it.
    pub fn strip<'a>(&self, path: &'a str) -> Option<&'a str> {
        let rest = path.strip_prefix(&*self.0)?;
        match rest.strip_prefix('/') {
            Some(rest) => Some(rest),
            None => rest.is_empty().then_some(rest),
        }
    }

    fn overlaps(&self, other: &Self) -> bool {
        self.strip(&other.0).is_some() || other.strip(&self.0).is_some()
    }
}

impl FromStr for SharedName {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let inner = |b: u8| plain(b) || b"_-".contains(&b);
        let starts_well = text.bytes().next().is_some_and(plain);
        match starts_well && text.len() <= SHARED_NAME_CHARS && text.bytes().all(inner) {
            true => Ok(Self(text.into())),
            false => Err(ValueError::Form(
                "the name of shared data has 1 to 32 of the characters a-z, 0-9, `_` and `-`, and \
                 begins with a letter or digit",
            )),
        }
    }
}

impl FromStr for SharedPath {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let inner = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
        let is_name = |name: &str| !matches!(name, "" | "." | "..") && name.bytes().all(inner);
        let names = text.strip_prefix('/');
        let names = names.filter(|names| text.len() <= PATH_BYTES && names.split('/').all(is_name));
        if names.is_none() {
            return Err(ValueError::Form(
                "an absolute path of at most 255 bytes, of letters, digits, `.`, `_` and `-`, \
                 without `.` and `..` as names and without a slash at its end, such as /shared/NAME",
            ));
        }
        let path = Self(text.into());
        let is_in = |reserved: &str| Self(reserved.into()).strip(text).is_some();
        match RESERVED.into_iter().any(is_in) {
            false => Ok(path),
            true => Err(ValueError::Form(
                "no shared data may be in the workspace or in a directory of the system, such as \
                 /usr, /etc, /proc or /tmp; use a path such as /shared/NAME",
            )),
        }
    }
}

impl fmt::Display for SharedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for SharedPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
