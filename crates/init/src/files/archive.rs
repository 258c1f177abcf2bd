//! A directory on its way out as a tar archive, made while it is sent.
//!
//! - Files, directories and symbolic links, sorted by name; links as links, never
//!   followed. Sockets, FIFOs and devices are left out, as are `.casemate` at the top of
//!   the workspace and temporary files of ours.
//! - A sparse file comes as one (the old GNU format), with its data only.
//! - Memory is bounded: [`DEPTH`] levels with [`NAMES`] names each at most.
//!
//! In a download a hard link comes as a file of its own, and what cannot be read or
//! becomes shorter while it is sent is an error: nobody takes the rest for the whole. What
//! cannot be read is looked for before anything is sent ([`look`]). What goes away meanwhile
//! is left out. A [`backup`] has more in it.

pub(super) mod backup;
mod extents;
mod look;
mod unlocked;
mod writer;

use std::os::fd::OwnedFd;
use std::vec;

use casemate_protocol::failure::Code;
use casemate_protocol::{Failure, FailureExt as _};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, fstat, openat, readlinkat, statat};
use rustix::io::Errno;

use self::unlocked::Unlocked;
use self::writer::Writer;
use super::download::Parts;
use super::names::{self, Names, Wanted};
use super::patience::Patience;
use super::read::READ;
use super::temporary::is_temporary_name;
use super::{Cancel, failure};

/// Levels of directories, each of which is open meanwhile: PID 1 has 4,096
/// descriptors for all it does. What is deeper is an error.
pub(super) const DEPTH: usize = 256;

/// Names of one directory that are held at a time, and bytes of them. A larger
/// directory is read once for each such number.
const NAMES: (usize, usize) = (2048, 32 * 1024);

/// Ours, and not the user's: output that was too long to be shown.
const OURS: &[&[u8]] = &[b".casemate"];

const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

const FILE: OFlags = READ.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

pub(super) use extents::{Extent, MOST as MOST_EXTENTS};
pub(super) use look::look;

/// Sends the archive of all that is in `top`.
pub(super) fn send(
    top: OwnedFd,
    is_workspace: bool,
    parts: &Parts,
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
struct At<'a> {
    dir: &'a OwnedFd,
    name: &'a [u8],
    /// From the top.
    path: &'a [u8],
}

/// What is done with the entries of a tree, in order.
trait Visit {
    /// Names that are left out of the directory `prefix`, which ends with a `/` or is
    /// empty.
    fn hidden(&self, prefix: &[u8]) -> &[&[u8]];
    fn file(&mut self, at: At<'_>, stat: &Stat) -> Result<(), Failure>;
    fn link(&mut self, at: At<'_>, stat: &Stat) -> Result<(), Failure>;
    /// Opens a directory; `None` when it is gone.
    fn open(&self, at: At<'_>, stat: &Stat) -> Result<Option<(Unlocked, Stat)>, Failure>;
    /// `path` ends with a `/`.
    fn directory(&mut self, path: &[u8], stat: &Stat) -> Result<(), Failure>;
}

struct Download<'a> {
    /// Names that are left out at the top.
    hidden: &'a [&'a [u8]],
    out: Writer<'a>,
    opener: Opener<'a>,
}

impl Visit for Download<'_> {
    fn hidden(&self, prefix: &[u8]) -> &[&[u8]] {
        if prefix.is_empty() { self.hidden } else { &[] }
    }

    fn file(&mut self, at: At<'_>, _: &Stat) -> Result<(), Failure> {
        match self.opener.file(at)? {
            Some((file, stat)) if is(FileType::RegularFile, &stat) => {
                self.out.file(at.path, &file, &stat)
            }
            _ => Ok(()),
        }
    }

    fn link(&mut self, at: At<'_>, stat: &Stat) -> Result<(), Failure> {
        match target(at)? {
            Some(target) => self.out.link(at.path, &target, stat),
            None => Ok(()),
        }
    }

    fn open(&self, at: At<'_>, _: &Stat) -> Result<Option<(Unlocked, Stat)>, Failure> {
        let opened = open(at, DIRECTORY)?;
        Ok(opened.map(|(dir, stat)| (dir.into(), stat)))
    }

    fn directory(&mut self, path: &[u8], stat: &Stat) -> Result<(), Failure> {
        self.out.directory(path, stat)
    }
}

/// A directory whose entries are being visited.
struct Level {
    dir: Unlocked,
    /// Its path with a `/` at its end, or empty.
    prefix: Vec<u8>,
    names: vec::IntoIter<Vec<u8>>,
    /// The last name that was read; the next are read behind it.
    after: Option<Vec<u8>>,
    more: bool,
}

impl Level {
    fn new(dir: Unlocked, prefix: Vec<u8>) -> Self {
        Self {
            dir,
            prefix,
            names: Vec::new().into_iter(),
            after: None,
            more: true,
        }
    }

    fn read_names(&mut self, hidden: &[&[u8]], cancel: &Cancel) -> Result<(), Failure> {
        let wanted = Wanted {
            after: self.after.as_deref(),
            hidden,
            count: NAMES.0,
            bytes: NAMES.1,
            prefix: 0,
        };
        let keep = |name: &[u8], _| Ok(!is_temporary_name(name));
        let Names { sorted, more } = names::first(self.dir.fd(), &wanted, keep, cancel)?;
        self.more = more;
        self.after = sorted.last().cloned();
        self.names = sorted.into_iter();
        Ok(())
    }
}

/// Visits all that is below `top`, directories before what is in them.
fn walk(top: Unlocked, visitor: &mut impl Visit, cancel: &Cancel) -> Result<(), Failure> {
    let mut levels = vec![Level::new(top, Vec::new())];
    while let Some(level) = levels.last_mut() {
        cancel.check()?;
        if let Some(name) = level.names.next() {
            let path = [&level.prefix[..], &name].concat();
            let at = At {
                dir: level.dir.fd(),
                name: &name,
                path: &path,
            };
            let below = visit(at, visitor).and_then(|below| enter(below, levels.len(), visitor));
            let below = below.map_err(|failure| named(&path, failure))?;
            levels.extend(below);
        } else if level.more {
            level.read_names(visitor.hidden(&level.prefix), cancel)?;
        } else {
            levels.pop();
        }
    }
    Ok(())
}

/// A directory with its path and what it is.
type Below = (Unlocked, Vec<u8>, Stat);

fn visit(at: At<'_>, visitor: &mut impl Visit) -> Result<Option<Below>, Failure> {
    let Some(stat) = still_there(statat(at.dir, at.name, AtFlags::SYMLINK_NOFOLLOW))? else {
        return Ok(None);
    };
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => visitor.file(at, &stat)?,
        FileType::Symlink => visitor.link(at, &stat)?,
        FileType::Directory => {
            let opened = visitor.open(at, &stat)?;
            return Ok(opened.map(|(dir, stat)| (dir, [at.path, b"/"].concat(), stat)));
        }
        _ => {}
    }
    Ok(None)
}

fn enter(
    below: Option<Below>,
    depth: usize,
    visitor: &mut impl Visit,
) -> Result<Option<Level>, Failure> {
    let Some((dir, prefix, stat)) = below else {
        return Ok(None);
    };
    if depth >= DEPTH {
        let detail = format!("more than {DEPTH} directories deep");
        return Err(Failure::new(Code::NameTooLong, detail));
    }
    visitor.directory(&prefix, &stat)?;
    Ok(Some(Level::new(dir, prefix)))
}

/// Opens the files of an archive.
struct Opener<'a> {
    patience: Patience,
    cancel: &'a Cancel,
}

impl<'a> Opener<'a> {
    fn new(cancel: &'a Cancel) -> Self {
        Self {
            patience: Patience::with_an_archive(),
            cancel,
        }
    }

    /// `None` when it is gone, or another thing by now.
    fn file(&mut self, at: At<'_>) -> Result<Option<(OwnedFd, Stat)>, Failure> {
        loop {
            match openat(at.dir, at.name, FILE, Mode::empty()) {
                Err(Errno::AGAIN) => self.patience.wait(self.cancel)?,
                opened => return with_stat(opened),
            }
        }
    }
}

fn open(at: At<'_>, flags: OFlags) -> Result<Option<(OwnedFd, Stat)>, Failure> {
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
fn target(at: At<'_>) -> Result<Option<Vec<u8>>, Failure> {
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
