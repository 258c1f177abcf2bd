//! Giving what has one name another.
//!
//! Invariants:
//! - What is moved is what has the name: a link itself, never what it leads to.
//! - Both directories are resolved beneath the workspace, and one rename does the rest: what is
//!   moved is at one of the two names at any time, whole.
//! - Without `overwrite` nothing is replaced, also not what came a moment before
//!   ([`rename_new`]). A file that may not be written is never replaced
//!   ([`mod@super::replaced`]).

use std::os::fd::OwnedFd;

use casemate_protocol::failure::Code;
use casemate_protocol::{Failure, FailureExt as _, MoveReply, MoveRequest};
use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, RenameFlags, Stat, fstat, linkat, mkdirat, renameat,
    renameat_with, statat, unlinkat,
};
use rustix::io::Errno;

use super::path::RelativePath;
use super::replaced::must_be_writable;
use super::walk::EntryLocation;
use super::{Cancel, Workspace, failure, invalid, lock};

impl Workspace {
    /// Moves what has the name `from` to the name `to`, and makes the directories above that.
    pub(crate) fn move_entry(
        &self,
        request: &MoveRequest,
        cancel: &Cancel,
    ) -> Result<MoveReply, Failure> {
        let from = RelativePath::parse(&request.from)?;
        let to = RelativePath::parse(&request.to)?;
        if from.is_root() {
            return Err(invalid("the workspace itself cannot be moved"));
        }
        if to.is_root() {
            return Err(failure(Errno::EXIST));
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        let (parent, name) = from.split_last();
        let source = located(self.open_beneath(parent, flags, cancel)?, name)?;
        let Some(moved) = source.found else {
            return Err(failure(Errno::NOENT));
        };
        if request.directory && !is(&moved, FileType::Directory) {
            return Err(failure(Errno::NOTDIR));
        }
        let (parent, name) = to.split_last();
        let target = located(self.directory(parent, cancel)?, name)?;
        cancel.check()?;
        let _alone = lock(&self.commits);
        let replaced = match (&target.found, request.overwrite) {
            (Some(there), true) => replace(&source, &moved, &target, there)?,
            (_, overwrite) => {
                rename_new(&source, &moved, &target, overwrite)?;
                false
            }
        };
        Ok(MoveReply { replaced })
    }
}

/// What has this name in a directory, a link too.
fn located(dir: OwnedFd, name: &[u8]) -> Result<EntryLocation, Failure> {
    let found = match statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Some(stat),
        Err(Errno::NOENT) => None,
        Err(errno) => return Err(failure(errno)),
    };
    let name = name.to_vec();
    Ok(EntryLocation { dir, name, found })
}

fn is(stat: &Stat, wanted: FileType) -> bool {
    FileType::from_raw_mode(stat.st_mode) == wanted
}

fn same(a: &Stat, b: &Stat) -> bool {
    (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino)
}

/// Moves it over what is there. Whether that is gone.
fn replace(
    source: &EntryLocation,
    moved: &Stat,
    target: &EntryLocation,
    there: &Stat,
) -> Result<bool, Failure> {
    if same(moved, there) {
        return one_file(source, target).map(|()| false);
    }
    if is(there, FileType::RegularFile) {
        must_be_writable(target, there)?;
    }
    rename(source, target)?;
    Ok(true)
}

/// Two names of one file, which the kernel leaves as they are (rename(2)): the first goes,
/// unless both are the same name.
fn one_file(source: &EntryLocation, target: &EntryLocation) -> Result<(), Failure> {
    let dirs = [&source.dir, &target.dir].map(fstat);
    let [Ok(from), Ok(to)] = dirs else {
        return Err(failure(Errno::IO));
    };
    if same(&from, &to) && source.name == target.name {
        return Ok(());
    }
    unlinkat(&source.dir, &source.name, AtFlags::empty()).map_err(failure)
}

fn rename(source: &EntryLocation, target: &EntryLocation) -> Result<(), Failure> {
    let renamed = renameat(&source.dir, &source.name, &target.dir, &target.name);
    renamed.map_err(explained)
}

/// Moves it where nothing has the name; with `overwrite` what came there meanwhile is replaced.
fn rename_new(
    source: &EntryLocation,
    moved: &Stat,
    target: &EntryLocation,
    overwrite: bool,
) -> Result<(), Failure> {
    if overwrite {
        return rename(source, target);
    }
    let flags = RenameFlags::NOREPLACE;
    let renamed = renameat_with(&source.dir, &source.name, &target.dir, &target.name, flags);
    match renamed {
        // Not there, hidden by a seccomp profile, or not on this file system. A directory
        // cannot be moved into itself either: the other way finds that out again.
        Err(Errno::NOSYS | Errno::PERM | Errno::INVAL) => {
            rename_new_without_flags(source, moved, target)
        }
        renamed => renamed.map_err(explained),
    }
}

/// As [`rename_new`] without renameat2: a directory takes the place of an empty one that is made
/// for it, anything else has two names for a moment.
fn rename_new_without_flags(
    source: &EntryLocation,
    moved: &Stat,
    target: &EntryLocation,
) -> Result<(), Failure> {
    if is(moved, FileType::Directory) {
        mkdirat(&target.dir, &target.name, Mode::RWXU).map_err(explained)?;
        return rename(source, target).inspect_err(|_| {
            // It is empty, or somebody else's by now and stays.
            let _ = unlinkat(&target.dir, &target.name, AtFlags::REMOVEDIR);
        });
    }
    let linked = linkat(
        &source.dir,
        &source.name,
        &target.dir,
        &target.name,
        AtFlags::empty(),
    );
    linked.map_err(explained)?;
    unlinkat(&source.dir, &source.name, AtFlags::empty()).map_err(failure)
}

/// What the kernel says of two names.
fn explained(errno: Errno) -> Failure {
    match errno {
        Errno::INVAL => invalid("a directory cannot be moved into itself"),
        Errno::NOTEMPTY => Failure::new(Code::Exists, "a directory that is not empty"),
        Errno::XDEV => invalid("the two paths are on different file systems; copy instead"),
        Errno::BUSY => invalid("something is mounted there"),
        errno => failure(errno),
    }
}

#[cfg(test)]
mod tests;
