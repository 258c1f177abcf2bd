//! Making a directory.

use casemate_protocol::{Failure, MakeDirectoryReply, MakeDirectoryRequest};
use rustix::fs::{Mode, mkdirat};
use rustix::io::Errno;

use super::path::RelativePath;
use super::walk::DIRECTORY_MODE;
use super::{Cancel, Workspace, failure};

impl Workspace {
    /// Makes the directory `path`, and those above it. `EXISTS` when anything has the name,
    /// also a link that leads nowhere.
    pub(crate) fn make_directory(
        &self,
        request: &MakeDirectoryRequest,
        cancel: &Cancel,
    ) -> Result<MakeDirectoryReply, Failure> {
        let path = RelativePath::parse(&request.path)?;
        if path.is_root() {
            return Err(failure(Errno::EXIST));
        }
        let (parent, name) = path.split_last();
        let parent = self.directory(parent, cancel)?;
        cancel.check()?;
        mkdirat(&parent, name, Mode::from_raw_mode(DIRECTORY_MODE)).map_err(failure)?;
        Ok(MakeDirectoryReply {})
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use casemate_protocol::failure::Code;

    use super::super::testing::{Sandbox, code, with_and_without_openat2};
    use super::*;

    fn make(sandbox: &Sandbox, path: &str) -> Result<(), Code> {
        let request = MakeDirectoryRequest {
            path: path.to_owned().into(),
            id: String::new(),
        };
        let made = sandbox
            .workspace
            .make_directory(&request, &Cancel::default());
        made.map(drop).map_err(code)
    }

    #[test]
    fn it_is_made_with_those_above_it_and_only_where_nothing_has_the_name() {
        with_and_without_openat2(|sandbox| {
            assert_eq!(make(sandbox, "a/b/c"), Ok(()));
            assert!(sandbox.at("a/b/c").is_dir());
            sandbox.file("file", "");
            sandbox.link("nowhere", "not-there");
            for taken in ["a", "a/b/c", "file", "nowhere", ""] {
                assert_eq!(make(sandbox, taken), Err(Code::Exists), "{taken}");
            }
            assert_eq!(make(sandbox, "file/a"), Err(Code::NotDirectory));
            assert!(!sandbox.at("not-there").exists());
        });
    }

    #[test]
    fn none_is_made_outside() {
        with_and_without_openat2(|sandbox| {
            sandbox.link("out", sandbox.outside(""));
            for path in ["out/a", "out/a/b", "../a", "/a"] {
                assert_eq!(make(sandbox, path), Err(Code::OutsideWorkspace), "{path}");
            }
            sandbox.dir("deep");
            sandbox.link("in", "deep");
            assert_eq!(make(sandbox, "in/a"), Ok(()));
            assert!(sandbox.at("deep/a").is_dir());
            assert_eq!(
                fs::read_dir(sandbox.outside("")).expect("listed").count(),
                1
            );
            sandbox.assert_outside_untouched();
        });
    }
}
