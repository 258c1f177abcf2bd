//! A tar archive on its way into a directory, entry by entry, as it comes.
//!
//! Nothing of an archive is trusted:
//! - No path is absolute or has `..`. Below the directory no link is followed, whether
//!   the archive brings it or it is there ([`tree`]): so it stays beneath.
//! - A symbolic link is stored as it is, wherever it leads: the user could make the same one
//!   with `ln -s`, and every path through it is resolved beneath when it is used. A hard link
//!   may be to nothing but a file in the directory. Devices and FIFOs are refused; modes lose
//!   all but the 9 bits.
//! - [`ENTRY_LIMIT`] entries; sizes by the request's limit, as the headers claim them, before
//!   anything is written; the headers of one entry by [`HEADERS`].
//! - What says where data belongs is understood, or is an error ([`records`], [`sparse`]).
//!
//! An archive of a backup is made again exactly as it says ([`exact`]).
//!
//! Every file comes whole or not at all, in place of what has its name. An archive does
//! not: it is unpacked as it comes, for there may be no room to hold it first. What was
//! stored before an error stays; the error names its entry and says how many were. It is on
//! the disk when the call is answered.

mod exact;
mod link_target;
mod reader;
mod records;
mod source;
mod sparse;
mod tree;

use casemate_protocol::backup::{self, HEADERS};
use casemate_protocol::failure::Code;
use casemate_protocol::{Attribute, Failure, FailureExt as _, UploadBegin, UploadDone};
use rustix::fs::OFlags;
use tar::EntryType;

use self::exact::ModifiedTime;
use self::reader::{Entry, Reader};
use self::source::ArchiveSource;
use self::sparse::Layout;
use self::tree::{EntryPath, Tree};
use super::archive::{named, shown};
use super::path::RelativePath;
use super::temporary::Temporary;
use super::upload::{Content, SPACE_CHECK_INTERVAL, Transfer, must_be_free, too_large};
use super::{Workspace, attributes, failure};

/// Entries of one archive, other than a backup's.
const ENTRY_LIMIT: u64 = 100_000;

/// Written at a time.
const BUFFER: usize = 64 * 1024;

impl Workspace {
    /// Unpacks `content` into the directory, which is made where there is none.
    pub(super) fn unpack(
        &self,
        path: RelativePath<'_>,
        begin: &UploadBegin,
        content: Content,
        transfer: &Transfer<'_>,
    ) -> Result<UploadDone, Failure> {
        let there = OFlags::PATH | OFlags::DIRECTORY;
        let created = match self.open_beneath(path, there, transfer.cancel) {
            Err(failure) if failure.code() == Code::NotFound => true,
            Ok(_) if begin.create_new => {
                return Err(failure(rustix::io::Errno::EXIST));
            }
            found => found.map(|_| false)?,
        };
        if begin.create_new {
            let (parent, name) = path.split_last();
            must_be_free(&self.directory(parent, transfer.cancel)?, name)?;
        }
        let top = self.directory(path, transfer.cancel)?;
        if begin.exact {
            exact::clear_home(&top);
        }
        (transfer.ready)()?;
        let mut unpacking = Unpacking {
            tree: Tree::new(top, begin.exact),
            transfer,
            limit: begin.limit,
            exact: begin.exact,
            claimed: 0,
            looked: 0,
            done: UploadDone {
                created,
                ..UploadDone::default()
            },
            buffer: vec![0; BUFFER],
        };
        let run = unpacking.run(&ArchiveSource::new(content));
        let run = run.and_then(|()| unpacking.tree.finish());
        run.map_err(|failure| Failure {
            stored: unpacking.done.entries,
            ..failure
        })?;
        unpacking.done.attributes_lost += unpacking.tree.lost;
        Ok(unpacking.done)
    }
}

struct Unpacking<'a> {
    tree: Tree,
    transfer: &'a Transfer<'a>,
    limit: u64,
    /// It is a backup.
    exact: bool,
    /// Bytes that the headers claimed until now.
    claimed: u64,
    /// Bytes after which it was last looked at the disk's free space.
    looked: u64,
    done: UploadDone,
    buffer: Vec<u8>,
}

/// What an entry has beside its content.
struct Kept {
    /// Permission bits.
    mode: u32,
    modified: ModifiedTime,
    /// A backup's.
    attributes: Vec<Attribute>,
}

impl Unpacking<'_> {
    fn run(&mut self, source: &ArchiveSource) -> Result<(), Failure> {
        let mut reader = Reader::new(source);
        let mut last: Option<Vec<u8>> = None;
        loop {
            let next = reader.next();
            let next = next.map_err(|failure| after(last.as_deref(), failure))?;
            let Some(mut entry) = next else { break };
            source.allow(u64::MAX);
            let put = self.put(&mut entry, &mut reader, source);
            put.map_err(|failure| named(&entry.path, failure))?;
            self.done.entries += 1;
            last = Some(entry.path);
        }
        if source.ended() {
            let failure = bad("it ends without the mark of the end of an archive");
            return Err(after(last.as_deref(), failure));
        }
        // What pads the archive.
        source.allow(HEADERS);
        let padding = source.drain();
        padding.map_err(|failure| after(last.as_deref(), failure))
    }

    fn put(
        &mut self,
        entry: &mut Entry,
        reader: &mut Reader<'_>,
        source: &ArchiveSource,
    ) -> Result<(), Failure> {
        self.transfer.cancel.check()?;
        let most = if self.exact {
            backup::ENTRIES
        } else {
            ENTRY_LIMIT
        };
        if self.done.entries >= most {
            return Err(bad(format!("more than {most} entries")));
        }
        let bits = if self.exact { 0o7777 } else { 0o777 };
        let mode = entry.header.mode();
        let mode = mode.map_err(|error| bad(error.to_string()))? & bits;
        let kept = Kept {
            mode,
            modified: self.modified(entry)?,
            attributes: match self.exact {
                true => exact::attributes(&mut entry.records)?,
                false => Vec::new(),
            },
        };
        let path = EntryPath::parse(&entry.path)?;
        match entry.header.entry_type() {
            // A directory, as the oldest archives have it.
            EntryType::Regular if entry.path.ends_with(b"/") => {
                self.claim(entry.stored)?;
                self.tree.directory(&path, mode)
            }
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                let layout = Layout::of(entry, reader, source, |size| self.claim(size))?;
                self.file(&layout, reader, &path, &kept)
            }
            kind => {
                self.claim(entry.stored)?;
                self.no_file(kind, entry, &path, kept)
            }
        }
    }

    /// What has no data; where it has some, that is passed over.
    fn no_file(
        &mut self,
        kind: EntryType,
        entry: &Entry,
        path: &EntryPath<'_>,
        kept: Kept,
    ) -> Result<(), Failure> {
        match kind {
            EntryType::Directory if self.exact => self.tree.exact_directory(path, kept),
            EntryType::Directory => self.tree.directory(path, kept.mode),
            EntryType::Symlink => {
                let time = self.exact.then_some(kept.modified);
                self.tree.symlink(path, &entry.target, time)
            }
            EntryType::Link => {
                let target = EntryPath::parse(&entry.target)?;
                self.tree.hard_link(path, &target)
            }
            EntryType::Char | EntryType::Block | EntryType::Fifo => {
                Err(bad("a device or a FIFO, which is not unpacked"))
            }
            other => Err(bad(format!("an entry of type {:#04x}", other.as_byte()))),
        }
    }

    /// In a user's archive to the second: that is what the header has.
    fn modified(&self, entry: &Entry) -> Result<ModifiedTime, Failure> {
        let of_records = match self.exact {
            true => entry.records.modified()?,
            false => None,
        };
        Ok(of_records.unwrap_or_else(|| ModifiedTime::of_header(&entry.header)))
    }

    /// Counts what a header claims, before any of it is written.
    fn claim(&mut self, size: u64) -> Result<(), Failure> {
        self.claimed = self.claimed.saturating_add(size);
        if self.claimed > self.limit {
            return Err(too_large(self.limit));
        }
        Ok(())
    }

    fn file(
        &mut self,
        layout: &Layout,
        reader: &mut Reader<'_>,
        path: &EntryPath<'_>,
        kept: &Kept,
    ) -> Result<(), Failure> {
        let (dir, name) = self.tree.place(path)?;
        let file = Temporary::create(dir)?;
        let mut end = 0;
        for extent in &layout.extents {
            exact::skip(file.file(), extent.at - end)?;
            end = extent.at + extent.length;
            let mut left = extent.length;
            while left > 0 {
                let most = usize::try_from(left).map_or(BUFFER, |left| left.min(BUFFER));
                let read = reader.read(&mut self.buffer[..most])?;
                if read == 0 {
                    return Err(bad("the archive ends in the middle of it"));
                }
                file.write(&self.buffer[..read], self.transfer.cancel)?;
                left -= read as u64;
                self.looked += read as u64;
                if self.looked >= SPACE_CHECK_INTERVAL {
                    self.looked = 0;
                    (self.transfer.room)()?;
                }
            }
        }
        if layout.has_holes() {
            exact::end_at(file.file(), layout.size)?;
        }
        let lost = attributes::set_what_fits(file.file(), &kept.attributes);
        // After an ACL, which changes it.
        file.set_mode(kept.mode)?;
        kept.modified.set_on(file.file());
        file.take_place(name)?;
        self.done.attributes_lost += lost;
        self.done.size += layout.size;
        Ok(())
    }
}

fn bad(detail: impl Into<String>) -> Failure {
    Failure::new(Code::BadArchive, detail.into())
}

/// Where the archive is spoilt between two entries.
fn after(last: Option<&[u8]>, failure: Failure) -> Failure {
    let place = match last {
        Some(last) => format!("after {}", shown(last)),
        None => "before the first entry".to_owned(),
    };
    Failure {
        detail: format!("{place}: {}", failure.detail),
        ..failure
    }
}

#[cfg(test)]
pub(super) mod tests;
