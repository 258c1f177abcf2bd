//! Which directory of the host a workspace is in bind mode. What the text itself says is judged with
//! the other settings; that there is a directory, when a server starts; whether it may be a workspace,
//! when it is bound.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

use super::error::{ConfigError, ValueError};
use super::raw::Layer;
use super::setting::Setting;

/// Longest path, in bytes: the kernel's `PATH_MAX` without the NUL at its end.
pub const PATH_BYTES: usize = 4_095;

/// A directory of the host by name: absolute, not `/`, without `..`, `.` and control characters, each
/// part after one slash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostDir(PathBuf);

/// What is bound in bind mode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bind {
    /// `bind_root`: a directory of each user's own in this one.
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
            Err(ValueError::HostDir)
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

    /// Looks whether it is there. Blocks.
    pub(super) fn check(&self) -> io::Result<()> {
        if fs::metadata(self.as_path())?.is_dir() {
            return Ok(());
        }
        Err(io::ErrorKind::NotADirectory.into())
    }

    /// The one directory that is given. `modes`: what is given for everybody, and for each user who
    /// has a mode of their own.
    ///
    /// # Errors
    ///
    /// Both are given, or one and nobody is in bind mode, or none and somebody is.
    pub(super) fn from_layers<'a>(
        all: &'a Layer,
        modes: impl Iterator<Item = &'a Layer>,
    ) -> Result<Option<Self>, ConfigError> {
        let directory = |setting| all.optional::<HostDir>(setting);
        let root = directory(Setting::BindRoot)?.map(|(root, origin)| (Self::Root(root), origin));
        let dir = directory(Setting::BindDir)?.map(|(dir, origin)| (Self::Dir(dir), origin));
        let mut modes = modes.filter_map(|layer| layer.get(Setting::Mode));
        let binds = modes.find(|given| given.value == super::Mode::Bind.as_str());
        match (root, dir, binds) {
            (Some((_, root)), Some((_, dir)), _) => Err(ConfigError::RootAndDir {
                root: root.clone(),
                dir: dir.clone(),
            }),
            (None, None, Some(mode)) => Err(ConfigError::NothingToBind(mode.origin.clone())),
            (Some((_, origin)), None, None) | (None, Some((_, origin)), None) => {
                Err(ConfigError::NobodyBinds(origin.clone()))
            }
            (one, other, _) => Ok(one.or(other).map(|(bind, _)| bind)),
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
            assert_eq!(
                text.parse::<HostDir>(),
                Err(ValueError::HostDir),
                "{text:?}"
            );
        }
        assert!(long[..PATH_BYTES].parse::<HostDir>().is_ok());
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
