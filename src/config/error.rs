//! What can be wrong with the settings. Every message names the place to correct.

use std::fmt;
use std::io;
use std::path::PathBuf;

use thiserror::Error;

use super::origin::{FileLocation, Origin};
use super::value_error::ValueError;

/// Characters of a value that an error repeats: enough to recognise it.
const EXCERPT_CHARS: usize = 64;

/// Why there is no configuration.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// A variable that begins with our prefix, or a key of the file, is not a setting.
    #[error("unknown {name}; the nearest known one is {nearest}")]
    Unknown {
        /// What it is, as given, and where.
        name: String,
        /// The most similar known name.
        nearest: String,
    },
    /// A value is not what its setting takes.
    #[error("{origin}: {value} is not allowed: {reason}")]
    BadValue {
        /// Where it was given.
        origin: Origin,
        /// As given.
        value: Excerpt,
        /// What the setting takes. Part of the message, so not a `source`.
        reason: Box<ValueError>,
    },
    /// A setting is used in a way, or beside others, that is not allowed.
    #[error("{origin}: {problem}")]
    Setting {
        /// Where it was given.
        origin: Origin,
        /// The problem, as a sentence.
        problem: String,
    },
    /// The file cannot be read.
    #[error("cannot read the settings file {path:?}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The kernel's error.
        source: io::Error,
    },
    /// A part of the file is not TOML, or not the table that it should be.
    #[error("{place}: {problem}")]
    File {
        /// The line.
        place: FileLocation,
        /// The problem, as a sentence.
        problem: String,
    },
}

impl ConfigError {
    /// A setting that was given here is used in a way that is not allowed.
    pub fn setting(origin: &Origin, problem: impl Into<String>) -> Self {
        Self::Setting {
            origin: origin.clone(),
            problem: problem.into(),
        }
    }

    /// This part of the file is not what it should be.
    pub fn file(place: &FileLocation, problem: impl Into<String>) -> Self {
        Self::File {
            place: place.clone(),
            problem: problem.into(),
        }
    }
}

/// Characters of a key or of another's message that an error repeats: both may have a value in them.
const MESSAGE_CHARS: usize = 200;

/// The beginning of a text that may be long.
pub(super) fn shortened(text: &str) -> String {
    match text.char_indices().nth(MESSAGE_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// A value as an error shows it: quoted, escaped, its first 64 characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt(String);

impl Excerpt {
    /// Shortens `value` where necessary.
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
