//! A path in the workspace.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use casemate_protocol::WORKSPACE;

use super::shown;

/// The kernel's limit on a path, in bytes (`PATH_MAX`, limits.h).
const MAX_PATH: usize = 4096;

/// The kernel's limit on one name, in bytes (`NAME_MAX`, limits.h).
const MAX_NAME: usize = 255;

/// A path that is beneath the workspace by its text: relative, without `.`,
/// `..` and empty names. Links are resolved when it is opened.
///
/// Parsed from a relative path, or from one that begins with `/workspace`. `a/../b` means `b`, by
/// the text alone. Its names are any bytes; [`shown`] turns them into text and back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkspacePath {
    relative: Bytes,
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
        Self::of_bytes(&shown::bytes(text))
    }
}

impl WorkspacePath {
    /// The path of exactly these bytes.
    ///
    /// # Errors
    /// They are not a path in the workspace.
    pub fn of_bytes(path: &[u8]) -> Result<Self, PathError> {
        check_bytes(path)?;
        let beneath = match path.strip_prefix(b"/") {
            None => path,
            Some(_) => match path.strip_prefix(WORKSPACE.as_bytes()) {
                Some(rest) if rest.is_empty() || rest.starts_with(b"/") => rest,
                _ => return Err(PathError::Outside),
            },
        };
        let (relative, is_vague) = plain(beneath)?;
        Ok(Self {
            names_directory: relative.is_empty() || is_vague,
            relative: relative.into(),
        })
    }

    /// The entry of this name in the directory at the path.
    ///
    /// # Errors
    /// It is too long, or not a name.
    pub fn below(&self, name: &str) -> Result<Self, PathError> {
        if self.relative.is_empty() {
            return Self::of_bytes(name.as_bytes());
        }
        Self::of_bytes(&[&self.relative, &b"/"[..], name.as_bytes()].concat())
    }

    /// Relative to the workspace; empty for the workspace itself.
    pub fn as_bytes(&self) -> &[u8] {
        &self.relative
    }

    /// As [`Self::as_bytes`], for a request.
    pub fn to_bytes(&self) -> Bytes {
        self.relative.clone()
    }

    /// Whether the text can only mean a directory: it ends in `/`, `.` or `..`.
    pub fn names_directory(&self) -> bool {
        self.names_directory
    }
}

pub(super) fn check_bytes(path: &[u8]) -> Result<(), PathError> {
    if path.is_empty() {
        return Err(PathError::Empty);
    }
    if path.contains(&0) {
        return Err(PathError::Nul);
    }
    match path.len() > MAX_PATH {
        true => Err(PathError::TooLong),
        false => Ok(()),
    }
}

/// The path without `.`, `..` and empty names, by the text alone; and whether it can only mean a
/// directory.
pub(super) fn plain(path: &[u8]) -> Result<(Vec<u8>, bool), PathError> {
    let mut names: Vec<&[u8]> = Vec::new();
    for name in path.split(|byte| *byte == b'/') {
        match name {
            b"" | b"." => {}
            b".." => drop(names.pop().ok_or(PathError::Outside)?),
            name if name.len() > MAX_NAME => return Err(PathError::TooLong),
            name => names.push(name),
        }
    }
    let last = path.rsplit(|byte| *byte == b'/').next();
    let is_vague = matches!(last.unwrap_or_default(), b"" | b"." | b"..");
    Ok((names.join(&b'/'), is_vague))
}

impl fmt::Display for WorkspacePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.relative.is_empty() {
            f.write_str(".")
        } else {
            f.write_str(&shown::exact(&self.relative))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Result<String, PathError> {
        let path: WorkspacePath = text.parse()?;
        Ok(String::from_utf8_lossy(path.as_bytes()).into_owned())
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
    fn a_name_of_any_bytes_is_given_as_it_is_shown() {
        let path = WorkspacePath::of_bytes(b"dir/caf\xe9").expect("a path");
        assert_eq!(path.to_string(), r"$'dir/caf\xe9'");
        assert_eq!(path.to_string().parse().as_ref(), Ok(&path));
        let text: WorkspacePath = r"dir/caf\xe9".parse().expect("a path");
        assert_eq!(text.as_bytes(), br"dir/caf\xe9");
        assert_ne!(text, path);
        assert_eq!(
            r"$'..\x2f..'".parse::<WorkspacePath>(),
            Err(PathError::Outside)
        );
        assert_eq!(r"$'a\x00'".parse::<WorkspacePath>(), Err(PathError::Nul));
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
                let again: Result<WorkspacePath, _> = path.to_string().parse();
                prop_assert_eq!(again.map(|again| again.relative), Ok(path.relative));
            }
        }
    }
}
