//! From the path in a request to a descriptor beneath the workspace.
//!
//! ```text
//!  path ──► openat2(BENEATH | NO_MAGICLINKS) ── opened ──► descriptor
//!                │ refused, or not there
//!                ▼
//!           the walk: one component after the other ──► descriptor or Failure
//! ```
//!
//! Invariants:
//! - Both ways stay beneath: the kernel's by its own check, the [`mod@super::walk`] because
//!   it never has the kernel resolve a link.
//! - What openat2 refuses, the walk decides: with and without openat2 the
//!   results are the same.

use std::os::fd::OwnedFd;

use casemate_protocol::Failure;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, openat2, statat};
use rustix::io::Errno;

use super::lease_wait::LeaseWait;
use super::path::RelativePath;
use super::walk::{EntryLocation, MAX_LINKS, MissingDirectory, Resolution, Walk};
use super::{BENEATH, Cancel, Workspace, failure};

impl Workspace {
    /// Opens what `path` names, following links that stay beneath.
    pub(super) fn open_beneath(
        &self,
        path: RelativePath<'_>,
        flags: OFlags,
        cancel: &Cancel,
    ) -> Result<OwnedFd, Failure> {
        let flags = flags | OFlags::CLOEXEC;
        let (mut lease_wait, mut links) = (LeaseWait::with_a_file(), 0);
        loop {
            if let Some(fd) = self.fast_open(path, flags) {
                return Ok(fd);
            }
            let found = Walk::new(self, path).run(MissingDirectory::Fails, cancel)?;
            match found.open(flags) {
                // It is a link now and was not before: look again.
                Err(Errno::LOOP) if links < MAX_LINKS => links += 1,
                Err(Errno::AGAIN) => lease_wait.wait(cancel)?,
                opened => return opened.map_err(failure),
            }
        }
    }

    /// Where the file that `path` names is, or would be made: links are
    /// followed to the end, also one to a file that is not there.
    pub(super) fn place(
        &self,
        path: RelativePath<'_>,
        missing: MissingDirectory,
        cancel: &Cancel,
    ) -> Result<EntryLocation, Failure> {
        if let Some(place) = self.fast_place(path) {
            return Ok(place);
        }
        match Walk::new(self, path).run(missing, cancel)? {
            Resolution::Entry(place, _) => Ok(place),
            Resolution::Directory(_) => Err(failure(Errno::ISDIR)),
        }
    }

    /// The directory that `path` names; made, with those above it, where there is
    /// none.
    pub(super) fn directory(
        &self,
        path: RelativePath<'_>,
        cancel: &Cancel,
    ) -> Result<OwnedFd, Failure> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        if let Some(dir) = self.fast_open(path, flags) {
            return Ok(dir);
        }
        let walk = Walk::into_directory(self, path);
        match walk.run(MissingDirectory::IsMade, cancel)? {
            Resolution::Directory(dir) => Ok(dir),
            Resolution::Entry(..) => Err(failure(Errno::NOTDIR)),
        }
    }

    fn fast_open(&self, path: RelativePath<'_>, flags: OFlags) -> Option<OwnedFd> {
        if !self.openat2 {
            return None;
        }
        openat2(&self.root, path.for_kernel(), flags, Mode::empty(), BENEATH).ok()
    }

    fn fast_place(&self, path: RelativePath<'_>) -> Option<EntryLocation> {
        let (parent, name) = path.split_last();
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = self.fast_open(parent, flags)?;
        let found = match statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if is_link(&stat) => return None,
            Ok(stat) => Some(stat),
            Err(Errno::NOENT) => None,
            Err(_) => return None,
        };
        let name = name.to_vec();
        Some(EntryLocation { dir, name, found })
    }
}

fn is_link(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Symlink
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
