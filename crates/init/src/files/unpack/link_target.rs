//! The way to a file that is there already, for a hard link to it. In a backup it may lead
//! through directories that are what they are to be by now, and that may be one which its
//! owner cannot go into.

use std::os::fd::OwnedFd;

use casemate_protocol::Failure;
use rustix::fs::{AtFlags, Mode, OFlags, chmodat, fstat, openat};

use super::tree::enter;
use crate::files::failure;

/// The end of a way through directories that can be gone into until this is dropped; a
/// change of the mode does not change the time that they show.
pub(super) struct LinkTargetPath<'p> {
    parents: &'p [&'p [u8]],
    /// The top, and then as far as it was gone.
    end: OwnedFd,
    /// How many of the parents lead there.
    depth: usize,
    /// Which of the parents were unlocked, and the mode that each is to have.
    unlocked: Vec<(usize, Mode)>,
}

impl<'p> LinkTargetPath<'p> {
    /// With `unlock` the owner may go into all of them; otherwise what the modes say holds.
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

impl Drop for LinkTargetPath<'_> {
    /// Back up, and locks again what was unlocked: the deepest first, for the others lead
    /// to it. By `..`, so that a way of any depth needs one descriptor: only a restore
    /// unlocks, in whose container nobody is who could move a directory.
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
