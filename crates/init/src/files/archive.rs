//! Sends a directory as a tar archive, which is made while it is sent.
//!
//! - Files, directories and symbolic links, sorted by name; links as links, never
//!   followed. Sockets, FIFOs and devices are left out, as are `.casemate` at the top of
//!   the workspace and temporary files of ours.
//! - A sparse file comes as one (the old GNU format), with its data only.
//! - Memory and descriptors are bounded ([`mod@walk`]), and so is the depth
//!   ([`casemate_protocol::backup`]).
//!
//! In a download each hard link is a separate file. A file that cannot be read, or that becomes
//! shorter while it is sent, is an error, so that no client treats a part as the whole. Files that
//! cannot be read are looked for before anything is sent ([`check_readable()`]). Entries that
//! are removed before they are reached are left out. A [`backup`] has more in it.

pub(in crate::files) mod backup;
mod check;
mod entry;
mod extents;
mod readable;
mod walk;
mod writer;

use std::os::fd::OwnedFd;

use casemate_protocol::Failure;
use rustix::fs::{FileType, Stat};

use self::entry::{DIRECTORY, EntryRef, Opener, is, open, target};
use self::readable::ReadableDir;
use self::walk::{Visitor, walk};
use self::writer::Writer;
use super::Cancel;
use super::part_sender::PartSender;

/// Ours, and not the user's: output that was too long to be shown.
const OURS: &[&[u8]] = &[b".casemate"];

pub(super) use check::check_readable;
pub(super) use entry::{named, shown};
pub(super) use extents::Extent;

/// Sends the archive of all that is in `top`.
pub(super) fn send(
    top: OwnedFd,
    left_out: LeftOutNames,
    parts: &PartSender,
    cancel: &Cancel,
) -> Result<(), Failure> {
    let mut download = Download {
        left_out,
        out: Writer::new(parts, cancel, false),
        opener: Opener::new(cancel),
    };
    walk(top.into(), &mut download, cancel)?;
    download.out.finish()
}

/// The names that are not in a download.
#[derive(Debug, Clone, Copy)]
pub(super) struct LeftOutNames {
    /// At the top.
    at_the_top: &'static [&'static [u8]],
    /// Also all that begin with a dot, at any depth.
    hidden: bool,
}

impl LeftOutNames {
    pub(super) fn of_download(is_workspace: bool, hidden: bool) -> Self {
        Self {
            at_the_top: if is_workspace { OURS } else { &[] },
            hidden,
        }
    }

    /// Those of the directory `prefix`, besides hidden ones.
    fn at(&self, prefix: &[u8]) -> &[&[u8]] {
        if prefix.is_empty() {
            self.at_the_top
        } else {
            &[]
        }
    }

    fn has(&self, name: &[u8]) -> bool {
        self.hidden && name.starts_with(b".")
    }
}

struct Download<'a> {
    left_out: LeftOutNames,
    out: Writer<'a>,
    opener: Opener<'a>,
}

impl Visitor for Download<'_> {
    fn hidden(&self, prefix: &[u8]) -> &[&[u8]] {
        self.left_out.at(prefix)
    }

    fn leaves_out(&self, name: &[u8]) -> bool {
        self.left_out.has(name)
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

#[cfg(test)]
pub(super) mod tests;
