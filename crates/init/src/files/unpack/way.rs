//! The way to a file that is there already, for a hard link to it. In a backup it may lead
//! through directories that are what they are to be by now, and that may be one which its
//! owner cannot go into.

use std::os::fd::OwnedFd;

use casemate_protocol::Failure;
use rustix::fs::{AtFlags, Mode, chmodat, fstat};

use super::tree::enter;
use crate::files::failure;

/// Directories from the top to that of the file. They can be gone into until this is
/// dropped; a change of the mode does not change the time that they show.
pub(super) struct Way<'p> {
    top: OwnedFd,
    below: Vec<OwnedFd>,
    /// Below which directory (0: the top), its name, and the mode that it is to have.
    unlocked: Vec<(usize, &'p [u8], Mode)>,
}

impl<'p> Way<'p> {
    /// With `unlock` the owner may go into all of them; otherwise what the modes say holds.
    pub(super) fn to(top: OwnedFd, parents: &[&'p [u8]], unlock: bool) -> Result<Self, Failure> {
        let mut way = Self {
            top,
            below: Vec::with_capacity(parents.len()),
            unlocked: Vec::new(),
        };
        for &parent in parents {
            let dir = enter(way.end(), parent, false)?;
            let mode = Mode::from_raw_mode(fstat(&dir).map_err(failure)?.st_mode & 0o7777);
            if unlock && !mode.contains(Mode::XUSR) {
                let open = chmodat(way.end(), parent, mode | Mode::XUSR, AtFlags::empty());
                open.map_err(failure)?;
                way.unlocked.push((way.below.len(), parent, mode));
            }
            way.below.push(dir);
        }
        Ok(way)
    }

    /// The directory of the file.
    pub(super) fn end(&self) -> &OwnedFd {
        self.below.last().unwrap_or(&self.top)
    }
}

impl Drop for Way<'_> {
    fn drop(&mut self) {
        // The deepest first: the others lead to it.
        for (above, name, mode) in self.unlocked.drain(..).rev() {
            let dir = above.checked_sub(1).and_then(|at| self.below.get(at));
            let _ = chmodat(dir.unwrap_or(&self.top), name, mode, AtFlags::empty());
        }
    }
}
