//! A path that a call may read: in the workspace, or in shared data.

use std::fmt;

use bytes::Bytes;

use super::path::{PathError, WorkspacePath, check_bytes, plain};
use super::shown;

/// A path in the workspace, or one that is by its text beneath shared data: absolute, without `.`,
/// `..` and empty names. Only calls that read take it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadPath {
    path: Bytes,
    names_directory: bool,
}

impl ReadPath {
    /// `shared`: the paths of the shared data that the user is given.
    ///
    /// # Errors
    /// It is neither in the workspace nor in one of these.
    pub fn parse<'a>(
        text: &str,
        mut shared: impl Iterator<Item = &'a str>,
    ) -> Result<Self, PathError> {
        let bytes = shown::bytes(text);
        let refused = match WorkspacePath::of_bytes(&bytes) {
            Ok(path) => return Ok(path.into()),
            Err(refused) => refused,
        };
        if refused != PathError::Outside || !bytes.starts_with(b"/") {
            return Err(refused);
        }
        check_bytes(&bytes)?;
        let (names, is_vague) = plain(&bytes)?;
        let path = [&b"/"[..], &names].concat();
        let is_below = |top: &str| {
            let rest = path.strip_prefix(top.as_bytes());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
        };
        match shared.any(is_below) {
            true => Ok(Self {
                path: path.into(),
                names_directory: is_vague,
            }),
            false => Err(refused),
        }
    }

    /// Whether it is in shared data.
    pub fn is_shared(&self) -> bool {
        self.path.starts_with(b"/")
    }

    /// Relative to the workspace, or absolute.
    pub fn as_bytes(&self) -> &[u8] {
        &self.path
    }

    /// As [`Self::as_bytes`], for a request.
    pub fn to_bytes(&self) -> Bytes {
        self.path.clone()
    }

    /// Whether the text can only mean a directory.
    pub fn names_directory(&self) -> bool {
        self.names_directory
    }
}

impl From<WorkspacePath> for ReadPath {
    fn from(path: WorkspacePath) -> Self {
        Self {
            path: path.to_bytes(),
            names_directory: path.names_directory(),
        }
    }
}

impl fmt::Display for ReadPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.is_empty() {
            true => f.write_str("."),
            false => f.write_str(&shown::exact(&self.path)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHARED: [&str; 2] = ["/shared/datasets", "/opt/models"];

    fn parse(text: &str) -> Result<String, PathError> {
        ReadPath::parse(text, SHARED.into_iter()).map(|path| path.to_string())
    }

    #[test]
    fn a_path_in_the_workspace_is_relative_and_one_in_shared_data_absolute() {
        for (text, expected) in [
            ("a/b", "a/b"),
            ("/workspace/a", "a"),
            (".", "."),
            ("/shared/datasets", "/shared/datasets"),
            ("/shared/datasets/", "/shared/datasets"),
            ("//shared/./datasets//a/../b.csv", "/shared/datasets/b.csv"),
            ("/workspace/../shared/datasets/a", "/shared/datasets/a"),
            ("/opt/models/x", "/opt/models/x"),
        ] {
            assert_eq!(parse(text).as_deref(), Ok(expected), "{text}");
        }
        let shared = ReadPath::parse("/opt/models/", SHARED.into_iter()).expect("a path");
        assert!(shared.is_shared() && shared.names_directory());
        let own = ReadPath::parse("opt/models", SHARED.into_iter()).expect("a path");
        assert!(!own.is_shared() && !own.names_directory());
    }

    #[test]
    fn what_is_in_neither_leads_out() {
        for text in [
            "/shared",
            "/shared/datasets2/a",
            "/shared/datasets/../../etc/passwd",
            "/shared/datasets/..",
            "/etc/passwd",
            "../shared/datasets/a",
            "/",
        ] {
            assert_eq!(parse(text), Err(PathError::Outside), "{text}");
        }
        assert_eq!(parse(""), Err(PathError::Empty));
        assert_eq!(parse("/shared/datasets/a\0"), Err(PathError::Nul));
        assert_eq!(
            ReadPath::parse("/shared/datasets/a", std::iter::empty()),
            Err(PathError::Outside)
        );
    }
}
