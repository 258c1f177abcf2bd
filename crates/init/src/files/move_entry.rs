//! Moves an entry to another name.
//!
//! Invariants:
//! - A link is moved itself, never its target.
//! - Both directories are resolved beneath the workspace, and one rename does the rest: the entry is
//!   whole at one of the two names at any time. (Without renameat2 a file has both for a moment.)
//! - Without `overwrite` nothing is replaced, not even an entry that came a moment before
//!   ([`rename_new`]). A file that may not be written is never replaced
//!   ([`mod@super::replaced`]).

use std::os::fd::OwnedFd;

use casemate_protocol::failure::Code;
use casemate_protocol::{Failure, FailureExt as _, MoveReply, MoveRequest};
use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, Stat, fstat, linkat, mkdirat, renameat, unlinkat,
};
use rustix::io::Errno;

use super::path::RelativePath;
use super::replaced::must_be_writable;
use super::temporary::rename_no_replace;
use super::walk::{EntryLocation, stat_of_name};
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
        // First, so that nothing is made for what cannot be moved.
        movable(&source, request.directory)?;
        let (parent, name) = to.split_last();
        let dir = self.directory(parent, cancel)?;
        cancel.check()?;
        let _alone = lock(&self.commits);
        // Again: until here a write of ours could replace either file.
        let source = located(source.dir, &source.name)?;
        let moved = movable(&source, request.directory)?;
        let target = located(dir, name)?;
        let replaced = match &target.found {
            Some(there) if request.overwrite => replace(&source, &moved, &target, there)?,
            None if request.overwrite => rename(&source, &target).map(|()| false)?,
            _ => rename_new(&source, &moved, &target).map(|()| false)?,
        };
        Ok(MoveReply { replaced })
    }
}

/// The `stat` of what is to be moved; with `directory` it must be one.
fn movable(source: &EntryLocation, directory: bool) -> Result<Stat, Failure> {
    let moved = source.found.ok_or_else(|| failure(Errno::NOENT))?;
    if directory && !is(&moved, FileType::Directory) {
        return Err(failure(Errno::NOTDIR));
    }
    Ok(moved)
}

/// The entry of this name in a directory; it may be a link.
fn located(dir: OwnedFd, name: &[u8]) -> Result<EntryLocation, Failure> {
    let found = stat_of_name(&dir, name)?;
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

/// Moves it where nothing has the name.
fn rename_new(source: &EntryLocation, moved: &Stat, target: &EntryLocation) -> Result<(), Failure> {
    match rename_no_replace(&source.dir, &source.name, &target.dir, &target.name) {
        // A directory cannot be moved into itself either: the other way finds that out again.
        None => rename_new_without_flags(source, moved, target),
        Some(renamed) => renamed.map_err(explained),
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
    let unlinked = unlinkat(&source.dir, &source.name, AtFlags::empty());
    unlinked.map_err(failure).inspect_err(|_| {
        let _ = unlinkat(&target.dir, &target.name, AtFlags::empty());
    })
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
