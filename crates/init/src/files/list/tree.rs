//! The walk over a tree that fills a page.
//!
//! Invariants:
//! - No link is followed; every directory is opened by one name from the
//!   directory above.
//! - A directory holds no more names in memory than [`ListWalk::room`] gives it.
//! - A directory below which nothing can match the pattern is not opened.

use std::os::fd::OwnedFd;
use std::vec;

use casemate_protocol::Failure;
use casemate_protocol::entry::Type;
use rustix::fs::{FileType, Mode, OFlags, openat};
use rustix::io::Errno;

use super::page::Page;
use crate::files::entry::describe;
use crate::files::names::{self, NameQuery, Names};
use crate::files::pattern::Pattern;
use crate::files::{Cancel, failure};

/// Names and bytes of names that a walk with a pattern holds of its top
/// directory; of one at level n, 1/n² of it, which makes less than twice as much
/// in all. A directory is read again for every such number of directories in it
/// without a match.
const HELD_NAMES_LIMIT: (usize, usize) = (16 * 1024, 1024 * 1024);

pub(super) const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// A directory that is being listed.
struct ListLevel {
    dir: OwnedFd,
    /// Its path with a `/` at the end, as its entries are shown with it.
    prefix: Vec<u8>,
    names: vec::IntoIter<Vec<u8>>,
    /// The last name that was read; the next are read after it.
    after: Option<Vec<u8>>,
    /// It has, or may have, names after `after`.
    more: bool,
}

/// The entries of a tree that are shown.
pub(super) struct Selection<'a> {
    /// Levels of directories.
    pub(super) depth: usize,
    /// Names that are not shown at the top.
    pub(super) hidden: &'a [&'a [u8]],
    /// `None`: everything is shown.
    pub(super) pattern: Option<Pattern>,
}

impl Selection<'_> {
    /// Whether what has this path below the top is shown, a directory or not.
    fn shows(&mut self, path: &[u8]) -> Result<bool, Failure> {
        match &mut self.pattern {
            Some(pattern) => pattern.matches(path),
            None => Ok(true),
        }
    }

    /// Whether only directories are.
    fn only_directories(&self) -> bool {
        let pattern = self.pattern.as_ref();
        pattern.is_some_and(|pattern| pattern.directories_only)
    }

    /// Whether anything may be shown below the directory of this path, which is
    /// at `level`; 1: in the top itself.
    fn enters(&mut self, path: &[u8], level: usize) -> Result<bool, Failure> {
        if level >= self.depth || (level == 1 && self.hidden.contains(&path)) {
            return Ok(false);
        }
        match &mut self.pattern {
            Some(pattern) => pattern.may_match_below(path),
            None => Ok(true),
        }
    }

    /// Whether a name is worth holding. The kernel says of what type it is,
    /// except on a few file systems.
    fn wants(&mut self, path: &[u8], level: usize, kind: FileType) -> Result<bool, Failure> {
        let directory = matches!(kind, FileType::Directory | FileType::Unknown);
        if (directory || !self.only_directories()) && self.shows(path)? {
            return Ok(true);
        }
        Ok(directory && self.enters(path, level)?)
    }
}

/// Where a listing stands: the directories from the top to the one whose
/// entries come next.
pub(super) struct ListWalk<'a> {
    levels: Vec<ListLevel>,
    /// Bytes of the path of the request and its `/`, which patterns do not see.
    base: usize,
    selection: Selection<'a>,
    cancel: &'a Cancel,
}

impl<'a> ListWalk<'a> {
    /// Begins after `after`, or in it when it is a directory. `prefix` is the
    /// path of `top` with a `/` at its end, or empty.
    pub(super) fn begin(
        top: OwnedFd,
        prefix: Vec<u8>,
        after: &[&[u8]],
        selection: Selection<'a>,
        cancel: &'a Cancel,
    ) -> Result<Self, Failure> {
        let mut walk = Self {
            levels: Vec::new(),
            base: prefix.len(),
            selection,
            cancel,
        };
        let mut names = after.iter().copied();
        let mut next = Some((top, prefix));
        while let Some((dir, prefix)) = next {
            let name = names.next();
            let path = [&prefix[..], name.unwrap_or_default()].concat();
            walk.push(dir, prefix, name);
            next = match name {
                Some(name) => walk.open_below(name, &path)?,
                None => None,
            };
        }
        Ok(walk)
    }

    fn push(&mut self, dir: OwnedFd, prefix: Vec<u8>, after: Option<&[u8]>) {
        self.levels.push(ListLevel {
            dir,
            prefix,
            names: Vec::new().into_iter(),
            after: after.map(<[u8]>::to_vec),
            more: true,
        });
    }

    /// Adds entries until the page is full, its time over, or the tree done.
    pub(super) fn fill(&mut self, page: &mut Page) -> Result<(), Failure> {
        while let Some(level) = self.levels.last_mut() {
            self.cancel.check()?;
            if let Some(name) = level.names.next() {
                let path = [&level.prefix[..], &name].concat();
                if !self.visit(&name, &path, page)? || !page.passed(path) {
                    return Ok(());
                }
            } else if level.more {
                self.read_names(page)?;
            } else {
                self.levels.pop();
            }
        }
        Ok(())
    }

    /// Adds the entry of a name when it is shown, and goes into it when it is a
    /// directory. False when the page has no room for it.
    fn visit(&mut self, name: &[u8], path: &[u8], page: &mut Page) -> Result<bool, Failure> {
        let Some(level) = self.levels.last() else {
            return Ok(true);
        };
        if self.selection.shows(&path[self.base..])? {
            let Some(entry) = describe(&level.dir, name, path)? else {
                return Ok(true);
            };
            let directory = entry.r#type() == Type::Directory;
            if (directory || !self.selection.only_directories()) && !page.add(entry) {
                return Ok(false);
            }
            if !directory {
                return Ok(true);
            }
        }
        if let Some((dir, prefix)) = self.open_below(name, path)? {
            self.push(dir, prefix, None);
        }
        Ok(true)
    }

    /// The next names of the innermost directory. Some of a batch may be gone
    /// when they are looked at: then there is another.
    fn read_names(&mut self, page: &Page) -> Result<(), Failure> {
        let depth = self.levels.len();
        let (count, bytes) = self.room(page);
        let Some(level) = self.levels.last_mut() else {
            return Ok(());
        };
        let wanted = NameQuery {
            after: level.after.as_deref(),
            hidden: if depth == 1 {
                self.selection.hidden
            } else {
                &[]
            },
            count,
            bytes,
            prefix: level.prefix.len(),
        };
        let mut path = level.prefix[self.base..].to_vec();
        let parent = path.len();
        let keep = |name: &[u8], kind| {
            path.truncate(parent);
            path.extend_from_slice(name);
            self.selection.wants(&path, depth, kind)
        };
        let Names { sorted, more } = names::first(&level.dir, &wanted, keep, self.cancel)?;
        level.more = more;
        level.after = sorted.last().cloned().or(level.after.take());
        level.names = sorted.into_iter();
        Ok(())
    }

    /// Names, and bytes of names, that the innermost directory may hold: what
    /// the page has room for, and one more, to know whether there are more. With
    /// a pattern also directories that are not shown.
    fn room(&self, page: &Page) -> (usize, usize) {
        let room = (page.entries + 1, page.bytes);
        if self.selection.pattern.is_none() {
            return room;
        }
        let share = self.levels.len().pow(2).max(1);
        (
            room.0.max(HELD_NAMES_LIMIT.0 / share),
            room.1.max(HELD_NAMES_LIMIT.1 / share),
        )
    }

    /// Opens a directory of the innermost one, with its path and a `/`, unless
    /// nothing below it is shown, or it cannot be read, or is not there any more.
    fn open_below(
        &mut self,
        name: &[u8],
        path: &[u8],
    ) -> Result<Option<(OwnedFd, Vec<u8>)>, Failure> {
        let depth = self.levels.len();
        let Some(level) = self.levels.last() else {
            return Ok(None);
        };
        if !self.selection.enters(&path[self.base..], depth)? {
            return Ok(None);
        }
        match openat(&level.dir, name, DIRECTORY, Mode::empty()) {
            Ok(dir) => Ok(Some((dir, [path, b"/"].concat()))),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::ACCESS | Errno::PERM) => {
                Ok(None)
            }
            Err(errno) => Err(failure(errno)),
        }
    }
}
