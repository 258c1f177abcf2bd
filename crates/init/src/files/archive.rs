//! A directory on its way out as a tar archive, made while it is sent.
//!
//! - Files, directories and symbolic links, sorted by name; links as links, never
//!   followed. Sockets, FIFOs and devices are left out, as are `.casemate` at the top of
//!   the workspace and temporary files of ours.
//! - A sparse file comes as one (the old GNU format), with its data only.
//! - Memory and descriptors are bounded ([`mod@walk`]), and so is the depth
//!   ([`casemate_protocol::backup`]).
//!
//! In a download a hard link comes as a file of its own, and what cannot be read or
//! becomes shorter while it is sent is an error: nobody takes the rest for the whole. What
//! cannot be read is looked for before anything is sent ([`mod@check_readable`]). What goes away
//! meanwhile is left out. A [`backup`] has more in it.

pub(in crate::files) mod backup;
mod check;
mod extents;
mod readable;
mod walk;
mod writer;

use std::os::fd::OwnedFd;

use casemate_protocol::Failure;
use rustix::fs::{FileType, Mode, OFlags, Stat, fstat, openat, readlinkat};
use rustix::io::Errno;

use self::readable::ReadableDir;
use self::walk::walk;
use self::writer::Writer;
use super::download::PartSender;
use super::lease_wait::LeaseWait;
use super::{Cancel, failure};

/// Ours, and not the user's: output that was too long to be shown.
const OURS: &[&[u8]] = &[b".casemate"];

const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

pub(super) use check::check_readable;
pub(super) use extents::Extent;

/// Sends the archive of all that is in `top`.
pub(super) fn send(
    top: OwnedFd,
    is_workspace: bool,
    parts: &PartSender,
    cancel: &Cancel,
) -> Result<(), Failure> {
    let mut download = Download {
        hidden: hidden_at_the_top(is_workspace),
        out: Writer::new(parts, cancel, false),
        opener: Opener::new(cancel),
    };
    walk(top.into(), &mut download, cancel)?;
    download.out.finish()
}

fn hidden_at_the_top(is_workspace: bool) -> &'static [&'static [u8]] {
    if is_workspace { OURS } else { &[] }
}

/// Where an entry is.
#[derive(Clone, Copy)]
struct EntryRef<'a> {
    dir: &'a OwnedFd,
    name: &'a [u8],
    /// From the top.
    path: &'a [u8],
}

/// What is done with the entries of a tree, in order.
trait Visitor {
    /// Names that are left out of the directory `prefix`, which ends with a `/` or is
    /// empty.
    fn hidden(&self, prefix: &[u8]) -> &[&[u8]];
    fn file(&mut self, at: EntryRef<'_>, stat: &Stat) -> Result<(), Failure>;
    fn link(&mut self, at: EntryRef<'_>, stat: &Stat) -> Result<(), Failure>;
    /// Opens a directory; `None` when it is gone.
    fn open(&self, at: EntryRef<'_>, stat: &Stat) -> Result<Option<(ReadableDir, Stat)>, Failure>;
    /// `path` ends with a `/`.
    fn directory(&mut self, path: &[u8], dir: &OwnedFd, stat: &Stat) -> Result<(), Failure>;
    /// A socket, a FIFO or a device, which no archive has.
    fn special(&mut self, _: EntryRef<'_>) {}
}

struct Download<'a> {
    /// Names that are left out at the top.
    hidden: &'a [&'a [u8]],
    out: Writer<'a>,
    opener: Opener<'a>,
}

impl Visitor for Download<'_> {
    fn hidden(&self, prefix: &[u8]) -> &[&[u8]] {
        if prefix.is_empty() { self.hidden } else { &[] }
    }

    fn file(&mut self, at: EntryRef<'_>, _: &Stat) -> Result<(), Failure> {
        match self.opener.file(at)? {
            Some((file, stat)) if is(FileType::RegularFile, &stat) => {
                self.out.file(at.path, &file, &stat, Vec::new())
            }
            _ => Ok(()),
        }
    }

    fn link(&mut self, at: EntryRef<'_>, stat: &Stat) -> Result<(), Failure> {
        match target(at)? {
            Some(target) => self.out.link(at.path, &target, stat),
            None => Ok(()),
        }
    }

    fn open(&self, at: EntryRef<'_>, _: &Stat) -> Result<Option<(ReadableDir, Stat)>, Failure> {
        let opened = open(at, DIRECTORY)?;
        Ok(opened.map(|(dir, stat)| (dir.into(), stat)))
    }

    fn directory(&mut self, path: &[u8], _: &OwnedFd, stat: &Stat) -> Result<(), Failure> {
        self.out.directory(path, stat, Vec::new())
    }
}

/// Opens the files of an archive.
struct Opener<'a> {
    lease_wait: LeaseWait,
    cancel: &'a Cancel,
}

impl<'a> Opener<'a> {
    fn new(cancel: &'a Cancel) -> Self {
        Self {
            lease_wait: LeaseWait::with_an_archive(),
            cancel,
        }
    }

    /// `None` when it is gone, or another thing by now.
    fn file(&mut self, at: EntryRef<'_>) -> Result<Option<(OwnedFd, Stat)>, Failure> {
        with_stat(self.lease_wait.open(at.dir, at.name, self.cancel)?)
    }
}

fn open(at: EntryRef<'_>, flags: OFlags) -> Result<Option<(OwnedFd, Stat)>, Failure> {
    with_stat(openat(at.dir, at.name, flags, Mode::empty()))
}

fn with_stat(opened: rustix::io::Result<OwnedFd>) -> Result<Option<(OwnedFd, Stat)>, Failure> {
    let Some(fd) = still_there(opened)? else {
        return Ok(None);
    };
    let stat = fstat(&fd).map_err(failure)?;
    Ok(Some((fd, stat)))
}

/// What a symbolic link says.
fn target(at: EntryRef<'_>) -> Result<Option<Vec<u8>>, Failure> {
    let found = still_there(readlinkat(at.dir, at.name, Vec::new()))?;
    Ok(found.map(std::ffi::CString::into_bytes))
}

fn is(kind: FileType, stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == kind
}

/// `None` when it is gone, or another thing by now.
fn still_there<T>(found: rustix::io::Result<T>) -> Result<Option<T>, Failure> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::INVAL | Errno::NXIO) => Ok(None),
        Err(errno) => Err(failure(errno)),
    }
}

/// A failure that says which entry it is of.
pub(super) fn named(path: &[u8], failure: Failure) -> Failure {
    Failure {
        entry: shown(path),
        ..failure
    }
}

/// The end of a path, which says more than its beginning.
pub(super) fn shown(path: &[u8]) -> String {
    /// Bytes of it.
    const SHOWN: usize = 200;
    let (dots, end) = match path.len().checked_sub(SHOWN) {
        Some(cut @ 1..) => ("…", &path[cut..]),
        _ => ("", path),
    };
    format!("{dots}{}", String::from_utf8_lossy(end).escape_debug())
}

#[cfg(test)]
pub(super) mod tests;
