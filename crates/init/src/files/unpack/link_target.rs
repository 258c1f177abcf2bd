//! Goes from directory to directory by single names, and so to an existing file for a hard link to
//! it. In a backup some of the directories may have their final modes already, with which their
//! owner cannot enter them.

use std::os::fd::OwnedFd;

use casemate_protocol::failure::Code;
use casemate_protocol::{Failure, FailureExt as _};
use rustix::fs::{AtFlags, Mode, OFlags, chmodat, fstat, mkdirat, openat};
use rustix::io::Errno;

use crate::files::failure;

/// Mode of a directory that is made on the way to an entry.
pub(super) const DIRECTORY_MODE: u32 = 0o755;

pub(super) const DIRECTORY: OFlags = OFlags::DIRECTORY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// The end of a path through directories that can be entered until this is dropped. A change of a
/// mode does not change the time of the last modification.
pub(super) struct LinkTargetPath<'p> {
    parents: &'p [&'p [u8]],
    /// The directory that was reached, at first the top.
    end: OwnedFd,
    /// How many of the parents lead there.
    depth: usize,
    /// Which of the parents were unlocked, and the mode that each is to have.
    unlocked: Vec<(usize, Mode)>,
}

impl<'p> LinkTargetPath<'p> {
    /// With `unlock` directories that the owner cannot enter are made accessible.
    pub(super) fn to(top: OwnedFd, parents: &'p [&'p [u8]], unlock: bool) -> Result<Self, Failure> {
        let mut way = Self {
            parents,
            end: top,
            depth: 0,
            unlocked: Vec::new(),
        };
        for (number, &parent) in parents.iter().enumerate() {
            let dir = enter(&way.end, parent, false)?;
            let mode = Mode::from_raw_mode(fstat(&dir).map_err(failure)?.st_mode & 0o7777);
            if unlock && !mode.contains(Mode::XUSR) {
                let open = chmodat(&way.end, parent, mode | Mode::XUSR, AtFlags::empty());
                open.map_err(failure)?;
                way.unlocked.push((number, mode));
            }
            (way.end, way.depth) = (dir, number + 1);
        }
        Ok(way)
    }

    /// The directory of the file.
    pub(super) fn end(&self) -> &OwnedFd {
        &self.end
    }
}

/// Opens the directory `name`; with `make` it is made where it is not there.
pub(super) fn enter(dir: &OwnedFd, name: &[u8], make: bool) -> Result<OwnedFd, Failure> {
    let flags = DIRECTORY | OFlags::PATH;
    let open = || openat(dir, name, flags, Mode::empty());
    let opened = match open() {
        Err(Errno::NOENT) if make => {
            match mkdirat(dir, name, Mode::from_raw_mode(DIRECTORY_MODE)) {
                Ok(()) | Err(Errno::EXIST) => open(),
                Err(errno) => Err(errno),
            }
        }
        opened => opened,
    };
    opened.map_err(|errno| match errno {
        Errno::NOTDIR | Errno::LOOP => {
            let shown = name.escape_ascii();
            let detail = format!("`{shown}` is a link or a file, where a directory is to be");
            Failure::new(Code::NotDirectory, detail)
        }
        errno => failure(errno),
    })
}

impl Drop for LinkTargetPath<'_> {
    /// Goes back up and restores the modes: the deepest first, as the others lead to it. By `..`,
    /// so that a path of any depth needs one descriptor: only a restore unlocks, and in its
    /// container no program runs that could move a directory.
    fn drop(&mut self) {
        while let Some((number, mode)) = self.unlocked.pop() {
            while self.depth > number {
                let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
                let Ok(above) = openat(&self.end, "..", flags, Mode::empty()) else {
                    return;
                };
                (self.end, self.depth) = (above, self.depth - 1);
            }
            let _ = chmodat(&self.end, self.parents[number], mode, AtFlags::empty());
        }
    }
}
