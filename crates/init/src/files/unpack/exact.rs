//! What only the archive of a backup brings: times to the nanosecond, also of
//! directories and links, all bits of modes, extended attributes, and holes that stay holes.

use std::os::fd::OwnedFd;

use casemate_protocol::{Attribute, Failure};
use rustix::fs::{
    AtFlags, Mode, OFlags, SeekFrom, Timespec, Timestamps, UTIME_OMIT, chmodat, ftruncate,
    futimens, openat, seek, unlinkat, utimensat,
};
use tar::Header;

use super::bad;
use super::records::Records;
use crate::files::{attributes, failure};

/// When an entry was last modified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ModifiedTime(Timespec);

impl ModifiedTime {
    /// In seconds, which is all that a header has.
    pub(super) fn of_header(header: &Header) -> Self {
        let seconds = header.mtime().unwrap_or(0);
        Self::new(i64::try_from(seconds).unwrap_or(0), 0)
    }

    pub(super) fn new(tv_sec: i64, nanos: u32) -> Self {
        Self(Timespec {
            tv_sec,
            tv_nsec: nanos.into(),
        })
    }

    fn times(self) -> Timestamps {
        Timestamps {
            last_access: Timespec {
                tv_sec: 0,
                tv_nsec: UTIME_OMIT,
            },
            last_modification: self.0,
        }
    }

    /// A time that the file system does not have is left out.
    pub(super) fn set_on(self, file: &OwnedFd) {
        let _ = futimens(file, &self.times());
    }

    /// As [`Self::set_on`], on the link itself.
    pub(super) fn set_on_link(self, dir: &OwnedFd, name: &[u8]) {
        let _ = utimensat(dir, name, &self.times(), AtFlags::SYMLINK_NOFOLLOW);
    }
}

/// The attributes of an entry.
pub(super) fn attributes(records: &mut Records) -> Result<Vec<Attribute>, Failure> {
    let attributes = std::mem::take(&mut records.attributes);
    match Attribute::are_of_a_backup(&attributes) {
        true => Ok(attributes),
        false => Err(bad("attributes that no backup has")),
    }
}

/// What a directory becomes when all is in it: until then its owner must be able to
/// write there, and every entry changes its time and would inherit its default ACL.
#[derive(Debug)]
pub(super) struct DeferredMetadata {
    pub(super) mode: u32,
    pub(super) modified: ModifiedTime,
    pub(super) default_acl: Option<Attribute>,
}

impl DeferredMetadata {
    /// How many attributes the disk does not take.
    pub(super) fn settle(self, dir: &OwnedFd, name: &[u8]) -> Result<u64, Failure> {
        let mut lost = 0;
        if let Some(acl) = self.default_acl {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let file = openat(dir, name, flags, Mode::empty()).map_err(failure)?;
            lost = attributes::set_what_fits(&file, &[acl]);
        }
        let mode = Mode::from_raw_mode(self.mode);
        chmodat(dir, name, mode, AtFlags::empty()).map_err(failure)?;
        self.modified.set_on_link(dir, name);
        Ok(lost)
    }
}

/// PID 1 makes the user's home when it starts. A workspace that had none gets none.
pub(super) fn clear_home(top: &OwnedFd) {
    // One with something in it stays.
    let _ = unlinkat(top, ".home", AtFlags::REMOVEDIR);
}

/// Leaves a hole of so many bytes.
pub(super) fn skip(file: &OwnedFd, bytes: u64) -> Result<(), Failure> {
    let forward = i64::try_from(bytes).map_err(|_| bad("a hole that is too large"))?;
    seek(file, SeekFrom::Current(forward))
        .map(drop)
        .map_err(failure)
}

/// Where a file ends that may end with a hole.
pub(super) fn end_at(file: &OwnedFd, size: u64) -> Result<(), Failure> {
    ftruncate(file, size).map_err(failure)
}
