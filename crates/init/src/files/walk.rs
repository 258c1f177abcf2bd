//! Follows a path without the kernel's resolver, one component after the other.
//!
//! Invariants:
//! - The kernel is given single names only, never `..`, with O_NOFOLLOW, from a descriptor that
//!   was reached in the same way from the root. So a walk stays beneath the root by construction,
//!   and not by a check that could come too early, even if user code exchanges directories.
//! - A walk follows [`MAX_LINKS`] links and holds [`OPEN_DIRECTORY_LIMIT`] descriptors at most.

use std::collections::VecDeque;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;

use casemate_protocol::Failure;
use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, Stat, fstat, mkdirat, openat, readlinkat, statat,
};
use rustix::io::{Errno, fcntl_dupfd_cloexec};

use super::path::RelativePath;
use super::{Cancel, Workspace, failure, outside};

/// Links followed on one path: as many as the kernel follows (path_resolution(7)).
pub(super) const MAX_LINKS: u32 = 40;

/// Directories a walk holds open for the `..` of links. A longer way up walks
/// again from the root: a path may be 2,048 deep, the container has 4,096
/// descriptors for all that PID 1 does.
pub(super) const OPEN_DIRECTORY_LIMIT: usize = 32;

/// Rights of a directory that is made on the way to a file.
pub(super) const DIRECTORY_MODE: u32 = 0o755;

/// Where a file is or is to be: a name in an open directory.
#[derive(Debug)]
pub(super) struct EntryLocation {
    pub(super) dir: OwnedFd,
    pub(super) name: Vec<u8>,
    /// The entry's `stat` when it was looked at, `None` for a missing one. It is never a link in the
    /// result of a walk; the entry of a move may be one.
    pub(super) found: Option<Stat>,
}

/// The `stat` of what has this name in a directory, of a link itself; `None` if nothing has it.
pub(super) fn stat_of_name(dir: &OwnedFd, name: &[u8]) -> Result<Option<Stat>, Failure> {
    match statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(failure(errno)),
    }
}

/// What a walk does about a directory that is not there.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum MissingDirectory {
    Fails,
    IsMade,
}

/// Where a walk ended.
pub(super) enum Resolution {
    /// In a directory that it has no name for: the root, or `..` or `.` at the
    /// end of a link.
    Directory(OwnedFd),
    /// At a name, with a descriptor (O_PATH) of what is there.
    Entry(EntryLocation, Option<OwnedFd>),
}

impl Resolution {
    /// Opens what was found, unless it is a link by now (ELOOP).
    pub(super) fn open(self, flags: OFlags) -> rustix::io::Result<OwnedFd> {
        let flags = flags | OFlags::NOFOLLOW;
        match self {
            Self::Directory(dir) => openat(&dir, ".", flags, Mode::empty()),
            Self::Entry(_, Some(fd)) if flags.contains(OFlags::PATH) => Ok(fd),
            Self::Entry(place, _) => openat(&place.dir, &place.name, flags, Mode::empty()),
        }
    }
}

/// A walk under way.
pub(super) struct Walk<'a> {
    workspace: &'a Workspace,
    /// Names from the root to the directory where the walk is.
    names: Vec<Vec<u8>>,
    /// The last of these directories; empty only at the root.
    held: VecDeque<OwnedFd>,
    /// Components still to go, the next one last. The only place for `..`.
    ahead: Vec<Vec<u8>>,
    links: u32,
}

impl<'a> Walk<'a> {
    pub(super) fn new(workspace: &'a Workspace, path: RelativePath<'_>) -> Self {
        let ahead = path.components().rev().map(<[u8]>::to_vec);
        Self {
            workspace,
            names: Vec::new(),
            held: VecDeque::new(),
            ahead: ahead.collect(),
            links: 0,
        }
    }

    /// To the directory that `path` names, as to `path/.`.
    pub(super) fn into_directory(workspace: &'a Workspace, path: RelativePath<'_>) -> Self {
        let mut walk = Self::new(workspace, path);
        walk.ahead.insert(0, b".".to_vec());
        walk
    }

    /// Walks to the end of the path.
    pub(super) fn run(
        mut self,
        missing: MissingDirectory,
        cancel: &Cancel,
    ) -> Result<Resolution, Failure> {
        while let Some(name) = self.ahead.pop() {
            cancel.check()?;
            match name.as_slice() {
                b"." => {}
                b".." => self.up(cancel)?,
                _ => {
                    if let Some(found) = self.enter(name, missing)? {
                        return Ok(found);
                    }
                }
            }
        }
        Ok(Resolution::Directory(self.leave()?))
    }

    /// One step down, or through a link; `Some` at the end of the path.
    fn enter(
        &mut self,
        name: Vec<u8>,
        missing: MissingDirectory,
    ) -> Result<Option<Resolution>, Failure> {
        let last = self.ahead.is_empty();
        let fd = match self.look(&name) {
            Err(Errno::NOENT) if last => return self.end(name, None).map(Some),
            Err(Errno::NOENT) if missing == MissingDirectory::IsMade => self.make(&name),
            looked => looked,
        };
        let fd = fd.map_err(failure)?;
        let stat = fstat(&fd).map_err(failure)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Symlink => self.follow(&fd)?,
            _ if last => return self.end(name, Some((fd, stat))).map(Some),
            FileType::Directory => self.down(name, fd),
            _ => return Err(failure(Errno::NOTDIR)),
        }
        Ok(None)
    }

    fn here(&self) -> BorrowedFd<'_> {
        self.held
            .back()
            .map_or(self.workspace.root.as_fd(), OwnedFd::as_fd)
    }

    /// A descriptor of exactly what has this name: of a link, the link itself.
    fn look(&self, name: &[u8]) -> rustix::io::Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        openat(self.here(), name, flags, Mode::empty())
    }

    fn make(&self, name: &[u8]) -> rustix::io::Result<OwnedFd> {
        match mkdirat(self.here(), name, Mode::from_raw_mode(DIRECTORY_MODE)) {
            Ok(()) | Err(Errno::EXIST) => self.look(name),
            Err(errno) => Err(errno),
        }
    }

    fn down(&mut self, name: Vec<u8>, dir: OwnedFd) {
        self.names.push(name);
        self.held.push_back(dir);
        if self.held.len() > OPEN_DIRECTORY_LIMIT {
            self.held.pop_front();
        }
    }

    fn up(&mut self, cancel: &Cancel) -> Result<(), Failure> {
        if self.names.pop().is_none() {
            return Err(outside("a link leads out of the workspace"));
        }
        self.held.pop_back();
        if self.held.is_empty() {
            self.walk_again(cancel)?;
        }
        Ok(())
    }

    /// The directories on the way are not held any more: down again from the
    /// root. `..` of the kernel would lead out of a directory that was moved.
    fn walk_again(&mut self, cancel: &Cancel) -> Result<(), Failure> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::DIRECTORY | OFlags::CLOEXEC;
        for name in std::mem::take(&mut self.names) {
            cancel.check()?;
            let dir = openat(self.here(), &name, flags, Mode::empty()).map_err(failure)?;
            self.down(name, dir);
        }
        Ok(())
    }

    /// Puts the target of a link in front of what is still to go.
    fn follow(&mut self, link: &OwnedFd) -> Result<(), Failure> {
        self.links += 1;
        if self.links > MAX_LINKS {
            return Err(failure(Errno::LOOP));
        }
        // Of the descriptor, not of a name that may be another link by now.
        let target = readlinkat(link, "", Vec::new()).map_err(failure)?;
        let target = target.as_bytes();
        let mut parts = components(target);
        if target.starts_with(b"/") {
            for expected in components(self.workspace.name.as_os_str().as_bytes()) {
                if parts.next() != Some(expected) {
                    return Err(outside("a link leads out of the workspace"));
                }
            }
            self.names.clear();
            self.held.clear();
        }
        // `directory/` is a directory or an error, as `directory/.` is.
        if target.ends_with(b"/") {
            self.ahead.push(b".".to_vec());
        }
        let parts: Vec<&[u8]> = parts.collect();
        self.ahead
            .extend(parts.into_iter().rev().map(<[u8]>::to_vec));
        Ok(())
    }

    fn end(
        &mut self,
        name: Vec<u8>,
        found: Option<(OwnedFd, Stat)>,
    ) -> Result<Resolution, Failure> {
        let (fd, stat) = found.unzip();
        let place = EntryLocation {
            dir: self.leave()?,
            name,
            found: stat,
        };
        Ok(Resolution::Entry(place, fd))
    }

    /// The directory where the walk is, for the caller to keep.
    fn leave(&mut self) -> Result<OwnedFd, Failure> {
        match self.held.pop_back() {
            Some(dir) => Ok(dir),
            None => fcntl_dupfd_cloexec(&self.workspace.root, 0).map_err(failure),
        }
    }
}

fn components(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|byte| *byte == b'/')
        .filter(|part| !part.is_empty())
}
