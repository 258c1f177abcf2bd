//! The one rule for a file that is there and is changed: by an overwrite, an append, an
//! edit, or an upload.
//!
//! - A file that its mode or ACL keeps the user from writing is refused. It is the only
//!   way to say "do not change this", and `chmod` takes it back.
//! - A new file takes its place, whole or not at all, with its permission bits, `user.*`
//!   attributes and ACL. Only an append to a file of one name is written in place.
//! - A file of several names (hard links) is changed under this one alone: what is atomic
//!   must be a new file, and an append is no exception. The others go on naming the old
//!   file, as copies of whole trees by hard links expect, and the answer counts them.

use std::os::fd::OwnedFd;

use casemate_protocol::failure::Code;
use casemate_protocol::{Attribute, Failure, FailureExt as _};
use rustix::fs::{Access, AtFlags, Mode, Stat, accessat, fchmod, fremovexattr, statat};
use rustix::io::Errno;

use super::lease_wait::LeaseWait;
use super::read::must_be_regular;
use super::walk::EntryLocation;
use super::{Cancel, attributes, failure};

/// Rights of a new file.
pub(super) const NEW_MODE: u32 = 0o644;

/// The bits that a replacement keeps. Not set-user-id and set-group-id: the
/// kernel clears them when a file is written.
pub(super) const KEPT_MODE: u32 = 0o777;

const ACCESS_ACL: &[u8] = b"system.posix_acl_access";

/// What a file hands on to the one that takes its place.
#[derive(Debug)]
pub(super) struct Rights {
    pub(super) mode: u32,
    attributes: Vec<Attribute>,
    /// Whether there was one. What is new may inherit an ACL from its directory.
    is_inherited: bool,
    /// Names that the file has beside the one that is changed.
    pub(super) other_names: u64,
}

impl Rights {
    /// Of a file where there was none.
    pub(super) fn new() -> Self {
        Self {
            mode: NEW_MODE,
            attributes: Vec::new(),
            is_inherited: false,
            other_names: 0,
        }
    }

    /// Of the file at a place, or of a new one.
    ///
    /// # Errors
    /// `NOT_REGULAR`, `PERMISSION_DENIED` for one that may not be written, and `BUSY`.
    pub(super) fn at(
        place: &EntryLocation,
        lease_wait: &mut LeaseWait,
        cancel: &Cancel,
    ) -> Result<Self, Failure> {
        let Some(stat) = &place.found else {
            return Ok(Self::new());
        };
        must_be_regular(stat)?;
        must_be_writable(place, stat)?;
        let attributes = match lease_wait.open(place, cancel)? {
            Ok(file) => attributes::of(&file)?.carried,
            // Nobody can read the attributes of a file that may be written and not read.
            Err(Errno::ACCESS) => Vec::new(),
            // Gone, or a link by now: what takes its place is new.
            Err(Errno::NOENT | Errno::LOOP) => Vec::new(),
            Err(errno) => return Err(failure(errno)),
        };
        Ok(Self {
            mode: stat.st_mode & KEPT_MODE,
            attributes,
            is_inherited: true,
            other_names: other_names(stat),
        })
    }

    /// Gives them to the file that takes its place.
    pub(super) fn give(&self, file: &OwnedFd) -> Result<(), Failure> {
        if self.is_inherited {
            // The one of its directory. An error: there is none.
            let _ = fremovexattr(file, ACCESS_ACL);
        }
        attributes::set(file, &self.attributes)?;
        // After an ACL, which changes it.
        fchmod(file, Mode::from_raw_mode(self.mode)).map_err(failure)
    }
}

/// Names that a file has beside the one that is changed.
pub(super) fn other_names(stat: &Stat) -> u64 {
    #[expect(clippy::useless_conversion, reason = "not on every architecture")]
    u64::from(stat.st_nlink).saturating_sub(1)
}

/// `PERMISSION_DENIED` for a file that the user may not write.
pub(super) fn must_be_writable(place: &EntryLocation, stat: &Stat) -> Result<(), Failure> {
    match accessat(&place.dir, &place.name, Access::WRITE_OK, AtFlags::empty()) {
        Err(Errno::ACCESS) => {
            let mode = stat.st_mode & 0o7777;
            let detail = format!("the file is not writable (mode {mode:04o})");
            Err(Failure::new(Code::PermissionDenied, detail))
        }
        // What is gone by now is in nobody's way.
        Ok(()) | Err(Errno::NOENT | Errno::LOOP) => Ok(()),
        Err(errno) => Err(failure(errno)),
    }
}

/// `CHANGED` when the file at the place is not the one that `before` is of, or not as it
/// was then.
pub(super) fn must_be_unchanged(place: &EntryLocation, before: &Stat) -> Result<(), Failure> {
    let identity = |stat: &Stat| {
        (
            (stat.st_dev, stat.st_ino, stat.st_size),
            (stat.st_mtime, stat.st_mtime_nsec),
            (stat.st_ctime, stat.st_ctime_nsec),
        )
    };
    match statat(&place.dir, &place.name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(now) if identity(&now) == identity(before) => Ok(()),
        Ok(_) | Err(Errno::NOENT) => {
            let detail = "the file changed while it was edited";
            Err(Failure::new(Code::Changed, detail))
        }
        Err(errno) => Err(failure(errno)),
    }
}

#[cfg(test)]
mod tests;
