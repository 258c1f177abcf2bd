//! A directory on its way out as a tar archive, made while it is sent.
//!
//! - Files, directories and symbolic links, sorted by name; links as links, never
//!   followed. Sockets, FIFOs and devices are left out, as are `.casemate` at the top of
//!   the workspace and temporary files of ours. A hard link comes as a file of its own.
//! - A sparse file comes as one (the old GNU format), with its data only.
//! - What goes away meanwhile is left out; a file that becomes shorter while it is sent,
//!   or cannot be read, is an error: nobody takes the rest for the whole.
//! - Memory is bounded: [`DEPTH`] levels with [`NAMES`] names each at most.

mod extents;
mod writer;

use std::os::fd::OwnedFd;
use std::vec;

use casemate_protocol::failure::Code;
use casemate_protocol::{Failure, FailureExt as _};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, fstat, openat, readlinkat, statat};
use rustix::io::Errno;

use self::writer::Writer;
use super::download::Parts;
use super::names::{self, Names, Wanted};
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

/// Sends the archive of all that is in `top`.
pub(super) fn send(
    top: OwnedFd,
    is_workspace: bool,
    parts: &Parts,
    cancel: &Cancel,
) -> Result<(), Failure> {
    let mut tree = Tree {
        levels: Vec::new(),
        hidden: if is_workspace { OURS } else { &[] },
        out: Writer::new(parts, cancel),
        cancel,
    };
    tree.push(top, Vec::new());
    tree.run()?;
    tree.out.finish()
}

/// A directory whose entries are being sent.
struct Level {
    dir: OwnedFd,
    /// Its path with a `/` at its end, or empty.
    prefix: Vec<u8>,
    names: vec::IntoIter<Vec<u8>>,
    /// The last name that was read; the next are read behind it.
    after: Option<Vec<u8>>,
    more: bool,
}

struct Tree<'a> {
    levels: Vec<Level>,
    /// Names that are left out at the top.
    hidden: &'a [&'a [u8]],
    out: Writer<'a>,
    cancel: &'a Cancel,
}

impl Tree<'_> {
    fn push(&mut self, dir: OwnedFd, prefix: Vec<u8>) {
        self.levels.push(Level {
            dir,
            prefix,
            names: Vec::new().into_iter(),
            after: None,
            more: true,
        });
    }

    fn run(&mut self) -> Result<(), Failure> {
        while let Some(level) = self.levels.last_mut() {
            self.cancel.check()?;
            if let Some(name) = level.names.next() {
                let path = [&level.prefix[..], &name].concat();
                self.visit(&name, &path)
                    .map_err(|failure| named(&path, failure))?;
            } else if level.more {
                self.read_names()?;
            } else {
                self.levels.pop();
            }
        }
        Ok(())
    }

    fn read_names(&mut self) -> Result<(), Failure> {
        let top = self.levels.len() == 1;
        let Some(level) = self.levels.last_mut() else {
            return Ok(());
        };
        let wanted = Wanted {
            after: level.after.as_deref(),
            hidden: if top { self.hidden } else { &[] },
            count: NAMES.0,
            bytes: NAMES.1,
            prefix: 0,
        };
        let keep = |name: &[u8], _| Ok(!is_temporary_name(name));
        let Names { sorted, more } = names::first(&level.dir, &wanted, keep, self.cancel)?;
        level.more = more;
        level.after = sorted.last().cloned();
        level.names = sorted.into_iter();
        Ok(())
    }

    fn visit(&mut self, name: &[u8], path: &[u8]) -> Result<(), Failure> {
        let Some(level) = self.levels.last() else {
            return Ok(());
        };
        let dir = &level.dir;
        let Some(stat) = still_there(statat(dir, name, AtFlags::SYMLINK_NOFOLLOW))? else {
            return Ok(());
        };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => match open(dir, name, FILE)? {
                Some((file, stat)) if is(FileType::RegularFile, &stat) => {
                    self.out.file(path, &file, &stat)
                }
                _ => Ok(()),
            },
            FileType::Directory => match open(dir, name, DIRECTORY)? {
                Some((below, stat)) => self.enter(below, path, &stat),
                None => Ok(()),
            },
            FileType::Symlink => match still_there(readlinkat(dir, name, Vec::new()))? {
                Some(target) => self.out.link(path, target.as_bytes(), &stat),
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }

    fn enter(&mut self, dir: OwnedFd, path: &[u8], stat: &Stat) -> Result<(), Failure> {
        if self.levels.len() >= DEPTH {
            let detail = format!("more than {DEPTH} directories deep");
            return Err(Failure::new(Code::NameTooLong, detail));
        }
        let prefix = [path, b"/"].concat();
        self.out.directory(&prefix, stat)?;
        self.push(dir, prefix);
        Ok(())
    }
}

fn open(dir: &OwnedFd, name: &[u8], flags: OFlags) -> Result<Option<(OwnedFd, Stat)>, Failure> {
    let Some(fd) = still_there(openat(dir, name, flags, Mode::empty()))? else {
        return Ok(None);
    };
    let stat = fstat(&fd).map_err(failure)?;
    Ok(Some((fd, stat)))
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

/// A failure that says what it is of.
pub(super) fn named(path: &[u8], mut failure: Failure) -> Failure {
    /// Bytes of a path that are shown: its end says more than its beginning.
    const SHOWN: usize = 200;
    let (dots, shown) = match path.len().checked_sub(SHOWN) {
        Some(cut @ 1..) => ("…", &path[cut..]),
        _ => ("", path),
    };
    let said = std::mem::take(&mut failure.detail);
    failure.detail = format!(
        "{dots}{}: {said}",
        String::from_utf8_lossy(shown).escape_debug()
    );
    failure
}

#[cfg(test)]
pub(super) mod tests;
