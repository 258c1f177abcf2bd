//! The directory that an archive is unpacked into.
//!
//! Invariants:
//! - Everything is reached from its descriptor, by one name after the other, with O_NOFOLLOW. No
//!   link is followed, even if user code exchanges directories; and no path is too long for the
//!   kernel.
//! - [`OPEN_DIRECTORY_LIMIT`] directories are open at a time, besides the top.

use std::os::fd::{AsFd as _, OwnedFd};

use casemate_protocol::backup::{self, ExceededLimit, components};
use casemate_protocol::failure::Code;
use casemate_protocol::{Attribute, Failure, FailureExt as _};
use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, fchmod, linkat, mkdirat, openat, renameat, statat, symlinkat,
    syncfs, unlinkat,
};
use rustix::io::Errno;

use super::bad_archive::bad;
use super::exact::{DeferredMetadata, EntryMetadata};
use super::link_target::{DIRECTORY, DIRECTORY_MODE, LinkTargetPath, enter};
use super::modified_time::ModifiedTime;
use super::policy::Policy;
use crate::files::attributes::{self, DEFAULT_ACL};
use crate::files::path::check_name;
use crate::files::temporary::random_name;
use crate::files::{failure, outside};

/// Directories on the way to an entry that are open at a time: PID 1 has 4,096
/// descriptors for all it does. Those above are opened again when they are needed.
pub(super) const OPEN_DIRECTORY_LIMIT: usize = 64;

/// The rights that the user needs to put an entry into a directory. An archive may give it less,
/// and have files in it.
const OWNER: u32 = 0o700;

/// The path of an entry, checked: no `..`, not absolute. Empty: the top itself.
pub(super) struct EntryPath<'a>(Vec<&'a [u8]>);

impl<'a> EntryPath<'a> {
    pub(super) fn parse(path: &'a [u8]) -> Result<Self, Failure> {
        let beyond = |beyond: ExceededLimit| Failure::new(Code::NameTooLong, beyond.to_string());
        backup::check_path(path).map_err(beyond)?;
        if path.starts_with(b"/") {
            return Err(outside("absolute path"));
        }
        let names: Vec<&[u8]> = components(path).collect();
        names.iter().try_for_each(|name| check_name(name))?;
        Ok(Self(names))
    }

    fn split_last(&self) -> Result<(&[&'a [u8]], &'a [u8]), Failure> {
        match self.0.split_last() {
            Some((name, parents)) => Ok((parents, name)),
            None => Err(bad("it has no name")),
        }
    }
}

pub(super) struct Tree {
    top: OwnedFd,
    policy: &'static Policy,
    /// From below the top to the directory of the last entry: the next is likely there.
    /// The last [`OPEN_DIRECTORY_LIMIT`] of them are open.
    held: Vec<OpenDirectory>,
    /// Metadata that the top gets at the end.
    settling: Option<DeferredMetadata>,
    /// Attributes that the file system does not take.
    pub(super) lost: u64,
}

/// A directory on the way to the last entry.
struct OpenDirectory {
    name: Vec<u8>,
    dir: Option<OwnedFd>,
    /// Metadata that it gets when all is in it.
    settling: Option<DeferredMetadata>,
}

impl Tree {
    pub(super) fn new(top: OwnedFd, policy: &'static Policy) -> Self {
        Self {
            top,
            policy,
            held: Vec::new(),
            settling: None,
            lost: 0,
        }
    }

    /// The directory of an entry, made where it is not there, and its name in it.
    pub(super) fn place<'p>(
        &mut self,
        path: &EntryPath<'p>,
    ) -> Result<(&OwnedFd, &'p [u8]), Failure> {
        let (parents, name) = path.split_last()?;
        let known = self.held.iter().zip(parents);
        let common = known.take_while(|(held, name)| held.name == **name).count();
        self.leave(common)?;
        for parent in &parents[common..] {
            let dir = enter(self.here(), parent, true)?;
            self.hold(parent, dir, None);
        }
        Ok((self.here(), name))
    }

    fn here(&self) -> &OwnedFd {
        let last = self.held.last().and_then(|held| held.dir.as_ref());
        last.unwrap_or(&self.top)
    }

    fn hold(&mut self, name: &[u8], dir: OwnedFd, settling: Option<DeferredMetadata>) {
        self.held.push(OpenDirectory {
            name: name.to_vec(),
            dir: Some(dir),
            settling,
        });
        self.close_what_is_far(self.held.len());
    }

    /// Closes the one that is too far above the last of so many.
    fn close_what_is_far(&mut self, held: usize) {
        if let Some(far) = held.checked_sub(OPEN_DIRECTORY_LIMIT + 1) {
            self.held[far].dir = None;
        }
    }

    /// Goes up until only so many are held.
    fn leave(&mut self, depth: usize) -> Result<(), Failure> {
        while self.held.len() > depth {
            let Some(left) = self.held.pop() else { break };
            self.open_again()?;
            if let Some(settling) = left.settling {
                self.lost += settling.settle(self.here(), &left.name)?;
            }
        }
        Ok(())
    }

    /// Opens those on the way to the last one, where that is closed.
    fn open_again(&mut self) -> Result<(), Failure> {
        if self.held.last().is_none_or(|held| held.dir.is_some()) {
            return Ok(());
        }
        for number in 0..self.held.len() {
            let above = number
                .checked_sub(1)
                .and_then(|above| self.held[above].dir.as_ref());
            let dir = enter(above.unwrap_or(&self.top), &self.held[number].name, false)?;
            self.held[number].dir = Some(dir);
            self.close_what_is_far(number + 1);
        }
        Ok(())
    }

    /// Ends it: gives the directories that are still open their metadata, and syncs everything to
    /// the disk.
    pub(super) fn finish(&mut self) -> Result<(), Failure> {
        // Before the top gets its metadata, with which it may be unreadable.
        let top = openat(&self.top, ".", DIRECTORY | OFlags::RDONLY, Mode::empty());
        self.leave(0)?;
        if let Some(settling) = self.settling.take() {
            self.lost += settling.settle(&self.top, b".")?;
        }
        match top {
            Ok(top) => syncfs(&top).map_err(failure),
            // A directory that may be written but not read has no descriptor to sync.
            Err(Errno::ACCESS) if !self.policy.must_sync => Ok(()),
            Err(errno) => Err(failure(errno)),
        }
    }

    /// A directory that gets its metadata when all is in it.
    pub(super) fn exact_directory(
        &mut self,
        path: &EntryPath<'_>,
        kept: EntryMetadata,
    ) -> Result<(), Failure> {
        let mut attributes = kept.attributes;
        let is_default = |acl: &mut Attribute| acl.name == DEFAULT_ACL;
        let default_acl = attributes.extract_if(.., is_default).next();
        let settling = Some(DeferredMetadata {
            mode: kept.mode,
            modified: kept.modified,
            default_acl,
        });
        if path.0.is_empty() {
            self.lost += set_on_directory(&self.top, &attributes)?;
            self.settling = settling;
            return Ok(());
        }
        self.directory(path, DIRECTORY_MODE)?;
        let (dir, name) = self.place(path)?;
        let below = enter(dir, name, false)?;
        self.lost += set_on_directory(&below, &attributes)?;
        self.hold(name, below, settling);
        Ok(())
    }

    /// A directory that is there keeps its rights.
    pub(super) fn directory(&mut self, path: &EntryPath<'_>, mode: u32) -> Result<(), Failure> {
        if path.0.is_empty() {
            return Ok(());
        }
        let (dir, name) = self.place(path)?;
        match mkdirat(dir, name, Mode::from_raw_mode(DIRECTORY_MODE)) {
            Err(Errno::EXIST) => return enter(dir, name, false).map(drop),
            made => made.map_err(failure)?,
        }
        let flags = DIRECTORY | OFlags::RDONLY;
        let made = openat(dir, name, flags, Mode::empty()).map_err(failure)?;
        fchmod(&made, Mode::from_raw_mode(mode | OWNER)).map_err(failure)
    }

    pub(super) fn symlink(
        &mut self,
        path: &EntryPath<'_>,
        target: &[u8],
        modified: Option<ModifiedTime>,
    ) -> Result<(), Failure> {
        if target.is_empty() {
            return Err(bad("a link to nothing"));
        }
        let (dir, name) = self.place(path)?;
        let temporary = random_name()?;
        symlinkat(target, dir, &temporary).map_err(failure)?;
        if let Some(modified) = modified {
            modified.set_on_link(dir, temporary.as_bytes());
        }
        take_place(dir, &temporary, name)
    }

    pub(super) fn hard_link(
        &mut self,
        path: &EntryPath<'_>,
        target: &EntryPath<'_>,
    ) -> Result<(), Failure> {
        let (parents, file) = target.split_last()?;
        let top = rustix::io::fcntl_dupfd_cloexec(self.top.as_fd(), 0).map_err(failure)?;
        let unlock = self.policy.unlocks_directories;
        // First: it settles the directories that it leaves, and the file may be in one.
        let (dir, name) = self.place(path)?;
        let way = LinkTargetPath::to(top, parents, unlock)?;
        let from = way.end();
        let stat = statat(from, file, AtFlags::SYMLINK_NOFOLLOW).map_err(failure)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(bad("a hard link to something other than a file"));
        }
        let temporary = random_name()?;
        linkat(from, file, dir, &temporary, AtFlags::empty()).map_err(failure)?;
        take_place(dir, &temporary, name)
    }
}

/// Sets attributes, and returns how many the disk does not take. An ACL changes the mode:
/// the owner must be able to write there until the end.
fn set_on_directory(dir: &OwnedFd, attributes: &[Attribute]) -> Result<u64, Failure> {
    if attributes.is_empty() {
        return Ok(0);
    }
    let dir = openat(dir, ".", DIRECTORY | OFlags::RDONLY, Mode::empty()).map_err(failure)?;
    let lost = attributes::set_what_fits(&dir, attributes);
    fchmod(&dir, Mode::from_raw_mode(DIRECTORY_MODE)).map_err(failure)?;
    Ok(lost)
}

/// Renames a new entry to its name, in place of an existing one.
fn take_place(dir: &OwnedFd, temporary: &str, name: &[u8]) -> Result<(), Failure> {
    let renamed = renameat(dir, temporary, dir, name);
    // Two names of one file: rename(2) then does nothing, and leaves both.
    let _ = unlinkat(dir, temporary, AtFlags::empty());
    renamed.map_err(failure)
}
