//! Where a value comes from.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use super::setting::{self, Setting};

/// Where a value was given. Flag, variable and key hold the key that was used, which may be an old
/// name of the setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// On the command line.
    Flag(&'static str),
    /// In the environment.
    Variable(&'static str),
    /// In a settings file.
    Key(&'static str, FileLocation),
    /// In a settings file, as a part of a setting: `egress.allow[3]`.
    Part(String, FileLocation),
    /// In the host's list of users, for [`Setting::User`].
    OsUser,
    /// Nowhere.
    Default,
}

/// A line of a settings file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileLocation {
    /// The file.
    pub path: Arc<Path>,
    /// From 1.
    pub line: usize,
}

impl Origin {
    /// Whether the setting was given under a name that it had in an older version.
    pub fn is_old_name_of(&self, setting: Setting) -> bool {
        match self {
            Self::Flag(key) | Self::Variable(key) | Self::Key(key, _) => *key != setting.key(),
            Self::Part(..) | Self::OsUser | Self::Default => false,
        }
    }
}

impl fmt::Display for FileLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {} of {:?}", self.line, self.path)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(key) => write!(f, "flag --{}", setting::flag(key)),
            Self::Variable(key) => write!(f, "variable {}", setting::variable(key)),
            Self::Key(key, place) => write!(f, "key {key} in {place}"),
            Self::Part(key, place) => write!(f, "key {key} in {place}"),
            Self::OsUser => write!(f, "name of the OS user (set {})", Setting::User.variable()),
            Self::Default => f.write_str("default"),
        }
    }
}
