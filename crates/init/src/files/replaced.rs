//! The rules for changing an existing file: by an overwrite, an append, an edit, or the upload
//! of one file.
//!
//! - A file that the user may not write by its mode or ACL is refused. This is the only way to
//!   protect a file from a change, and `chmod` removes the protection.
//! - A new file takes its place, whole or not at all, with its permission bits, `user.*`
//!   attributes and ACL. Only an append to a file of one name is written in place.
//! - A file of several names (hard links) is changed under the given name only: an atomic
//!   change makes a new file, and so does an append. The other names keep the old file, as
//!   programs that copy whole trees by hard links expect, and the answer counts them.

use std::os::fd::OwnedFd;

use casemate_protocol::failure::Code;
use casemate_protocol::{Attribute, Failure, FailureExt as _};
use rustix::fs::{Access, AtFlags, Mode, Stat, accessat, fchmod, fremovexattr, fstat, statat};
use rustix::io::Errno;
use rustix::process::{geteuid, getuid};

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
    /// Whether there was a file, whose ACL the new one has in place of its directory's.
    replaces: bool,
    /// Names of the file besides the one that is changed.
    pub(super) other_names: u64,
}

impl Rights {
    /// Of a file that did not exist before.
    pub(super) fn new() -> Self {
        Self {
            mode: NEW_MODE,
            attributes: Vec::new(),
            replaces: false,
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
        match lease_wait.open(&place.dir, &place.name, cancel)? {
            Ok(file) => {
                // Its mode may have changed since the walk.
                let stat = fstat(&file).map_err(failure)?;
                must_be_regular(&stat)?;
                Self::of(&file, &stat)
            }
            // The attributes of a file that its user may write but not read cannot be read;
            // and one that is gone, or a link by now, has none.
            Err(Errno::ACCESS | Errno::NOENT | Errno::LOOP) => {
                Ok(Self::replacing(stat, Vec::new()))
            }
            Err(errno) => Err(failure(errno)),
        }
    }

    /// Of an open file, whose `stat` this is.
    pub(super) fn of(file: &OwnedFd, stat: &Stat) -> Result<Self, Failure> {
        Ok(Self::replacing(stat, attributes::of(file)?.carried))
    }

    fn replacing(stat: &Stat, attributes: Vec<Attribute>) -> Self {
        Self {
            mode: stat.st_mode & KEPT_MODE,
            attributes,
            replaces: true,
            other_names: other_names(stat),
        }
    }

    /// Gives them to the file that takes its place.
    pub(super) fn give(&self, file: &OwnedFd) -> Result<(), Failure> {
        if self.replaces {
            // The ACL that it inherited from its directory. An error: it has inherited none.
            let _ = fremovexattr(file, ACCESS_ACL);
        }
        attributes::set(file, &self.attributes)?;
        // After an ACL, which changes it.
        fchmod(file, Mode::from_raw_mode(self.mode)).map_err(failure)
    }
}

/// Names of a file besides the one that is changed.
pub(super) fn other_names(stat: &Stat) -> u64 {
    #[expect(clippy::useless_conversion, reason = "not on every architecture")]
    u64::from(stat.st_nlink).saturating_sub(1)
}

/// The kernel asks by the real user unless it is told otherwise, and with a [`crate::shield`] that is
/// not the user. Old profiles of system calls do not know the flag's call, so it is not used in vain.
fn as_user() -> AtFlags {
    match getuid() == geteuid() {
        true => AtFlags::empty(),
        false => AtFlags::EACCESS,
    }
}

/// `PERMISSION_DENIED` for a file that the user may not write.
pub(super) fn must_be_writable(place: &EntryLocation, stat: &Stat) -> Result<(), Failure> {
    match accessat(&place.dir, &place.name, Access::WRITE_OK, as_user()) {
        Err(Errno::ACCESS) => {
            let mode = stat.st_mode & 0o7777;
            let detail = format!("the file is not writable (mode {mode:04o})");
            Err(Failure::new(Code::PermissionDenied, detail))
        }
        // A file that is gone by now need not be writable.
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
            let detail = "another program changed the file at the same time";
            Err(Failure::new(Code::Changed, detail))
        }
        Err(errno) => Err(failure(errno)),
    }
}

#[cfg(test)]
mod tests;
