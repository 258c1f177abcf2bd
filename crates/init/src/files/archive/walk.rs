//! Walks through all that is below a directory, to any depth that a backup can have.
//!
//! ```text
//!  top ─ level ─ … ─ level ─ level ─ … ─ level   ahead: into the last one
//!  open  closed, one name    open, names         back: open again, from the top, by names
//! ```
//!
//! Invariants:
//! - The kernel is given single names only, from descriptors that were reached in the same way,
//!   with O_NOFOLLOW: a path may be longer than the kernel takes, and the walk stays beneath the
//!   top even if user code exchanges directories.
//! - [`OPEN_DIRECTORY_LIMIT`] descriptors and [`OPEN_DIRECTORY_LIMIT`] times [`HELD_NAMES_LIMIT`]
//!   names at most; of the levels above there is one path for all, and the last name of each.

use std::os::fd::OwnedFd;
use std::vec;

use casemate_protocol::failure::Code;
use casemate_protocol::{Failure, FailureExt as _, backup};
use rustix::fs::{AtFlags, FileType, Stat, statat};

use super::entry::{EntryRef, is, named, still_there};
use super::readable::ReadableDir;
use crate::files::Cancel;
use crate::files::names::{self, NameQuery, Names};
use crate::files::temporary::is_temporary_name;

/// Levels that are open at a time, besides the top: PID 1 has 4,096 descriptors for all it
/// does, and a tree that people make is rarely deeper.
pub(super) const OPEN_DIRECTORY_LIMIT: usize = 64;

/// Names of one directory that are held at a time, and bytes of them. A larger
/// directory is read once for each such number.
pub(super) const HELD_NAMES_LIMIT: (usize, usize) = (2048, 32 * 1024);

/// Handles the entries of a tree, in order.
pub(super) trait Visitor {
    /// Names that are left out of the directory `prefix`, which ends with a `/` or is
    /// empty.
    fn hidden(&self, prefix: &[u8]) -> &[&[u8]];
    /// Whether a name is left out of every directory.
    fn leaves_out(&self, _: &[u8]) -> bool {
        false
    }
    fn file(&mut self, at: EntryRef<'_>, stat: &Stat) -> Result<(), Failure>;
    fn link(&mut self, at: EntryRef<'_>, stat: &Stat) -> Result<(), Failure>;
    /// Opens a directory; `None` when it is gone.
    fn open(&self, at: EntryRef<'_>, stat: &Stat) -> Result<Option<(ReadableDir, Stat)>, Failure>;
    /// `path` ends with a `/`.
    fn directory(&mut self, path: &[u8], dir: &OwnedFd, stat: &Stat) -> Result<(), Failure>;
    /// A socket, a FIFO or a device, which no archive has; by default it is ignored.
    fn special(&mut self, _: EntryRef<'_>) {}
}

/// A directory whose entries are being visited.
struct ArchiveLevel {
    /// `None`: it is too far above the last one to stay open.
    dir: Option<ReadableDir>,
    /// How much of the path is its own, with a `/` at its end, or nothing.
    prefix: usize,
    names: vec::IntoIter<Vec<u8>>,
    /// The last name that was read; the next are read after it.
    after: Option<Vec<u8>>,
    more: bool,
}

impl ArchiveLevel {
    fn new(dir: ReadableDir, prefix: usize) -> Self {
        Self {
            dir: Some(dir),
            prefix,
            names: Vec::new().into_iter(),
            after: None,
            more: true,
        }
    }

    fn read_names(
        &mut self,
        dir: &OwnedFd,
        prefix: &[u8],
        visitor: &impl Visitor,
        cancel: &Cancel,
    ) -> Result<(), Failure> {
        let wanted = NameQuery {
            after: self.after.as_deref(),
            hidden: visitor.hidden(prefix),
            count: HELD_NAMES_LIMIT.0,
            bytes: HELD_NAMES_LIMIT.1,
            prefix: 0,
        };
        let keep = |name: &[u8], _| Ok(!is_temporary_name(name) && !visitor.leaves_out(name));
        let Names { sorted, more } = names::first(dir, &wanted, keep, cancel)?;
        self.more = more;
        self.after = sorted.last().cloned();
        self.names = sorted.into_iter();
        Ok(())
    }

    /// Closes it, on the way down through `name`: the names after that are read again.
    fn close(&mut self, name: &[u8]) {
        self.dir = None;
        self.names = Vec::new().into_iter();
        self.after = Some(name.to_vec());
        self.more = true;
    }
}

/// Visits all that is below `top`, directories before what is in them.
pub(super) fn walk(
    top: ReadableDir,
    visitor: &mut impl Visitor,
    cancel: &Cancel,
) -> Result<(), Failure> {
    let mut walk = ArchiveWalk {
        path: Vec::new(),
        levels: vec![ArchiveLevel::new(top, 0)],
    };
    while walk.step(visitor, cancel)? {}
    Ok(())
}

struct ArchiveWalk {
    /// Of the entry that is visited; of each level, a beginning of it.
    path: Vec<u8>,
    /// From the top. That and the last [`OPEN_DIRECTORY_LIMIT`] are open.
    levels: Vec<ArchiveLevel>,
}

impl ArchiveWalk {
    /// One entry, or one look for names; whether there is more.
    fn step(&mut self, visitor: &mut impl Visitor, cancel: &Cancel) -> Result<bool, Failure> {
        cancel.check()?;
        let Some(mut level) = self.levels.pop() else {
            return Ok(false);
        };
        let Some(dir) = level.dir.take() else {
            self.levels.push(level);
            self.open_again(visitor, cancel)?;
            return Ok(true);
        };
        self.path.truncate(level.prefix);
        if let Some(name) = level.names.next() {
            self.path.extend_from_slice(&name);
            let at = EntryRef {
                dir: dir.fd(),
                name: &name,
                path: &self.path,
            };
            let below = visit(at, visitor).map_err(|failure| named(&self.path, failure))?;
            level.dir = Some(dir);
            self.levels.push(level);
            if let Some(below) = below {
                self.go_down(below, visitor)?;
            }
        } else if level.more {
            level.read_names(dir.fd(), &self.path, &*visitor, cancel)?;
            level.dir = Some(dir);
            self.levels.push(level);
        }
        Ok(true)
    }

    fn go_down(
        &mut self,
        (dir, stat): (ReadableDir, Stat),
        visitor: &mut impl Visitor,
    ) -> Result<(), Failure> {
        let end = self.path.len();
        self.path.push(b'/');
        let entered = visitor.directory(&self.path, dir.fd(), &stat);
        entered.map_err(|failure| named(&self.path[..end], failure))?;
        self.levels.push(ArchiveLevel::new(dir, self.path.len()));
        self.close_what_is_far(self.levels.len());
        Ok(())
    }

    /// Closes the level that is too far above the last of so many; never the top.
    fn close_what_is_far(&mut self, levels: usize) {
        let Some(far @ 1..) = levels.checked_sub(OPEN_DIRECTORY_LIMIT + 1) else {
            return;
        };
        let name = self.name_of(far + 1).to_vec();
        self.levels[far].close(&name);
    }

    /// What a level is called in the one above it.
    fn name_of(&self, level: usize) -> &[u8] {
        let (begin, end) = (self.levels[level - 1].prefix, self.levels[level].prefix);
        &self.path[begin..end - 1]
    }

    /// Opens the levels again, from the top, as the last of them is closed. One that is
    /// gone by now is left, with all below it.
    fn open_again(&mut self, visitor: &mut impl Visitor, cancel: &Cancel) -> Result<(), Failure> {
        for number in 1..self.levels.len() {
            cancel.check()?;
            if self.levels[number].dir.is_some() {
                continue;
            }
            let Some(above) = &self.levels[number - 1].dir else {
                break;
            };
            let at = EntryRef {
                dir: above.fd(),
                name: self.name_of(number),
                path: &self.path[..self.levels[number].prefix - 1],
            };
            let opened = open(at, visitor).map_err(|failure| named(at.path, failure))?;
            let Some((dir, _)) = opened else {
                self.levels.truncate(number);
                break;
            };
            self.levels[number].dir = Some(dir);
            if let Some(far @ 1..) = number.checked_sub(OPEN_DIRECTORY_LIMIT) {
                self.levels[far].dir = None;
            }
        }
        Ok(())
    }
}

/// Visits the entry of a name; a directory is opened.
fn visit(
    at: EntryRef<'_>,
    visitor: &mut impl Visitor,
) -> Result<Option<(ReadableDir, Stat)>, Failure> {
    let beyond =
        |beyond: backup::ExceededLimit| Failure::new(Code::NameTooLong, beyond.to_string());
    backup::check_path(at.path).map_err(beyond)?;
    let Some(stat) = still_there(statat(at.dir, at.name, AtFlags::SYMLINK_NOFOLLOW))? else {
        return Ok(None);
    };
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => visitor.file(at, &stat)?,
        FileType::Symlink => visitor.link(at, &stat)?,
        FileType::Directory => return visitor.open(at, &stat),
        _ => visitor.special(at),
    }
    Ok(None)
}

/// The directory that was there before, or what is there in its place.
fn open(at: EntryRef<'_>, visitor: &impl Visitor) -> Result<Option<(ReadableDir, Stat)>, Failure> {
    match still_there(statat(at.dir, at.name, AtFlags::SYMLINK_NOFOLLOW))? {
        Some(stat) if is(FileType::Directory, &stat) => visitor.open(at, &stat),
        _ => Ok(None),
    }
}
