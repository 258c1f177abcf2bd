//! The entries of an archive, one after the other, each with what the headers before it say of
//! it (tar(5); pax(1), "pax Interchange Format"; GNU tar, "Basic Tar Format").
//!
//! ```text
//! [long name] [long target] [records] header data padding   [..] header data padding   two zero blocks
//! └──────────────────── one entry ──────────────────────┘
//! ```
//!
//! Not by the tar library: it splits records at line breaks, which names and other values may
//! have, and leaves out what it does not understand.

use std::io::{self, Read as _};

use casemate_protocol::Failure;
use casemate_protocol::backup::{BLOCK, HEADERS};
use tar::{EntryType, Header};

use super::bad_archive::bad;
use super::records::Records;
use super::source::ArchiveSource;

/// An entry. Its data is read from the [`Reader`].
pub(super) struct Entry {
    pub(super) header: Header,
    pub(super) path: Vec<u8>,
    /// Of a link.
    pub(super) target: Vec<u8>,
    /// Bytes of data that the archive has of it.
    pub(super) stored: u64,
    pub(super) records: Records,
}

pub(super) struct Reader<'s> {
    source: &'s ArchiveSource,
    /// Data of the entry that was not read yet, and what pads it.
    data: u64,
    padding: u64,
}

/// What the headers before that of an entry say.
#[derive(Default)]
struct PendingHeaders {
    path: Option<Vec<u8>>,
    target: Option<Vec<u8>>,
    records: Option<Records>,
}

impl<'s> Reader<'s> {
    pub(super) fn new(source: &'s ArchiveSource) -> Self {
        Self {
            source,
            data: 0,
            padding: 0,
        }
    }

    /// The next entry; `None` at the end. The rest of the one before is skipped.
    pub(super) fn next(&mut self) -> Result<Option<Entry>, Failure> {
        self.skip()?;
        self.source.allow(HEADERS);
        let mut before = PendingHeaders::default();
        while let Some(header) = self.header()? {
            let size = header.entry_size();
            let size = size.map_err(|error| self.source.failure(&error))?;
            let twice = match header.entry_type() {
                EntryType::GNULongName => before.path.replace(self.text(size)?).is_some(),
                EntryType::GNULongLink => before.target.replace(self.text(size)?).is_some(),
                EntryType::XHeader => {
                    let records = Records::parse(&self.whole(size)?)?;
                    before.records.replace(records).is_some()
                }
                EntryType::XGlobalHeader => {
                    Records::parse(&self.whole(size)?)?.must_be_of_no_entry()?;
                    false
                }
                _ => return Ok(Some(self.entry(header, size, before))),
            };
            if twice {
                return Err(bad("two headers of one kind for one entry"));
            }
        }
        match before {
            PendingHeaders {
                path: None,
                target: None,
                records: None,
            } => Ok(None),
            _ => Err(bad("it ends with headers of an entry that does not come")),
        }
    }

    fn entry(&mut self, header: Header, size: u64, before: PendingHeaders) -> Entry {
        let records = before.records.unwrap_or_default();
        let stored = records.size.unwrap_or(size);
        self.begin(stored);
        let path = records.path().map(<[u8]>::to_vec).or(before.path);
        let target = records.target.clone().or(before.target);
        let linkname = || header.link_name_bytes().unwrap_or_default().into_owned();
        Entry {
            path: path.unwrap_or_else(|| header.path_bytes().into_owned()),
            target: target.unwrap_or_else(linkname),
            stored,
            records,
            header,
        }
    }

    fn begin(&mut self, size: u64) {
        self.data = size;
        let over = size % BLOCK as u64;
        self.padding = if over == 0 { 0 } else { BLOCK as u64 - over };
    }

    /// The next header that is not all zeros. Two blocks of zeros mark the end; everything after
    /// the first is padding.
    fn header(&mut self) -> Result<Option<Header>, Failure> {
        self.skip()?;
        let mut header = Header::new_old();
        if !self.block(header.as_mut_bytes())? || header.as_bytes().iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        match header.cksum() {
            Ok(sum) if sum == checksum(&header) => Ok(Some(header)),
            Ok(_) => Err(bad("not a tar archive: the checksum of a header is wrong")),
            Err(error) => Err(self.source.failure(&error)),
        }
    }

    /// A block that is no data; false at the end of the archive.
    pub(super) fn block(&mut self, block: &mut [u8; BLOCK]) -> Result<bool, Failure> {
        let mut filled = 0;
        while filled < BLOCK {
            match self.raw(&mut block[filled..])? {
                0 if filled == 0 => return Ok(false),
                0 => return Err(bad("not a tar archive: it ends in the middle of a block")),
                read => filled += read,
            }
        }
        Ok(true)
    }

    /// Data of the entry; 0 at its end, and where the archive ends before.
    pub(super) fn read(&mut self, into: &mut [u8]) -> Result<usize, Failure> {
        let most = usize::try_from(self.data).map_or(into.len(), |left| left.min(into.len()));
        let read = self.raw(&mut into[..most])?;
        self.data -= read as u64;
        Ok(read)
    }

    fn raw(&mut self, into: &mut [u8]) -> Result<usize, Failure> {
        if into.is_empty() {
            return Ok(0);
        }
        let mut source = self.source;
        let read = source.read(into);
        read.map_err(|error| self.source.failure(&error))
    }

    /// The data of a header; the source bounds it.
    fn whole(&mut self, size: u64) -> Result<Vec<u8>, Failure> {
        self.begin(size);
        let mut whole = Vec::new();
        let mut buffer = [0; BLOCK];
        while self.data > 0 {
            match self.read(&mut buffer)? {
                0 => return Err(bad("not a tar archive: it ends in the middle of a header")),
                read => whole.extend_from_slice(&buffer[..read]),
            }
        }
        Ok(whole)
    }

    /// A name, which has a NUL at its end.
    fn text(&mut self, size: u64) -> Result<Vec<u8>, Failure> {
        let mut text = self.whole(size)?;
        if text.last() == Some(&0) {
            text.pop();
        }
        Ok(text)
    }

    /// Goes on to the next header.
    fn skip(&mut self) -> Result<(), Failure> {
        let left = self.data.saturating_add(self.padding);
        let mut source = self.source.take(left);
        (self.data, self.padding) = (0, 0);
        match io::copy(&mut source, &mut io::sink()) {
            Ok(skipped) if skipped == left => Ok(()),
            Ok(_) => Err(bad("the archive ends in the middle of an entry")),
            Err(error) => Err(self.source.failure(&error)),
        }
    }
}

/// The sum of its bytes, those of the sum itself counted as spaces.
fn checksum(header: &Header) -> u32 {
    let bytes = header.as_bytes();
    let others = bytes[..148].iter().chain(&bytes[156..]);
    others.map(|byte| u32::from(*byte)).sum::<u32>() + 8 * u32::from(b' ')
}
