//! The records of a pax header, which describe the next entry.
//!
//! A reader ignores records that it does not know (pax(1)). Most are about the owner or times,
//! which are not kept here; attributes are kept for a backup. A record that says where the data of
//! a file is must be understood, or the entry is an error: without it the content would be wrong.

use casemate_protocol::{Attribute, Failure, parse_pax_time, split_pax_record};

use super::bad_archive::bad;
use super::modified_time::ModifiedTime;
use super::sparse_records::{SparseRecords, number};

/// What changes the content and is not understood: parts of a file of several archives, the
/// names in a directory, holes as other programs write them.
const NOT_UNDERSTOOD: &[&str] = &[
    "GNU.dumpdir",
    "GNU.volume.",
    "SCHILY.offset",
    "SCHILY.realsize",
    "SUN.holesdata",
];

#[derive(Debug, Default)]
pub(super) struct Records {
    path: Option<Vec<u8>>,
    pub(super) target: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    modified: Option<Vec<u8>>,
    /// Any that are written in the way of our backups.
    pub(super) attributes: Vec<Attribute>,
    pub(super) sparse: Option<SparseRecords>,
    not_understood: Option<String>,
}

impl Records {
    /// Each is its own length, a space, a name, `=`, any bytes and a line break. Of two with one
    /// name the later counts.
    pub(super) fn parse(text: &[u8]) -> Result<Self, Failure> {
        let mut records = Self::default();
        let mut rest = text;
        // Some writers pad with NULs.
        while rest.first().is_some_and(|byte| *byte != 0) {
            let (record, after) =
                split_pax_record(rest).ok_or_else(|| bad("a malformed pax record"))?;
            let (key, value) = record;
            records.add(key, value)?;
            rest = after;
        }
        Ok(records)
    }

    fn add(&mut self, key: &[u8], value: &[u8]) -> Result<(), Failure> {
        // An empty value takes the record back.
        let text = || (!value.is_empty()).then(|| value.to_vec());
        match key {
            b"path" => self.path = text(),
            b"linkpath" => self.target = text(),
            b"mtime" => self.modified = text(),
            b"size" => {
                let size = number(value).ok_or_else(|| bad("an invalid size"))?;
                self.size = Some(size);
            }
            _ => self.add_other(key, value),
        }
        Ok(())
    }

    fn add_other(&mut self, key: &[u8], value: &[u8]) {
        if let Some(attribute) = Attribute::of_record(key, value) {
            self.attributes.push(attribute);
            return;
        }
        let key = String::from_utf8_lossy(key);
        if let Some(key) = key.strip_prefix("GNU.sparse.") {
            self.sparse.get_or_insert_default().add(key, value);
        } else if NOT_UNDERSTOOD.iter().any(|known| key.starts_with(known)) {
            self.not_understood = Some(key.into_owned());
        }
    }

    /// The path of the entry, where the records have it.
    pub(super) fn path(&self) -> Option<&[u8]> {
        let sparse = self.sparse.as_ref();
        let name = sparse.and_then(|sparse| sparse.name.as_deref());
        name.or(self.path.as_deref())
    }

    /// When the entry was last modified, to the nanosecond.
    pub(super) fn modified(&self) -> Result<Option<ModifiedTime>, Failure> {
        let Some(text) = &self.modified else {
            return Ok(None);
        };
        let time = std::str::from_utf8(text).ok().and_then(parse_pax_time);
        let (seconds, nanos) = time.ok_or_else(|| bad("an invalid mtime"))?;
        Ok(Some(ModifiedTime::new(seconds, nanos)))
    }

    /// # Errors
    /// Something that changes the entry's content and is not understood.
    pub(super) fn must_be_understood(&self) -> Result<(), Failure> {
        match &self.not_understood {
            None => Ok(()),
            Some(key) => {
                let shown = key.escape_debug();
                Err(bad(format!("its record `{shown}` is not understood here")))
            }
        }
    }

    /// Of a global header, whose records are of all entries after it.
    pub(super) fn must_be_of_no_entry(&self) -> Result<(), Failure> {
        let of_one = self.path.is_some() || self.target.is_some() || self.size.is_some();
        if of_one || self.sparse.is_some() || self.not_understood.is_some() {
            let detail = "a global header with a name, a size or a map, which one entry has";
            return Err(bad(detail));
        }
        Ok(())
    }
}
