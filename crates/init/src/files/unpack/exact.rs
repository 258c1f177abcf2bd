//! The metadata that only the archive of a backup has: times to the nanosecond, also of
//! directories and links, all bits of modes, extended attributes, and holes that stay holes.

use std::os::fd::OwnedFd;

use casemate_protocol::{Attribute, Failure};
use rustix::fs::{AtFlags, Mode, OFlags, SeekFrom, chmodat, ftruncate, openat, seek, unlinkat};

use super::bad_archive::bad;
use super::modified_time::ModifiedTime;
use super::records::Records;
use crate::files::{attributes, failure};

/// The metadata of an entry.
pub(super) struct EntryMetadata {
    /// The bits of the mode that [`Policy::mode_bits`](super::policy::Policy::mode_bits) keeps.
    pub(super) mode: u32,
    pub(super) modified: ModifiedTime,
    /// Empty, except in a backup.
    pub(super) attributes: Vec<Attribute>,
}

/// The attributes of an entry.
pub(super) fn attributes(records: &mut Records) -> Result<Vec<Attribute>, Failure> {
    let attributes = std::mem::take(&mut records.attributes);
    match Attribute::are_of_a_backup(&attributes) {
        true => Ok(attributes),
        false => Err(bad("attributes that no backup has")),
    }
}

/// Metadata that a directory gets when all its entries are made: until then its owner must be able
/// to write there, and every entry changes its time and would inherit its default ACL.
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
