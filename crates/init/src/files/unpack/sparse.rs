//! Files with holes, in the forms that tar programs write (GNU tar, "Storing Sparse Files"):
//!
//! | form | written by | where the map is |
//! |---|---|---|
//! | old GNU | GNU tar, and our own archives | the header, and blocks after it |
//! | 0.0 | GNU tar | records `offset`, `numbytes`, again and again |
//! | 0.1 | GNU tar | one record `map`; the name in the header is another |
//! | 1.0 | GNU tar, bsdtar (macOS, FreeBSD) | in front of the data; likewise |

use casemate_protocol::Failure;
use casemate_protocol::backup::{BLOCK, EXTENTS};
use tar::{EntryType, GnuExtSparseHeader, GnuSparseHeader};

use super::bad_archive::bad;
use super::reader::{Entry, Reader};
use super::source::ArchiveSource;
use super::sparse_records::SparseRecords;
use crate::files::archive::Extent;

/// Where the data of a file belongs.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// Of the file.
    pub(super) size: u64,
    /// In order; the rest are holes.
    pub(super) extents: Vec<Extent>,
}

impl Layout {
    /// Of a file. Its size is checked before its map is read.
    pub(super) fn of(
        entry: &Entry,
        reader: &mut Reader<'_>,
        source: &ArchiveSource,
        admit: impl FnOnce(u64) -> Result<(), Failure>,
    ) -> Result<Self, Failure> {
        entry.records.must_be_understood()?;
        let is_old = entry.header.entry_type() == EntryType::GNUSparse;
        match &entry.records.sparse {
            Some(_) if is_old => Err(bad("a sparse file in two formats")),
            Some(records) => Self::of_records(records, entry, reader, admit),
            None if is_old => Self::of_header(entry, reader, source, admit),
            None => {
                admit(entry.stored)?;
                let all = Extent {
                    at: 0,
                    length: entry.stored,
                };
                Self::checked(entry.stored, vec![all], entry.stored)
            }
        }
    }

    fn of_records(
        records: &SparseRecords,
        entry: &Entry,
        reader: &mut Reader<'_>,
        admit: impl FnOnce(u64) -> Result<(), Failure>,
    ) -> Result<Self, Failure> {
        let Some(size) = records.size.filter(|_| !records.is_wrong) else {
            return Err(bad("a sparse file whose records are wrong"));
        };
        admit(size.max(entry.stored))?;
        if !records.is_in_front()? {
            return Self::checked(size, extents(&records.map)?, entry.stored);
        }
        let mut numbers = Numbers::new(reader);
        let count = numbers.next()?;
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        if count > EXTENTS {
            return Err(too_many());
        }
        let map: Result<Vec<u64>, Failure> = (0..2 * count).map(|_| numbers.next()).collect();
        let in_front = numbers.read;
        let data = entry.stored.checked_sub(in_front).ok_or_else(not_its_map)?;
        Self::checked(size, extents(&map?)?, data)
    }

    fn of_header(
        entry: &Entry,
        reader: &mut Reader<'_>,
        source: &ArchiveSource,
        admit: impl FnOnce(u64) -> Result<(), Failure>,
    ) -> Result<Self, Failure> {
        let Some(gnu) = entry.header.as_gnu() else {
            return Err(bad("a sparse file of a format that is not understood here"));
        };
        let size = gnu.real_size().map_err(|error| bad(error.to_string()))?;
        admit(size.max(entry.stored))?;
        let mut extents = Vec::new();
        add_all(&mut extents, &gnu.sparse)?;
        let mut more = gnu.is_extended();
        while more {
            let mut block = GnuExtSparseHeader::new();
            source.allow(BLOCK as u64);
            if !reader.block(block.as_mut_bytes())? {
                return Err(bad("the archive ends in the middle of it"));
            }
            add_all(&mut extents, block.sparse())?;
            more = block.is_extended();
        }
        source.allow(u64::MAX);
        Self::checked(size, extents, entry.stored)
    }

    /// The extents are in order, within the file, and as long together as the data.
    fn checked(size: u64, extents: Vec<Extent>, data: u64) -> Result<Self, Failure> {
        let mut end = 0;
        let mut total = 0_u64;
        for extent in &extents {
            if extent.at < end {
                return Err(not_its_map());
            }
            end = extent
                .at
                .checked_add(extent.length)
                .ok_or_else(not_its_map)?;
            total = total.checked_add(extent.length).ok_or_else(not_its_map)?;
        }
        if end > size || total != data {
            return Err(not_its_map());
        }
        Ok(Self { size, extents })
    }

    /// Whether the file is more than its data.
    pub(super) fn has_holes(&self) -> bool {
        let data: u64 = self.extents.iter().map(|extent| extent.length).sum();
        data < self.size
    }
}

fn extents(map: &[u64]) -> Result<Vec<Extent>, Failure> {
    if !map.len().is_multiple_of(2) {
        return Err(not_its_map());
    }
    let extent = |pair: &[u64]| Extent {
        at: pair[0],
        length: pair[1],
    };
    Ok(map.chunks_exact(2).map(extent).collect())
}

fn add_all(extents: &mut Vec<Extent>, slots: &[GnuSparseHeader]) -> Result<(), Failure> {
    for slot in slots.iter().filter(|slot| !slot.is_empty()) {
        if extents.len() > EXTENTS {
            return Err(too_many());
        }
        let wrong = |error: std::io::Error| bad(error.to_string());
        extents.push(Extent {
            at: slot.offset().map_err(wrong)?,
            length: slot.length().map_err(wrong)?,
        });
    }
    Ok(())
}

fn not_its_map() -> Failure {
    bad("a sparse file whose map is not that of its data")
}

fn too_many() -> Failure {
    bad(format!("a sparse file of more than {EXTENTS} pieces"))
}

/// Decimal numbers, each with a line break, in whole blocks in front of the data.
struct Numbers<'a, 's> {
    reader: &'a mut Reader<'s>,
    block: [u8; BLOCK],
    /// Of the block, what was used.
    at: usize,
    /// Bytes of data that were read.
    read: u64,
}

impl<'a, 's> Numbers<'a, 's> {
    fn new(reader: &'a mut Reader<'s>) -> Self {
        Self {
            reader,
            block: [0; BLOCK],
            at: BLOCK,
            read: 0,
        }
    }

    fn next(&mut self) -> Result<u64, Failure> {
        let mut value = 0_u64;
        let mut has_digits = false;
        loop {
            match self.byte()? {
                b'\n' if has_digits => return Ok(value),
                digit @ b'0'..=b'9' => {
                    let more = value.checked_mul(10);
                    let more = more.and_then(|more| more.checked_add(u64::from(digit - b'0')));
                    value = more.ok_or_else(not_its_map)?;
                    has_digits = true;
                }
                _ => return Err(not_its_map()),
            }
        }
    }

    fn byte(&mut self) -> Result<u8, Failure> {
        if self.at == BLOCK {
            self.fill()?;
        }
        self.at += 1;
        Ok(self.block[self.at - 1])
    }

    fn fill(&mut self) -> Result<(), Failure> {
        let mut filled = 0;
        while filled < BLOCK {
            match self.reader.read(&mut self.block[filled..])? {
                0 => return Err(not_its_map()),
                read => filled += read,
            }
        }
        self.at = 0;
        self.read += BLOCK as u64;
        Ok(())
    }
}
