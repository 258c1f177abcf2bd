//! The time of the last change of an entry.

use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, Timespec, Timestamps, UTIME_OMIT, futimens, utimensat};
use tar::Header;

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
