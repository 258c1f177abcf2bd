//! A tar archive on its way into a directory, entry by entry, as it comes.
//!
//! Nothing of an archive is trusted:
//! - No path is absolute or has `..`. Below the directory no link is followed, whether
//!   the archive brings it or it is there ([`tree`]): so it stays beneath.
//! - A symbolic link may not lead out of the directory, nor a hard link be to anything
//!   but a file in it. Devices and FIFOs are refused; modes lose all but the 9 bits.
//! - [`ENTRIES`] entries; sizes by the request's limit, as the headers claim them, before
//!   anything is written; the headers of one entry by [`backup::HEADERS`].
//!
//! An archive of a backup is made again exactly as it says ([`exact`]): nothing follows
//! its links while it is unpacked, so they may lead anywhere.
//!
//! Every file comes whole or not at all, in place of what has its name. An archive does
//! not: what was unpacked before an error stays, and the error names the entry. It is on
//! the disk when the call is answered.

mod exact;
mod source;
mod tree;
mod way;

use std::io::Read as _;

use casemate_protocol::failure::Code;
use casemate_protocol::{Attribute, Failure, FailureExt as _, UploadBegin, UploadDone, backup};
use rustix::fs::OFlags;
use tar::{Archive, EntryType};

use self::exact::Modified;
use self::source::Source;
use self::tree::{EntryPath, Tree};
use super::archive::named;
use super::path::RelativePath;
use super::temporary::Temporary;
use super::upload::{Content, LOOK_EVERY, Transfer, must_be_free, too_large};
use super::{Workspace, attributes, failure};

/// Entries of one archive, other than a backup's.
const ENTRIES: u64 = 100_000;

/// Written at a time.
const BUFFER: usize = 64 * 1024;

type Entry<'a, 'b> = tar::Entry<'a, &'b Source>;

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
            tree: Tree::new(top, (!begin.exact).then_some(&self.name)),
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
        unpacking.run(&Source::new(content))?;
        unpacking.tree.finish()?;
        unpacking.done.attributes_lost += unpacking.tree.lost;
        Ok(unpacking.done)
    }
}

struct Unpacking<'a> {
    tree: Tree<'a>,
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

impl Unpacking<'_> {
    fn run(&mut self, source: &Source) -> Result<(), Failure> {
        let mut archive = Archive::new(source);
        let entries = archive.entries();
        let mut entries = entries.map_err(|error| source.failure(&error))?;
        let mut last = b"before the first entry".to_vec();
        loop {
            source.begin_headers();
            let Some(entry) = entries.next() else { break };
            let entry = entry.map_err(|error| {
                let failure = source.failure(&error);
                behind(&last, failure)
            });
            let mut entry = entry?;
            let headers = source.end_headers();
            last = entry.path_bytes().into_owned();
            let put = self.put(&mut entry, &last, &headers, source);
            put.map_err(|failure| named(&last, failure))?;
        }
        if source.ended() {
            let failure = bad("it ends without the mark of the end of an archive");
            return Err(behind(&last, failure));
        }
        source.drain().map_err(|failure| behind(&last, failure))
    }

    fn put(
        &mut self,
        entry: &mut Entry<'_, '_>,
        path: &[u8],
        headers: &[u8],
        source: &Source,
    ) -> Result<(), Failure> {
        self.transfer.cancel.check()?;
        self.done.entries += 1;
        let most = if self.exact { backup::ENTRIES } else { ENTRIES };
        if self.done.entries > most {
            return Err(bad(format!("more than {most} entries")));
        }
        self.claimed = self.claimed.saturating_add(entry.size());
        if self.claimed > self.limit {
            return Err(too_large(self.limit));
        }
        let bits = if self.exact { 0o7777 } else { 0o777 };
        let mode = entry.header().mode();
        let mode = mode.map_err(|error| bad(error.to_string()))? & bits;
        let (modified, attributes) = match self.exact {
            true => exact::records(entry, headers)?,
            false => (Modified::of_header(entry.header()), Vec::new()),
        };
        match entry.header().entry_type() {
            // Of all entries: nothing of it is used here.
            EntryType::XGlobalHeader => self.skip(entry, source),
            EntryType::Directory => {
                let path = EntryPath::parse(path)?;
                if self.exact {
                    let tree = &mut self.tree;
                    tree.exact_directory(&path, mode, modified, attributes)?;
                } else {
                    self.tree.directory(&path, mode)?;
                }
                self.skip(entry, source)
            }
            EntryType::Symlink => {
                let target = entry.link_name_bytes().unwrap_or_default().into_owned();
                let time = self.exact.then_some(modified);
                self.tree.symlink(&EntryPath::parse(path)?, &target, time)?;
                self.skip(entry, source)
            }
            EntryType::Link => {
                let target = entry.link_name_bytes().unwrap_or_default().into_owned();
                let target = EntryPath::parse(&target)?;
                self.tree.hard_link(&EntryPath::parse(path)?, &target)?;
                self.skip(entry, source)
            }
            // A directory, as the oldest archives have it.
            EntryType::Regular if path.ends_with(b"/") => {
                self.tree.directory(&EntryPath::parse(path)?, mode)?;
                self.skip(entry, source)
            }
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                let path = EntryPath::parse(path)?;
                self.file(entry, &path, (mode, modified, &attributes), source)
            }
            EntryType::Char | EntryType::Block | EntryType::Fifo => {
                Err(bad("a device or a FIFO, which is not unpacked"))
            }
            other => Err(bad(format!("an entry of type {:#04x}", other.as_byte()))),
        }
    }

    fn file(
        &mut self,
        entry: &mut Entry<'_, '_>,
        path: &EntryPath<'_>,
        (mode, modified, attributes): (u32, Modified, &[Attribute]),
        source: &Source,
    ) -> Result<(), Failure> {
        let size = entry.size();
        let sparse = self.exact && entry.header().entry_type() == EntryType::GNUSparse;
        let (dir, name) = self.tree.place(path)?;
        let file = Temporary::create(dir)?;
        let mut written = 0;
        loop {
            let read = entry.read(&mut self.buffer);
            let read = read.map_err(|error| source.failure(&error))?;
            if read == 0 {
                break;
            }
            if sparse && exact::is_zero(&self.buffer[..read]) {
                exact::skip(file.file(), read as u64)?;
            } else {
                file.write(&self.buffer[..read], self.transfer.cancel)?;
                self.looked += read as u64;
            }
            written += read as u64;
            if self.looked >= LOOK_EVERY {
                self.looked = 0;
                (self.transfer.room)()?;
            }
        }
        if written < size {
            return Err(bad("the archive ends in the middle of it"));
        }
        if sparse {
            exact::end_at(file.file(), size)?;
        }
        let lost = attributes::set_what_fits(file.file(), attributes);
        // After an ACL, which changes it.
        file.set_mode(mode)?;
        modified.set_on(file.file());
        file.take_place(name)?;
        self.done.attributes_lost += lost;
        self.done.size += size;
        Ok(())
    }

    /// So that behind it comes the next header.
    fn skip(&mut self, entry: &mut Entry<'_, '_>, source: &Source) -> Result<(), Failure> {
        loop {
            self.transfer.cancel.check()?;
            match entry.read(&mut self.buffer) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(error) => return Err(source.failure(&error)),
            }
        }
    }
}

fn bad(detail: impl Into<String>) -> Failure {
    Failure::new(Code::BadArchive, detail.into())
}

/// Where the archive is spoilt between two entries.
fn behind(last: &[u8], failure: Failure) -> Failure {
    let mut failure = named(last, failure);
    failure.detail.insert_str(0, "behind ");
    failure
}

#[cfg(test)]
pub(super) mod tests;
