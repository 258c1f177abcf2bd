//! Listing a directory, or a tree of them, page by page.
//!
//! Entries come in pre-order, each directory sorted by the bytes of its names,
//! so a page can begin behind any path, also one that is gone by now: nothing
//! is kept between pages.
//!
//! Invariants:
//! - No link is followed below the path of the request; every directory is
//!   opened by one name from the directory above.
//! - A directory holds no more names in memory than the page has room for
//!   ([`names`]); open are [`MAX_DEPTH`] directories at most.

use std::os::fd::OwnedFd;
use std::vec;

use casemate_protocol::entry::Type;
use casemate_protocol::{Entry, Failure, ListFilesReply, ListFilesRequest};
use rustix::fs::{FileType, Mode, OFlags, fstat, openat};
use rustix::io::Errno;

use super::entry::{describe, entry};
use super::names::{self, Names, Wanted};
use super::path::{RelativePath, check_name};
use super::{Cancel, Workspace, failure, invalid};

/// Entries of one page: more than a model reads at once.
const MAX_LIMIT: u32 = 5_000;

/// Levels of directories below the path, each of which is open while it is
/// listed: a small part of the container's 4,096 descriptors.
const MAX_DEPTH: u32 = 64;

/// Bytes of paths and targets of one page: with the rest of 5,000 entries they
/// fit a message of 4 MiB.
const MAX_CHARS: u32 = 1024 * 1024;

/// Longest cursor: a path of a request and [`MAX_DEPTH`] names below it.
const MAX_AFTER: usize = 4096 + 64 * 256;

/// Our own directories at the top of the workspace.
const HIDDEN: [&[u8]; 2] = [b".casemate", b".home"];

const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

impl Workspace {
    /// The entries of a directory to `depth` levels (1: its own), or the one
    /// entry of anything else. Links are shown, not followed; in the path of
    /// the request they are.
    pub(crate) fn list_files(
        &self,
        request: &ListFilesRequest,
        cancel: &Cancel,
    ) -> Result<ListFilesReply, Failure> {
        check_bounds(request)?;
        let path = RelativePath::parse(&request.path)?;
        let after = names_below(path, &request.after)?;
        let found = self.open_beneath(path, OFlags::PATH, cancel)?;
        let stat = fstat(&found).map_err(failure)?;
        let mut page = Page::new(request);
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            if request.after.is_empty() {
                page.add(entry(path.as_str().as_bytes(), &stat));
            }
            return Ok(page.reply);
        }
        let top = openat(&found, ".", DIRECTORY, Mode::empty()).map_err(failure)?;
        let mut walk = Walk {
            levels: Vec::new(),
            depth: usize::try_from(request.depth).unwrap_or(usize::MAX),
            hidden: if path.is_root() { &HIDDEN } else { &[] },
            cancel,
        };
        walk.begin(top, path, &after)?;
        walk.fill(&mut page)?;
        Ok(page.reply)
    }
}

fn check_bounds(request: &ListFilesRequest) -> Result<(), Failure> {
    let bounded = (1..=MAX_LIMIT).contains(&request.limit)
        && (1..=MAX_DEPTH).contains(&request.depth)
        && (1..=MAX_CHARS).contains(&request.max_chars)
        && request.after.len() <= MAX_AFTER;
    if bounded {
        Ok(())
    } else {
        Err(invalid("a bound of ListFiles is 0 or too large"))
    }
}

/// The names of the cursor below the path that is listed.
fn names_below<'a>(path: RelativePath<'_>, after: &'a [u8]) -> Result<Vec<&'a [u8]>, Failure> {
    if after.is_empty() {
        return Ok(Vec::new());
    }
    let mut names = after.split(|byte| *byte == b'/');
    for expected in path.components() {
        if names.next() != Some(expected.as_bytes()) {
            return Err(invalid("the cursor is not of this path"));
        }
    }
    let names: Vec<_> = names.collect();
    names.iter().try_for_each(|name| check_name(name))?;
    Ok(names)
}

/// The answer as it grows.
struct Page {
    reply: ListFilesReply,
    entries: usize,
    bytes: usize,
}

impl Page {
    fn new(request: &ListFilesRequest) -> Self {
        Self {
            reply: ListFilesReply::default(),
            entries: usize::try_from(request.limit).unwrap_or(usize::MAX),
            bytes: usize::try_from(request.max_chars).unwrap_or(usize::MAX),
        }
    }

    /// Adds an entry, or notes that there are more when it has no room. The
    /// first has room in any case: a page without it could not be gone past.
    fn add(&mut self, entry: Entry) -> bool {
        let bytes = entry.path.len() + entry.target.len();
        let first = self.reply.entries.is_empty();
        if !first && (self.entries == 0 || bytes > self.bytes) {
            self.reply.more = true;
            return false;
        }
        self.entries -= 1;
        self.bytes = self.bytes.saturating_sub(bytes);
        self.reply.entries.push(entry);
        true
    }
}

/// A directory that is being listed.
struct Level {
    dir: OwnedFd,
    /// Its path with a `/` at the end, as its entries are shown with it.
    prefix: Vec<u8>,
    names: vec::IntoIter<Vec<u8>>,
    /// The last name that was read; the next are read behind it.
    after: Option<Vec<u8>>,
    /// It has, or may have, names behind `after`.
    more: bool,
}

/// Where a listing stands: the directories from the top to the one whose
/// entries come next.
struct Walk<'a> {
    levels: Vec<Level>,
    depth: usize,
    /// Names that are not shown at the top.
    hidden: &'a [&'a [u8]],
    cancel: &'a Cancel,
}

impl Walk<'_> {
    /// Goes to where the page before ended: behind `after`, and into it when
    /// it is a directory.
    fn begin(
        &mut self,
        top: OwnedFd,
        path: RelativePath<'_>,
        after: &[&[u8]],
    ) -> Result<(), Failure> {
        let mut prefix = path.as_str().as_bytes().to_vec();
        if !path.is_root() {
            prefix.push(b'/');
        }
        let mut dir = top;
        let mut names = after.iter().copied();
        loop {
            let name = names.next();
            let path = [&prefix[..], name.unwrap_or_default()].concat();
            self.push(dir, prefix, name);
            let Some(name) = name else { return Ok(()) };
            match self.open_below(name)? {
                Some(below) => dir = below,
                None => return Ok(()),
            }
            prefix = [&path[..], b"/"].concat();
        }
    }

    fn push(&mut self, dir: OwnedFd, prefix: Vec<u8>, after: Option<&[u8]>) {
        self.levels.push(Level {
            dir,
            prefix,
            names: Vec::new().into_iter(),
            after: after.map(<[u8]>::to_vec),
            more: true,
        });
    }

    /// Adds entries until the page is full or the tree is done.
    fn fill(&mut self, page: &mut Page) -> Result<(), Failure> {
        while let Some(level) = self.levels.last_mut() {
            self.cancel.check()?;
            let Some(name) = level.names.next() else {
                if level.more {
                    self.read_names(page)?;
                } else {
                    self.levels.pop();
                }
                continue;
            };
            let path = [&level.prefix[..], &name].concat();
            let Some(entry) = describe(&level.dir, &name, &path)? else {
                continue;
            };
            let directory = entry.r#type() == Type::Directory;
            if !page.add(entry) {
                return Ok(());
            }
            if directory && let Some(dir) = self.open_below(&name)? {
                self.push(dir, [&path[..], b"/"].concat(), None);
            }
        }
        Ok(())
    }

    /// The next names of the innermost directory. Some of a batch may be gone
    /// when they are looked at: then there is another.
    fn read_names(&mut self, page: &Page) -> Result<(), Failure> {
        let top = self.levels.len() == 1;
        let Some(level) = self.levels.last_mut() else {
            return Ok(());
        };
        let wanted = Wanted {
            after: level.after.as_deref(),
            hidden: if top { self.hidden } else { &[] },
            // One more, to know whether there are more.
            count: page.entries + 1,
            bytes: page.bytes,
            prefix: level.prefix.len(),
        };
        let Names { sorted, more } = names::first(&level.dir, &wanted, self.cancel)?;
        level.more = more;
        level.after = sorted.last().cloned().or(level.after.take());
        level.names = sorted.into_iter();
        Ok(())
    }

    /// Opens a directory of the innermost one, unless it is deeper than is
    /// asked for, hidden, not readable, or not there any more.
    fn open_below(&self, name: &[u8]) -> Result<Option<OwnedFd>, Failure> {
        let hidden = self.levels.len() == 1 && self.hidden.contains(&name);
        let Some(level) = self.levels.last() else {
            return Ok(None);
        };
        if hidden || self.levels.len() >= self.depth {
            return Ok(None);
        }
        match openat(&level.dir, name, DIRECTORY, Mode::empty()) {
            Ok(dir) => Ok(Some(dir)),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::ACCESS | Errno::PERM) => {
                Ok(None)
            }
            Err(errno) => Err(failure(errno)),
        }
    }
}

#[cfg(test)]
mod tests;
