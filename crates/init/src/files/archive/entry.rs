//! One entry of a tree on its way into an archive: opened and read by its name alone, and possibly
//! gone by then.

use std::os::fd::OwnedFd;

use casemate_protocol::Failure;
use rustix::fs::{FileType, Mode, OFlags, Stat, fstat, openat, readlinkat};
use rustix::io::Errno;

use crate::files::lease_wait::LeaseWait;
use crate::files::{Cancel, failure};

pub(super) const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// An entry of a tree that is archived.
#[derive(Clone, Copy)]
pub(super) struct EntryRef<'a> {
    pub(super) dir: &'a OwnedFd,
    pub(super) name: &'a [u8],
    /// From the top.
    pub(super) path: &'a [u8],
}

/// Opens the files of an archive.
pub(super) struct Opener<'a> {
    pub(super) lease_wait: LeaseWait,
    pub(super) cancel: &'a Cancel,
}

impl<'a> Opener<'a> {
    pub(super) fn new(cancel: &'a Cancel) -> Self {
        Self {
            lease_wait: LeaseWait::with_an_archive(),
            cancel,
        }
    }

    /// `None` when it is gone, or another thing by now.
    pub(super) fn file(&mut self, at: EntryRef<'_>) -> Result<Option<(OwnedFd, Stat)>, Failure> {
        with_stat(self.lease_wait.open(at.dir, at.name, self.cancel)?)
    }
}

pub(super) fn open(at: EntryRef<'_>, flags: OFlags) -> Result<Option<(OwnedFd, Stat)>, Failure> {
    with_stat(openat(at.dir, at.name, flags, Mode::empty()))
}

fn with_stat(opened: rustix::io::Result<OwnedFd>) -> Result<Option<(OwnedFd, Stat)>, Failure> {
    let Some(fd) = still_there(opened)? else {
        return Ok(None);
    };
    let stat = fstat(&fd).map_err(failure)?;
    Ok(Some((fd, stat)))
}

/// The target of a symbolic link.
pub(super) fn target(at: EntryRef<'_>) -> Result<Option<Vec<u8>>, Failure> {
    let found = still_there(readlinkat(at.dir, at.name, Vec::new()))?;
    Ok(found.map(std::ffi::CString::into_bytes))
}

pub(super) fn is(kind: FileType, stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == kind
}

/// `None` when it is gone, or another thing by now.
pub(super) fn still_there<T>(found: rustix::io::Result<T>) -> Result<Option<T>, Failure> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::INVAL | Errno::NXIO) => Ok(None),
        Err(errno) => Err(failure(errno)),
    }
}

/// A failure that names its entry.
pub(in crate::files) fn named(path: &[u8], failure: Failure) -> Failure {
    Failure {
        entry: shown(path),
        ..failure
    }
}

/// The end of a path, which identifies an entry better than its beginning.
pub(in crate::files) fn shown(path: &[u8]) -> String {
    /// Bytes of it.
    const SHOWN: usize = 200;
    let (dots, end) = match path.len().checked_sub(SHOWN) {
        Some(cut @ 1..) => ("…", &path[cut..]),
        _ => ("", path),
    };
    format!("{dots}{}", String::from_utf8_lossy(end).escape_debug())
}
