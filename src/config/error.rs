//! What can be wrong with the settings. Every message names the place, so that it can be corrected
//! without looking for it.

use std::fmt;
use std::io;
use std::path::PathBuf;

use thiserror::Error;

use super::setting::Origin;
use crate::identity::IdentityError;

/// Characters of a value that an error repeats: enough to recognise it.
const EXCERPT_CHARS: usize = 64;

/// Why there is no configuration.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// A variable begins like ours and is none.
    #[error("unknown variable {name}; the nearest known one is {nearest}")]
    UnknownVariable {
        /// As given.
        name: Excerpt,
        /// The known one most like it.
        nearest: String,
    },
    /// A key of the file is not a setting.
    #[error("unknown key {key} in {path:?}; the nearest known one is {nearest}")]
    UnknownKey {
        /// As given.
        key: Excerpt,
        /// The file.
        path: PathBuf,
        /// The known one most like it.
        nearest: String,
    },
    /// A value is bytes that are no text.
    #[error("{0}: the value is not valid UTF-8")]
    NotUtf8(Origin),
    /// A key holds a table, an array or a date.
    #[error("{origin}: expected text, a number or true or false, found {found}")]
    WrongType {
        /// Where it was given.
        origin: Origin,
        /// TOML's word for what is there.
        found: &'static str,
    },
    /// A value is not what its setting takes.
    #[error("{origin}: {value} is not allowed: {reason}")]
    BadValue {
        /// Where it was given.
        origin: Origin,
        /// As given.
        value: Excerpt,
        /// What the setting takes. Part of the message, so not a `source` of it.
        reason: ValueError,
    },
    /// The file cannot be read.
    #[error("cannot read the settings file {path:?}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The file is not TOML.
    #[error("line {line} of {path:?}: {message}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// What the parser said.
        message: String,
    },
}

/// Why a value is not what its setting takes.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum ValueError {
    /// Outside its bounds.
    #[error("it goes from {least} to {most}")]
    OutOfBounds {
        /// In the setting's own unit.
        least: String,
        /// In the setting's own unit.
        most: String,
    },
    /// Not a size.
    #[error("a size is a whole number of b, k, m, g or t (powers of 1024), such as 512m")]
    Size,
    /// Not a number of CPUs.
    #[error("a number of CPUs has at most 9 decimals, such as 1.5")]
    Cpus,
    /// Not a number.
    #[error("a whole number is needed")]
    Number,
    /// Not a duration.
    #[error("a duration has a unit, such as 90s or 15m: {0}")]
    Duration(#[from] humantime::DurationError),
    /// Not one of a few words.
    #[error("it is one of: {0}")]
    Choice(&'static str),
    /// A mode that this version does not have.
    #[error("this mode is not there yet; `persistent` is")]
    ModeNotYet,
    /// Not an image.
    #[error("an image is named like `registry/name:tag`, in 255 characters at most")]
    Image,
    /// Not a filter of log lines.
    #[error("a log filter is a level such as `info`, or `target=level` with commas: {0}")]
    Log(String),
    /// Not a user or an instance.
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

/// A value as an error shows it: quoted, escaped, its first 64 characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt(String);

impl Excerpt {
    /// Of this value.
    pub fn of(value: &str) -> Self {
        match value.char_indices().nth(EXCERPT_CHARS) {
            Some((end, _)) => Self(format!("{:?}…", &value[..end])),
            None => Self(format!("{value:?}")),
        }
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
