//! A path in the workspace.

use std::fmt;
use std::str::FromStr;

use casemate_protocol::WORKSPACE;

/// The kernel's limit on a path, in bytes (`PATH_MAX`, limits.h).
const MAX_PATH: usize = 4096;

/// The kernel's limit on one name, in bytes (`NAME_MAX`, limits.h).
const MAX_NAME: usize = 255;

/// A path that is beneath the workspace by its text: relative, without `.`,
/// `..` and empty names. What links on it do is decided where it is opened.
///
/// Parsed from a relative path, or from one that begins with `/workspace`.
/// `a/../b` means `b`, as it stands in the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkspacePath {
    relative: String,
    names_directory: bool,
}

/// Why a text is not a path in the workspace.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// Nothing.
    #[error("the path is empty; give one relative to {WORKSPACE}, for example notes.txt")]
    Empty,
    /// Absolute and elsewhere, or too many `..`.
    #[error("the path leads out of {WORKSPACE}; give one relative to it")]
    Outside,
    /// A NUL byte.
    #[error("the path contains a NUL character")]
    Nul,
    /// Above the kernel's limits.
    #[error("the path is too long: at most {MAX_PATH} bytes, and {MAX_NAME} bytes a name")]
    TooLong,
}

impl FromStr for WorkspacePath {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        if text.is_empty() {
            return Err(PathError::Empty);
        }
        if text.contains('\0') {
            return Err(PathError::Nul);
        }
        if text.len() > MAX_PATH {
            return Err(PathError::TooLong);
        }
        let beneath = match text.strip_prefix('/') {
            None => text,
            Some(_) => match text.strip_prefix(WORKSPACE) {
                Some(rest) if rest.is_empty() || rest.starts_with('/') => rest,
                _ => return Err(PathError::Outside),
            },
        };
        let mut names: Vec<&str> = Vec::new();
        for name in beneath.split('/') {
            match name {
                "" | "." => {}
                ".." => drop(names.pop().ok_or(PathError::Outside)?),
                name if name.len() > MAX_NAME => return Err(PathError::TooLong),
                name => names.push(name),
            }
        }
        let last = beneath.rsplit('/').next().unwrap_or_default();
        Ok(Self {
            relative: names.join("/"),
            names_directory: names.is_empty() || matches!(last, "" | "." | ".."),
        })
    }
}

impl WorkspacePath {
    /// Relative to the workspace; empty for the workspace itself.
    pub fn as_str(&self) -> &str {
        &self.relative
    }

    /// Whether the text can only mean a directory: it ends in `/`, `.` or `..`.
    pub fn names_directory(&self) -> bool {
        self.names_directory
    }
}

impl fmt::Display for WorkspacePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.relative.is_empty() {
            f.write_str(".")
        } else {
            f.write_str(&self.relative)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Result<String, PathError> {
        text.parse().map(|path: WorkspacePath| path.relative)
    }

    #[test]
    fn the_workspaces_own_name_may_stand_in_front() {
        for (text, relative) in [
            ("a/b.txt", "a/b.txt"),
            ("/workspace/a/b.txt", "a/b.txt"),
            ("./a//b.txt", "a/b.txt"),
            ("/workspace", ""),
            (".", ""),
            ("a/../b", "b"),
            ("-rf", "-rf"),
            ("...", "..."),
            (" ", " "),
        ] {
            assert_eq!(parse(text).as_deref(), Ok(relative), "{text:?}");
        }
    }

    #[test]
    fn what_is_not_beneath_the_workspace_is_refused() {
        for text in [
            "../../etc/passwd",
            "/etc/passwd",
            "/workspace/../workspace-evil",
            "/workspace-evil/a",
            "//workspace/a",
            "a/../../b",
            "..",
            "/",
        ] {
            assert_eq!(parse(text), Err(PathError::Outside), "{text:?}");
        }
        assert_eq!(parse(""), Err(PathError::Empty));
        assert_eq!(parse("a\0b"), Err(PathError::Nul));
        assert_eq!(parse(&"a/".repeat(2500)), Err(PathError::TooLong));
        assert_eq!(parse(&"a".repeat(256)), Err(PathError::TooLong));
    }

    #[test]
    fn a_trailing_slash_means_a_directory() {
        let names_directory =
            |text: &str| text.parse::<WorkspacePath>().map(|p| p.names_directory());
        assert_eq!(names_directory("a/"), Ok(true));
        assert_eq!(names_directory("a/."), Ok(true));
        assert_eq!(names_directory("a/b/.."), Ok(true));
        assert_eq!(names_directory("."), Ok(true));
        assert_eq!(names_directory("a"), Ok(false));
    }

    proptest! {
        #[test]
        fn no_text_gets_past_the_workspace(text in "(/workspace)?[a./]{0,30}") {
            if let Ok(relative) = parse(&text) {
                prop_assert!(!relative.starts_with('/'));
                let plain = |name: &str| !matches!(name, "" | "." | "..");
                prop_assert!(relative.is_empty() || relative.split('/').all(plain));
            }
        }

        #[test]
        fn a_parsed_path_parses_to_itself(text in "(/workspace)?[a./]{1,30}") {
            if let Ok(path) = text.parse::<WorkspacePath>() {
                prop_assert_eq!(parse(&path.to_string()), Ok(path.relative));
            }
        }
    }
}
