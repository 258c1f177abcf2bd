//! Where a value comes from.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use super::setting::Setting;

/// Where a value was given: for the error about it, and for whoever asks why it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// On the command line.
    Flag(Setting),
    /// In the environment.
    Variable(Setting),
    /// Under this key in a settings file.
    Key(&'static str, FileLocation),
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

impl fmt::Display for FileLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {} of {:?}", self.line, self.path)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(setting) => write!(f, "flag --{}", setting.flag()),
            Self::Variable(setting) => write!(f, "variable {}", setting.variable()),
            Self::Key(key, place) => write!(f, "key {key} in {place}"),
            Self::OsUser => write!(f, "name of the OS user (set {})", Setting::User.variable()),
            Self::Default => f.write_str("default"),
        }
    }
}
