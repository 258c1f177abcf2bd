//! The entries of an archive, in blocks of 512 bytes (tar(5), the GNU format: it has
//! names of any bytes and length, sizes over 8 GiB, and sparse files).
//!
//! Not by `tar::Builder`: it pads by the bytes that it copied, so a file that changes its size while
//! it is read would spoil the archive. It also writes a long name only if the name does not fit, and
//! an entry with attributes needs one in any case (`Writer::entry`).

use std::os::fd::OwnedFd;

use casemate_protocol::backup::BLOCK;
use casemate_protocol::failure::Code;
use casemate_protocol::{Attribute, Failure, FailureExt as _, MAX_CHUNK, Records};
use rustix::fs::Stat;
use tar::{EntryType, GnuExtSparseHeader, Header};

use super::extents::{self, Extent};
use crate::files::part_sender::PartSender;
use crate::files::read::read_at;
use crate::files::{Cancel, size};

/// The name of an entry that holds the long name of the next, as GNU tar has it.
const LONG: &[u8] = b"././@LongLink";

pub(super) struct Writer<'a> {
    parts: &'a PartSender,
    cancel: &'a Cancel,
    /// Not sent yet.
    buffer: Vec<u8>,
    /// Of a backup: with times to the nanosecond, and a file that becomes shorter is filled up, as
    /// the backup checks all entries once more.
    exact: bool,
}

impl<'a> Writer<'a> {
    pub(super) fn new(parts: &'a PartSender, cancel: &'a Cancel, exact: bool) -> Self {
        Self {
            parts,
            cancel,
            exact,
            buffer: Vec::with_capacity(MAX_CHUNK),
        }
    }

    /// `path` ends with a `/`.
    pub(super) fn directory(
        &mut self,
        path: &[u8],
        stat: &Stat,
        attributes: Vec<Attribute>,
    ) -> Result<(), Failure> {
        let header = header(stat, EntryType::Directory, 0);
        self.entry(path, header, stat, attributes)
    }

    pub(super) fn link(&mut self, path: &[u8], target: &[u8], stat: &Stat) -> Result<(), Failure> {
        self.to(path, target, header(stat, EntryType::Symlink, 0), stat)
    }

    /// Another name of a file that was sent before as `target`.
    pub(super) fn hard_link(
        &mut self,
        path: &[u8],
        target: &[u8],
        stat: &Stat,
    ) -> Result<(), Failure> {
        self.to(path, target, header(stat, EntryType::Link, 0), stat)
    }

    fn to(
        &mut self,
        path: &[u8],
        target: &[u8],
        mut header: Header,
        stat: &Stat,
    ) -> Result<(), Failure> {
        if let Some(gnu) = header.as_gnu_mut() {
            fill(&mut gnu.linkname, target);
            if target.len() > gnu.linkname.len() {
                self.long(target, EntryType::GNULongLink)?;
            }
        }
        self.entry(path, header, stat, Vec::new())
    }

    /// `CHANGED` when the file has become shorter than `stat` says, unless `exact`.
    pub(super) fn file(
        &mut self,
        path: &[u8],
        file: &OwnedFd,
        stat: &Stat,
        attributes: Vec<Attribute>,
    ) -> Result<(), Failure> {
        let size = size(stat);
        let Some(extents) = extents::of(file, stat)? else {
            let header = header(stat, EntryType::Regular, size);
            self.entry(path, header, stat, attributes)?;
            self.content(
                file,
                Extent {
                    at: 0,
                    length: size,
                },
            )?;
            return self.pad(size);
        };
        let stored = extents.iter().map(|extent| extent.length).sum();
        let mut header = header(stat, EntryType::GNUSparse, stored);
        let mut left = extents.iter();
        if let Some(gnu) = header.as_gnu_mut() {
            gnu.set_real_size(size);
            gnu.set_is_extended(extents.len() > gnu.sparse.len());
            for (slot, extent) in gnu.sparse.iter_mut().zip(left.by_ref()) {
                slot.set_offset(extent.at);
                slot.set_length(extent.length);
            }
        }
        self.entry(path, header, stat, attributes)?;
        while left.len() > 0 {
            let mut more = GnuExtSparseHeader::new();
            let (here, _) = left
                .as_slice()
                .split_at(left.len().min(more.sparse().len()));
            more.set_is_extended(left.len() > here.len());
            for (slot, extent) in more.sparse_mut().iter_mut().zip(left.by_ref()) {
                slot.set_offset(extent.at);
                slot.set_length(extent.length);
            }
            self.put(more.as_bytes())?;
        }
        for extent in &extents {
            self.content(file, *extent)?;
        }
        self.pad(stored)
    }

    /// The end of the archive.
    pub(super) fn finish(mut self) -> Result<(), Failure> {
        self.put(&[0; 2 * BLOCK])?;
        self.flush()
    }

    fn entry(
        &mut self,
        path: &[u8],
        mut header: Header,
        stat: &Stat,
        attributes: Vec<Attribute>,
    ) -> Result<(), Failure> {
        // Readers that split records at line ends could find a path in one: they believe
        // this before.
        let has_any_bytes = !attributes.is_empty();
        self.records(stat, attributes)?;
        if let Some(gnu) = header.as_gnu_mut() {
            fill(&mut gnu.name, path);
            if has_any_bytes || path.len() > gnu.name.len() {
                self.long(path, EntryType::GNULongName)?;
            }
        }
        header.set_cksum();
        self.put(header.as_bytes())
    }

    /// What the header of the next entry has no room for; in a backup alone.
    fn records(&mut self, stat: &Stat, attributes: Vec<Attribute>) -> Result<(), Failure> {
        if !self.exact {
            return Ok(());
        }
        let nanos = u32::try_from(stat.st_mtime_nsec).unwrap_or(0);
        let records = Records {
            modified: Some((stat.st_mtime, nanos)),
            attributes,
        };
        let block = records.to_block();
        let mut header = Header::new_ustar();
        header.set_entry_type(EntryType::XHeader);
        header.set_mode(0o644);
        header.set_size(block.len() as u64);
        header.set_cksum();
        self.put(header.as_bytes())?;
        self.put(&block)?;
        self.pad(block.len() as u64)
    }

    /// Writes a text that is too long for the next header, with a NUL at its end.
    fn long(&mut self, text: &[u8], kind: EntryType) -> Result<(), Failure> {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(0o644);
        header.set_size(text.len() as u64 + 1);
        if let Some(gnu) = header.as_gnu_mut() {
            fill(&mut gnu.name, LONG);
        }
        header.set_cksum();
        self.put(header.as_bytes())?;
        self.put(text)?;
        self.put(&[0])?;
        self.pad(text.len() as u64 + 1)
    }

    fn content(&mut self, file: &OwnedFd, extent: Extent) -> Result<(), Failure> {
        let end = extent.at + extent.length;
        let mut at = extent.at;
        while at < end {
            let wanted = usize::try_from(end - at).map_or(MAX_CHUNK, |left| left.min(MAX_CHUNK));
            let mut data = read_at(file, at, wanted, self.cancel)?;
            if data.len() < wanted && self.exact {
                data.resize(wanted, 0);
            }
            if data.len() < wanted {
                let detail = "it became shorter while it was sent";
                return Err(Failure::new(Code::Changed, detail));
            }
            self.put(&data)?;
            at += wanted as u64;
        }
        Ok(())
    }

    fn pad(&mut self, size: u64) -> Result<(), Failure> {
        let over = usize::try_from(size % BLOCK as u64).unwrap_or(0);
        match over {
            0 => Ok(()),
            over => self.put(&[0; BLOCK][over..]),
        }
    }

    fn put(&mut self, mut bytes: &[u8]) -> Result<(), Failure> {
        while !bytes.is_empty() {
            let room = MAX_CHUNK - self.buffer.len();
            let (now, rest) = bytes.split_at(room.min(bytes.len()));
            self.buffer.extend_from_slice(now);
            bytes = rest;
            if self.buffer.len() == MAX_CHUNK {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Failure> {
        let full = std::mem::replace(&mut self.buffer, Vec::with_capacity(MAX_CHUNK));
        self.parts.data(full)
    }
}

fn header(stat: &Stat, kind: EntryType, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(stat.st_mode & 0o7777);
    header.set_uid(stat.st_uid.into());
    header.set_gid(stat.st_gid.into());
    // The format has none before 1970.
    header.set_mtime(u64::try_from(stat.st_mtime).unwrap_or(0));
    header.set_size(size);
    header
}

/// As much of `text` as fits; a field that is full needs no NUL.
fn fill(field: &mut [u8], text: &[u8]) {
    let fits = field.len().min(text.len());
    field[..fits].copy_from_slice(&text[..fits]);
}
