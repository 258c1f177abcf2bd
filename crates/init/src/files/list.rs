//! Listing a directory, or a tree of them, page by page.
//!
//! Entries come in pre-order, each directory sorted by the bytes of its names,
//! so a page can begin after any path, even one that is gone by now: nothing is kept between
//! pages. Only entries that are shown get a `stat`; all names of a directory are read for each
//! page, because the kernel does not sort them.
//!
//! ```text
//!  list ──► tree ──► names, pattern    which names are wanted, in order
//!            └────► entry ──► page     what each is, until the page is full
//! ```

mod page;
mod tree;

use std::time::Duration;

use casemate_protocol::{Failure, ListFilesReply, ListFilesRequest};
use rustix::fs::{FileType, Mode, OFlags, fstat, openat};

use self::page::Page;
use self::tree::{DIRECTORY, ListWalk, Selection};
use super::entry::entry;
use super::path::{RelativePath, check_name};
use super::pattern::Pattern;
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

/// How long one page looks for entries. A pattern that matches nothing in a
/// million directories takes longer than a call has; so the page ends, and the
/// next goes on.
const PAGE_TIMEOUT: Duration = Duration::from_secs(5);

/// Our own directories at the top of the workspace.
const HIDDEN: [&[u8]; 2] = [b".casemate", b".home"];

impl Workspace {
    /// The entries of a directory to `depth` levels (1: its own) that match the
    /// pattern, or the one entry of anything else. Links are shown, not followed;
    /// in the path of the request they are.
    pub(crate) fn list_files(
        &self,
        request: &ListFilesRequest,
        cancel: &Cancel,
    ) -> Result<ListFilesReply, Failure> {
        self.list_for(PAGE_TIMEOUT, request, cancel)
    }

    fn list_for(
        &self,
        time: Duration,
        request: &ListFilesRequest,
        cancel: &Cancel,
    ) -> Result<ListFilesReply, Failure> {
        check_bounds(request)?;
        let path = RelativePath::parse(&request.path)?;
        let pattern = Pattern::parse(&request.pattern)?;
        let after = names_below(path, &request.after)?;
        let found = self.open_beneath(path, OFlags::PATH, cancel)?;
        let mut page = Page::new(request, time);
        let stat = fstat(&found).map_err(failure)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            if request.after.is_empty() && shows_file(pattern, path)? {
                page.add(entry(path.as_bytes(), &stat));
            }
            return Ok(page.into_reply());
        }
        let top = openat(&found, ".", DIRECTORY, Mode::empty()).map_err(failure)?;
        let selection = Selection {
            depth: usize::try_from(request.depth).unwrap_or(usize::MAX),
            hidden: if path.is_root() { &HIDDEN } else { &[] },
            pattern,
        };
        ListWalk::begin(top, prefix(path), &after, selection, cancel)?.fill(&mut page)?;
        Ok(page.into_reply())
    }
}

fn prefix(path: RelativePath<'_>) -> Vec<u8> {
    let slash: &[u8] = if path.is_root() { b"" } else { b"/" };
    [path.as_bytes(), slash].concat()
}

/// The pattern for a path that is no directory: of what is below its parent.
fn shows_file(pattern: Option<Pattern>, path: RelativePath<'_>) -> Result<bool, Failure> {
    match pattern {
        Some(pattern) if pattern.directories_only => Ok(false),
        Some(mut pattern) => pattern.matches(path.split_last().1),
        None => Ok(true),
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
        if names.next() != Some(expected) {
            return Err(invalid("the cursor is not of this path"));
        }
    }
    let names: Vec<_> = names.collect();
    names.iter().try_for_each(|name| check_name(name))?;
    Ok(names)
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_with_patterns;
