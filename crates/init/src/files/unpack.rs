//! Unpacks a tar archive into a directory, entry by entry, while it is received.
//!
//! An archive is not trusted:
//! - No path is absolute or has `..`. Below the directory no link is followed, neither one of the
//!   archive nor an existing one ([`tree`]): so everything stays beneath the directory.
//! - A symbolic link is stored with any target: the user could make the same one with `ln -s`, and
//!   every path through it is resolved beneath when it is used. A hard link may only be to a file
//!   in the directory. Devices and FIFOs are refused; of a mode the 9 permission bits are kept.
//! - The number of entries is limited; sizes by the request's limit, as the headers claim them,
//!   before anything is written; the headers of one entry by [`HEADERS`].
//! - A record that says where data belongs is understood, or is an error ([`records`], [`sparse`]).
//!
//! The archive of a backup is restored exactly ([`exact`]); [`policy`] has the differences.
//!
//! Each file is replaced whole or not at all. The archive as a whole is not: it is unpacked while
//! it is received, as there may be no room to store it first. Entries that were stored before an
//! error stay; the error names its entry and counts them. All are on the disk when the call is
//! answered.

mod bad_archive;
mod exact;
mod link_target;
mod modified_time;
mod policy;
mod reader;
mod records;
mod source;
mod sparse;
mod sparse_records;
mod tree;

use casemate_protocol::backup::HEADERS;
use casemate_protocol::failure::Code;
use casemate_protocol::{Failure, UploadBegin, UploadDone};
use rustix::fs::OFlags;
use tar::EntryType;

use self::bad_archive::{after, bad};
use self::exact::EntryMetadata;
use self::modified_time::ModifiedTime;
use self::policy::Policy;
use self::reader::{Entry, Reader};
use self::source::ArchiveSource;
use self::sparse::Layout;
use self::tree::{EntryPath, Tree};
use super::archive::named;
use super::path::RelativePath;
use super::temporary::Temporary;
use super::upload::{Content, SPACE_CHECK_INTERVAL, Transfer, must_be_free, too_large};
use super::{Workspace, attributes, failure};

/// Written at a time.
const BUFFER: usize = 64 * 1024;

impl Workspace {
    /// Unpacks `content` into the directory, which is made if it does not exist.
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
        let policy = Policy::of(begin.exact);
        if policy.clears_home {
            exact::clear_home(&top);
        }
        (transfer.ready)()?;
        let mut unpacking = Unpacking {
            tree: Tree::new(top, policy),
            transfer,
            limit: begin.limit,
            policy,
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
    policy: &'static Policy,
    /// Bytes that the headers claimed until now.
    claimed: u64,
    /// Bytes since the last check of the disk's free space.
    looked: u64,
    done: UploadDone,
    buffer: Vec<u8>,
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
        let most = self.policy.max_entries;
        if self.done.entries >= most {
            return Err(bad(format!("more than {most} entries")));
        }
        let mode = entry.header.mode();
        let mode = mode.map_err(|error| bad(error.to_string()))? & self.policy.mode_bits;
        let kept = EntryMetadata {
            mode,
            modified: self.modified(entry)?,
            attributes: match self.policy.keeps_metadata {
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

    /// An entry without data; if it has some, the data is skipped.
    fn no_file(
        &mut self,
        kind: EntryType,
        entry: &Entry,
        path: &EntryPath<'_>,
        kept: EntryMetadata,
    ) -> Result<(), Failure> {
        match kind {
            EntryType::Directory if self.policy.keeps_metadata => {
                self.tree.exact_directory(path, kept)
            }
            EntryType::Directory => self.tree.directory(path, kept.mode),
            EntryType::Symlink => {
                let time = self.policy.keeps_metadata.then_some(kept.modified);
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

    /// To the second for an upload: the header has no more.
    fn modified(&self, entry: &Entry) -> Result<ModifiedTime, Failure> {
        let of_records = match self.policy.keeps_metadata {
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
        kept: &EntryMetadata,
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

#[cfg(test)]
pub(super) mod tests;
