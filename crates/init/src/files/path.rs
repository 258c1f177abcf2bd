//! The paths of requests, checked.

use casemate_protocol::failure::Code;
use casemate_protocol::{Failure, FailureExt as _};

use super::{invalid, outside};

/// Longest path in a request, in bytes: what Linux takes (PATH_MAX).
const MAX_PATH: usize = 4096;

/// Longest name of one file, in bytes: what Linux has (NAME_MAX).
const MAX_NAME: usize = 255;

/// A checked path of a request: relative, without `.`, `..`, NUL and empty
/// components. Empty: the workspace itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct RelativePath<'a>(&'a [u8]);

impl<'a> RelativePath<'a> {
    /// The server has checked it already, but PID 1 does not rely on that.
    pub(super) fn parse(path: &'a (impl AsRef<[u8]> + ?Sized)) -> Result<Self, Failure> {
        let path = path.as_ref();
        if path.len() > MAX_PATH {
            return Err(Failure::new(Code::NameTooLong, "path over 4096 bytes"));
        }
        if path.starts_with(b"/") {
            return Err(outside("absolute path"));
        }
        let path = Self(path);
        path.components().try_for_each(check_name)?;
        Ok(path)
    }

    pub(super) fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    pub(super) fn is_root(self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn components(self) -> impl DoubleEndedIterator<Item = &'a [u8]> {
        let names = (!self.is_root()).then(|| self.0.split(|byte| *byte == b'/'));
        names.into_iter().flatten()
    }

    /// What the kernel takes for it.
    pub(super) fn for_kernel(self) -> &'a [u8] {
        if self.is_root() { b"." } else { self.0 }
    }

    /// The directory above, and the last name; the root has the name "".
    pub(super) fn split_last(self) -> (Self, &'a [u8]) {
        match self.0.iter().rposition(|byte| *byte == b'/') {
            Some(slash) => (Self(&self.0[..slash]), &self.0[slash + 1..]),
            None => (Self(b""), self.0),
        }
    }
}

/// Whether `name` can be the name of one thing in a directory.
pub(super) fn check_name(name: &[u8]) -> Result<(), Failure> {
    match name {
        b".." => Err(outside("`..` in the path")),
        b"" | b"." => Err(invalid("empty or `.` component in the path")),
        _ if name.len() > MAX_NAME => Err(Failure::new(Code::NameTooLong, "name over 255 bytes")),
        _ if name.contains(&0) || name.contains(&b'/') => Err(invalid("NUL or `/` in a name")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_are_not_relative_and_plain_are_refused() {
        let long = "d/".repeat(2047) + "dd";
        assert_eq!(long.len(), 4096);
        assert!(RelativePath::parse(&long).is_ok());
        assert!(RelativePath::parse("-rf/ö\n\u{202e}/...").is_ok());
        assert!(RelativePath::parse(b"caf\xe9/\xff").is_ok());
        let too_long = long + "d";
        let name = "n".repeat(256);
        for (path, code) in [
            ("/etc/passwd", Code::OutsideWorkspace),
            ("/workspace/../workspace-evil", Code::OutsideWorkspace),
            ("../../etc/passwd", Code::OutsideWorkspace),
            ("a/../b", Code::OutsideWorkspace),
            ("..", Code::OutsideWorkspace),
            ("a/", Code::Invalid),
            ("a//b", Code::Invalid),
            (".", Code::Invalid),
            ("a/./b", Code::Invalid),
            ("a\0b", Code::Invalid),
            (&too_long, Code::NameTooLong),
            (&name, Code::NameTooLong),
        ] {
            let refused = RelativePath::parse(path).expect_err(path);
            assert_eq!(refused.code(), code, "{path:?}");
        }
    }
}
