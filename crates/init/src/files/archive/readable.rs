//! Files and directories that a backup copies although their modes keep the owner from reading
//! them: each is made readable while it is open. If PID 1 is killed then, it stays readable.

use std::os::fd::OwnedFd;

use casemate_protocol::Failure;
use rustix::fs::{AtFlags, FileType, Mode, Stat, chmodat, fchmod};

use super::entry::{DIRECTORY, EntryRef, Opener, is, open, still_there};
use crate::files::attributes::{self, Attributes};
use crate::files::failure;

/// An open directory, which gets back its mode when this is dropped.
pub(super) struct ReadableDir {
    fd: OwnedFd,
    mode: Option<Mode>,
}

impl ReadableDir {
    pub(super) fn fd(&self) -> &OwnedFd {
        &self.fd
    }
}

impl From<OwnedFd> for ReadableDir {
    fn from(fd: OwnedFd) -> Self {
        Self { fd, mode: None }
    }
}

impl Drop for ReadableDir {
    fn drop(&mut self) {
        if let Some(mode) = self.mode {
            let _ = fchmod(&self.fd, mode);
        }
    }
}

/// Whether the owner may read it, and go into it where it is a directory.
pub(super) fn is_open(stat: &Stat) -> bool {
    Mode::from_raw_mode(stat.st_mode).contains(needed(stat))
}

fn needed(stat: &Stat) -> Mode {
    if is(FileType::Directory, stat) {
        Mode::RUSR | Mode::XUSR
    } else {
        Mode::RUSR
    }
}

/// With what it was before.
pub(super) fn directory(
    at: EntryRef<'_>,
    stat: &Stat,
) -> Result<Option<(ReadableDir, Stat)>, Failure> {
    let mode = unlock(at, stat)?;
    let Some((fd, mut found)) = open(at, DIRECTORY)? else {
        return Ok(None);
    };
    if mode.is_some() {
        found.st_mode = stat.st_mode;
    }
    Ok(Some((ReadableDir { fd, mode }, found)))
}

/// Its descriptor stays good for reading. Its attributes can be read only as long as it is
/// unlocked.
pub(super) fn file(
    at: EntryRef<'_>,
    stat: &Stat,
    opener: &mut Opener<'_>,
) -> Result<Option<(OwnedFd, Stat, Attributes)>, Failure> {
    let mode = unlock(at, stat)?;
    let Some((fd, mut found)) = opener.file(at)? else {
        return Ok(None);
    };
    let attributes = attributes::of(&fd);
    if let Some(mode) = mode {
        // The file is the user's own: an error here would have come with the first change.
        let _ = fchmod(&fd, mode);
        found = rustix::fs::fstat(&fd).map_err(failure)?;
    }
    Ok(is(FileType::RegularFile, &found).then_some((fd, found, attributes?)))
}

/// If something else is there by now, even a link, then user code has made another of its files
/// readable, which it may do anyway.
fn unlock(at: EntryRef<'_>, stat: &Stat) -> Result<Option<Mode>, Failure> {
    if is_open(stat) {
        return Ok(None);
    }
    let mode = Mode::from_raw_mode(stat.st_mode & 0o7777);
    let unlocked = chmodat(at.dir, at.name, mode | needed(stat), AtFlags::empty());
    Ok(still_there(unlocked)?.map(|()| mode))
}
