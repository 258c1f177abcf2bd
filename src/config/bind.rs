//! The directories of the host that bind mode uses. The text is checked with the other settings,
//! that the directory exists when a server starts, and whether it may be a workspace when it is
//! bound.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

use super::choices::Mode;
use super::error::ConfigError;
use super::layer::Layer;
use super::setting::Setting;
use super::value_error::ValueError;

/// Longest path, in bytes: the kernel's `PATH_MAX` without the NUL at its end.
pub const PATH_BYTES: usize = 4_095;

const HOST_DIR: ValueError = ValueError::Form(
    "a directory of the host is an absolute path without `..` and control characters, \
     not `/` itself, of 4095 bytes at most",
);

/// A directory of the host by name: absolute, not `/`, without `..`, `.` and control characters,
/// each part after one slash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostDir(PathBuf);

/// The source of the workspaces in bind mode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bind {
    /// `bind_root`: each user has a directory in this one.
    Root(HostDir),
    /// `bind_dir`: this directory, for the one user of a stdio server.
    Dir(HostDir),
}

impl HostDir {
    /// The path.
    pub fn as_path(&self) -> &Path {
        &self.0
    }
}

impl FromStr for HostDir {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let path = Path::new(text);
        let climbs = path.components().any(|part| part == Component::ParentDir);
        // A path can only be absolute and without a name as `/`, in one of its spellings.
        let named = path.is_absolute() && path.file_name().is_some();
        let plain = text.len() <= PATH_BYTES && !text.contains(|c: char| c.is_control());
        if named && plain && !climbs {
            Ok(Self(path.components().collect()))
        } else {
            Err(HOST_DIR)
        }
    }
}

impl Bind {
    /// The setting that gives it.
    pub(super) fn setting(&self) -> Setting {
        match self {
            Self::Root(_) => Setting::BindRoot,
            Self::Dir(_) => Setting::BindDir,
        }
    }

    /// The directory that was given.
    pub fn as_path(&self) -> &Path {
        let (Self::Root(dir) | Self::Dir(dir)) = self;
        dir.as_path()
    }

    /// Checks that it exists. Blocks.
    pub(super) fn check(&self) -> io::Result<()> {
        if fs::metadata(self.as_path())?.is_dir() {
            return Ok(());
        }
        Err(io::ErrorKind::NotADirectory.into())
    }

    /// The one directory that is given. `modes`: the layer of all users, and that of each user who
    /// has other settings.
    ///
    /// # Errors
    ///
    /// Both directories are given, or one although no user is in bind mode, or none although one
    /// is.
    pub(super) fn from_layers<'a>(
        all: &'a Layer,
        modes: impl Iterator<Item = &'a Layer>,
    ) -> Result<Option<Self>, ConfigError> {
        let root = all.optional(Setting::BindRoot)?.map(Self::Root);
        let dir = all.optional(Setting::BindDir)?.map(Self::Dir);
        let mut modes = modes.filter_map(|layer| layer.get(Setting::Mode));
        let binds = modes.find(|given| given.value == Mode::Bind.as_str());
        match (root, dir, binds) {
            (Some(_), Some(_), _) => {
                let root = all.origin(Setting::BindRoot);
                let problem = format!("bind_root is given too ({root}); only one of them may be");
                Err(ConfigError::setting(&all.origin(Setting::BindDir), problem))
            }
            (None, None, Some(mode)) => {
                let problem = "mode bind needs bind_root or bind_dir, a directory of the host";
                Err(ConfigError::setting(&mode.origin, problem))
            }
            (Some(bind), None, None) | (None, Some(bind), None) => {
                let problem = "no user is in mode bind; set the mode to bind, or leave this out";
                Err(ConfigError::setting(&all.origin(bind.setting()), problem))
            }
            (one, other, _) => Ok(one.or(other)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_directory_has_one_spelling() {
        for text in ["/srv/a", "/srv/a/", "//srv/./a/.", "/srv//a"] {
            let dir: HostDir = text.parse().unwrap();
            assert_eq!(dir.as_path().to_str(), Some("/srv/a"), "{text:?}");
        }
        assert!("/srv/..a/b c/é".parse::<HostDir>().is_ok());
    }

    #[test]
    fn what_is_relative_climbs_or_is_the_root_is_refused() {
        let long = format!("/{}", "a".repeat(PATH_BYTES));
        for text in [
            "", "a", "./a", "~", "/", "//", "/.", "/..", "/a/..", "/a/../b", "../a", "/a\0b",
            "/a\nb", &long,
        ] {
            assert_eq!(text.parse::<HostDir>(), Err(HOST_DIR), "{text:?}");
        }
        assert!(long[..PATH_BYTES].parse::<HostDir>().is_ok());
        assert!(HOST_DIR.to_string().contains(&PATH_BYTES.to_string()));
    }

    proptest! {
        #[test]
        fn what_is_taken_lies_below_the_root_and_stays_there(text in "/?([a.]{0,3}/{0,2}){0,4}") {
            if let Ok(dir) = text.parse::<HostDir>() {
                let mut parts = dir.as_path().components();
                prop_assert_eq!(parts.next(), Some(Component::RootDir));
                prop_assert!(parts.clone().count() > 0);
                prop_assert!(parts.all(|part| matches!(part, Component::Normal(_))));
                prop_assert_eq!(dir.as_path().to_str().unwrap().parse(), Ok(dir.clone()));
            }
        }
    }
}
