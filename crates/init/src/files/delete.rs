//! Removing a file, or a tree of any depth and size.
//!
//! Invariants:
//! - What is removed is what has the name: never what a link leads to.
//! - Every directory is opened by one name from the one above, no link is followed: so
//!   it stays beneath.
//! - [`OPEN_DIRECTORY_LIMIT`] directories are open at most: one that is deeper is moved to the top
//!   of what is being removed, and goes from there.

use std::os::fd::OwnedFd;

use casemate_protocol::{DeleteReply, DeleteRequest, Failure};
use rustix::fs::{AtFlags, Mode, OFlags, RawDir, SeekFrom, openat, renameat, seek, unlinkat};
use rustix::io::Errno;

use super::archive::named;
use super::path::RelativePath;
use super::temporary::random_name;
use super::{Cancel, Workspace, failure, invalid};

/// Directories of one removal that are open at a time.
const OPEN_DIRECTORY_LIMIT: usize = 64;

/// Names of a directory that are held at a time: 64 KiB of them at most.
const HELD_NAMES_LIMIT: usize = 256;

/// Buffer for what one getdents64 answers.
const BUFFER: usize = 8 * 1024;

const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

impl Workspace {
    /// Removes the file or directory `path`. `IS_DIRECTORY` for a directory without
    /// `recursive`. Entries that were removed before a failure are gone.
    pub(crate) fn delete(
        &self,
        request: &DeleteRequest,
        cancel: &Cancel,
    ) -> Result<DeleteReply, Failure> {
        let path = RelativePath::parse(&request.path)?;
        if path.is_root() {
            return Err(invalid("the workspace itself cannot be removed"));
        }
        let (parent, name) = path.split_last();
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        let parent = self.open_beneath(parent, flags, cancel)?;
        match unlinkat(&parent, name, AtFlags::empty()) {
            Ok(()) => {}
            Err(Errno::ISDIR) if request.recursive => {
                Removal::begin(&parent, name, cancel)?.run()?;
            }
            Err(errno) => return Err(failure(errno)),
        }
        Ok(DeleteReply {})
    }
}

/// A directory that is being emptied.
struct DeleteLevel {
    dir: OwnedFd,
    /// In the directory above.
    name: Vec<u8>,
    /// Some of what is in it.
    names: Vec<Vec<u8>>,
}

struct Removal<'a> {
    parent: &'a OwnedFd,
    /// From the top of the tree to the directory that is being emptied; never empty
    /// before the end.
    levels: Vec<DeleteLevel>,
    cancel: &'a Cancel,
}

impl<'a> Removal<'a> {
    fn begin(parent: &'a OwnedFd, name: &[u8], cancel: &'a Cancel) -> Result<Self, Failure> {
        let dir = openat(parent, name, DIRECTORY, Mode::empty()).map_err(failure)?;
        let mut removal = Self {
            parent,
            levels: Vec::new(),
            cancel,
        };
        removal.push(dir, name.to_vec());
        Ok(removal)
    }

    fn push(&mut self, dir: OwnedFd, name: Vec<u8>) {
        let names = Vec::new();
        self.levels.push(DeleteLevel { dir, name, names });
    }

    fn run(mut self) -> Result<(), Failure> {
        while let Some(level) = self.levels.last_mut() {
            self.cancel.check()?;
            if let Some(name) = level.names.pop() {
                let removed = self.remove(&name);
                removed.map_err(|errno| self.failed(&name, errno))?;
                continue;
            }
            level.names = some_names(&level.dir).map_err(failure)?;
            if level.names.is_empty() {
                self.leave()?;
            }
        }
        Ok(())
    }

    fn remove(&mut self, name: &[u8]) -> rustix::io::Result<()> {
        let (Some(top), Some(level)) = (self.levels.first(), self.levels.last()) else {
            return Ok(());
        };
        match unlinkat(&level.dir, name, AtFlags::empty()) {
            Err(Errno::ISDIR) => {}
            Err(Errno::NOENT) => return Ok(()),
            removed => return removed,
        }
        if self.levels.len() >= OPEN_DIRECTORY_LIMIT {
            let parked = random_name().map_err(|_| Errno::IO)?;
            return renameat(&level.dir, name, &top.dir, parked);
        }
        match openat(&level.dir, name, DIRECTORY, Mode::empty()) {
            // Gone, or something else by now: then it is among the next names.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
            opened => self.push(opened?, name.to_vec()),
        }
        Ok(())
    }

    /// The innermost directory is empty, unless user code put something into it just
    /// now: then it goes on.
    fn leave(&mut self) -> Result<(), Failure> {
        let Some(level) = self.levels.last() else {
            return Ok(());
        };
        let above = match self.levels.len() {
            1 => self.parent,
            depth => &self.levels[depth - 2].dir,
        };
        match unlinkat(above, &level.name, AtFlags::REMOVEDIR) {
            Err(Errno::NOTEMPTY | Errno::EXIST) => return Ok(()),
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => {
                let name = level.name.clone();
                self.levels.pop();
                return Err(self.failed(&name, errno));
            }
        }
        self.levels.pop();
        Ok(())
    }

    /// The first name is that of the request itself.
    fn failed(&self, name: &[u8], errno: Errno) -> Failure {
        let above = self.levels.iter().map(|level| &level.name[..]);
        let path: Vec<&[u8]> = above.chain([name]).skip(1).collect();
        named(&path.join(&b'/'), failure(errno))
    }
}

/// The first of what is in a directory.
fn some_names(dir: &OwnedFd) -> rustix::io::Result<Vec<Vec<u8>>> {
    seek(dir, SeekFrom::Start(0))?;
    let mut buffer = Vec::with_capacity(BUFFER);
    let mut entries = RawDir::new(dir, buffer.spare_capacity_mut());
    let mut names = Vec::new();
    while let Some(entry) = entries.next() {
        let name = entry?.file_name().to_bytes().to_vec();
        if !matches!(&name[..], b"." | b"..") {
            names.push(name);
        }
        if names.len() == HELD_NAMES_LIMIT {
            break;
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use casemate_protocol::FailureExt as _;
    use casemate_protocol::failure::Code;

    use super::super::testing::{Sandbox, code, with_and_without_openat2, without_privilege};
    use super::*;

    fn delete(sandbox: &Sandbox, path: &str, recursive: bool) -> Result<(), Failure> {
        let request = DeleteRequest {
            path: path.to_owned().into(),
            recursive,
            id: String::new(),
        };
        let reply = sandbox.workspace.delete(&request, &Cancel::default());
        reply.map(drop)
    }

    #[test]
    fn a_link_is_removed_and_not_what_it_leads_to() {
        with_and_without_openat2(|sandbox| {
            sandbox.file("kept/file", "");
            sandbox.link("file", "kept/file");
            sandbox.link("dir", "kept");
            sandbox.link("out", sandbox.outside(""));
            for path in ["file", "dir", "out"] {
                assert_eq!(delete(sandbox, path, true), Ok(()), "{path}");
                assert!(fs::symlink_metadata(sandbox.at(path)).is_err(), "{path}");
            }
            assert!(sandbox.at("kept/file").exists());
            sandbox.link("out", sandbox.outside(""));
            let through = delete(sandbox, "out/secret", true).map_err(code);
            assert_eq!(through, Err(Code::OutsideWorkspace));
            sandbox.assert_outside_untouched();
        });
    }

    #[test]
    fn a_tree_goes_with_all_that_is_in_it_and_only_when_that_is_asked_for() {
        let sandbox = Sandbox::new(true);
        for number in 0..3 * HELD_NAMES_LIMIT {
            sandbox.file(&format!("tree/many/{number}"), "");
        }
        sandbox.link("tree/out", sandbox.outside(""));
        sandbox.link("tree/many/loop", "..");
        sandbox.file("beside", "");
        let refused = delete(&sandbox, "tree", false).map_err(code);
        assert_eq!(refused, Err(Code::IsDirectory));
        assert_eq!(delete(&sandbox, "tree", true), Ok(()));
        assert_eq!(fs::read_dir(sandbox.at("")).expect("listed").count(), 1);
        sandbox.assert_outside_untouched();
        let again = delete(&sandbox, "tree", true).map_err(code);
        assert_eq!(again, Err(Code::NotFound));
        assert_eq!(delete(&sandbox, "", true).map_err(code), Err(Code::Invalid));
    }

    #[test]
    fn a_tree_deeper_than_any_path_goes_with_few_descriptors() {
        let sandbox = Sandbox::new(true);
        sandbox.dir("tree");
        let mut dir = fs::File::open(sandbox.at("tree"))
            .map(OwnedFd::from)
            .expect("top");
        for _ in 0..5_000 {
            rustix::fs::mkdirat(&dir, "d", Mode::RWXU).expect("made");
            dir = openat(&dir, "d", DIRECTORY, Mode::empty()).expect("opened");
        }
        assert_eq!(delete(&sandbox, "tree", true), Ok(()));
        assert!(!sandbox.at("tree").exists());
    }

    #[test]
    fn what_cannot_be_removed_is_named() {
        let sandbox = Sandbox::new(true);
        sandbox.file("tree/shut/file", "");
        let owner = std::os::unix::fs::chown(sandbox.at("tree"), Some(1000), Some(1000));
        if owner.is_err() {
            // Not root: the directory is the test's own.
            rustix::fs::chmod(sandbox.at("tree/shut"), Mode::RUSR | Mode::XUSR).expect("shut");
        }
        rustix::fs::chmod(sandbox.at(""), Mode::from_raw_mode(0o777)).expect("open");
        without_privilege(|| {
            let failed = delete(&sandbox, "tree", true).expect_err("shut");
            assert_eq!(failed.code(), Code::PermissionDenied);
            assert!(
                failed.text().starts_with("shut/file: "),
                "{}",
                failed.text()
            );
        });
    }
}
