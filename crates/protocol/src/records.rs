//! Metadata for which the header of an entry has no room, in records before it (pax(1), "pax
//! Extended Header"): its time to the nanosecond, and its extended attributes, as GNU tar
//! and libarchive name them.
//!
//! The tar library splits records at line ends. A value of any bytes may have one, so they
//! are read here, by the length that each record begins with.

use std::io;

use tar::{Archive, EntryType};

use crate::backup::{ACL, ATTRIBUTES, BLOCK};
use crate::pax::{parse_pax_time, pax_time, split_pax_record};

/// What the key of an attribute begins with.
const ATTRIBUTE: &[u8] = b"SCHILY.xattr.";

/// The name space of the user's own attributes.
const USER: &[u8] = b"user.";

/// The kernel's names of the ACL of a file or directory, and of the one that new entries of a
/// directory inherit.
const ACLS: [&[u8]; 2] = [b"system.posix_acl_access", b"system.posix_acl_default"];

/// One extended attribute: xattr(7).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Attribute {
    /// With its name space: `user.mime_type`.
    pub name: Vec<u8>,
    /// Any bytes.
    pub value: Vec<u8>,
}

impl Attribute {
    /// Whether attributes of this name are in a backup: the user's own, and POSIX ACLs
    /// (acl(5)). The others are the system's, and only it can set them.
    pub fn is_carried(name: &[u8]) -> bool {
        name.starts_with(USER) || ACLS.contains(&name)
    }

    /// Whether it is a POSIX ACL.
    pub fn is_acl(&self) -> bool {
        ACLS.contains(&&self.name[..])
    }

    /// The attribute that a record of an archive says; `None` for another record.
    pub fn of_record(key: &[u8], value: &[u8]) -> Option<Self> {
        let name = key.strip_prefix(ATTRIBUTE)?;
        Some(Self {
            name: unescape(name),
            value: value.to_vec(),
        })
    }

    /// Whether one entry of a backup can have these.
    pub fn are_of_a_backup(attributes: &[Self]) -> bool {
        let size: usize = attributes.iter().map(Self::size).sum();
        let allowed = |one: &Self| Self::is_carried(&one.name) && one.is_within_limits();
        size <= ATTRIBUTES && attributes.iter().all(allowed)
    }

    /// Whether it is within [`ATTRIBUTES`], and an ACL also within [`ACL`].
    pub fn is_within_limits(&self) -> bool {
        self.size() <= ATTRIBUTES && (!self.is_acl() || self.value.len() <= ACL)
    }

    /// Bytes that count towards [`ATTRIBUTES`].
    pub fn size(&self) -> usize {
        self.name.len() + self.value.len()
    }
}

/// The records of one entry of a backup.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Records {
    /// Seconds since 1970, and nanoseconds after that.
    pub modified: Option<(i64, u32)>,
    /// In the order of the archive.
    pub attributes: Vec<Attribute>,
}

impl Records {
    /// The block that goes before an entry. The time is first: readers that split at line
    /// ends find it before they stop at a value with one.
    pub fn to_block(&self) -> Vec<u8> {
        let mut block = Vec::new();
        if let Some((seconds, nanos)) = self.modified {
            put(&mut block, b"mtime", pax_time(seconds, nanos).as_bytes());
        }
        for attribute in &self.attributes {
            let key = [ATTRIBUTE, &escape(&attribute.name)].concat();
            put(&mut block, &key, &attribute.value);
        }
        block
    }

    /// The records among the headers of one entry: all that was read from the archive since
    /// the content of the entry before, which was read to its end.
    ///
    /// # Errors
    /// `InvalidData` for malformed records, and for attributes that no backup has.
    pub fn of_headers(headers: &[u8]) -> io::Result<Self> {
        // Before them there is what pads the content before: less than a block.
        let headers = &headers[headers.len() % BLOCK..];
        for header in Archive::new(headers).entries()?.raw(true) {
            let mut header = header?;
            match header.header().entry_type() {
                EntryType::XHeader => {
                    let mut block = Vec::new();
                    io::Read::read_to_end(&mut header, &mut block)?;
                    return Self::parse(&block);
                }
                EntryType::GNULongName | EntryType::GNULongLink => {}
                _ => break,
            }
        }
        Ok(Self::default())
    }

    fn parse(mut block: &[u8]) -> io::Result<Self> {
        let mut records = Self::default();
        while !block.is_empty() {
            let (record, rest) =
                split_pax_record(block).ok_or_else(|| bad("a malformed pax record"))?;
            let (key, value) = record;
            block = rest;
            if key == b"mtime" {
                let text = std::str::from_utf8(value).ok();
                let time = text.and_then(parse_pax_time);
                records.modified = Some(time.ok_or_else(|| bad("an invalid mtime"))?);
            } else {
                records.attributes.extend(Attribute::of_record(key, value));
            }
        }
        match Attribute::are_of_a_backup(&records.attributes) {
            true => Ok(records),
            false => Err(bad("attributes that no backup has")),
        }
    }
}

/// A record is its own length, a blank, a key, `=`, a value and a line end.
fn put(block: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + b" =\n".len();
    // The length counts its own digits.
    let digits = (1..).find(|digits| (rest + digits).to_string().len() == *digits);
    let length = rest + digits.unwrap_or(0);
    block.extend_from_slice(format!("{length} ").as_bytes());
    block.extend_from_slice(key);
    block.push(b'=');
    block.extend_from_slice(value);
    block.push(b'\n');
}

/// A key ends at its first `=`. As GNU tar has it (`xattr_encode_keyword`).
fn escape(name: &[u8]) -> Vec<u8> {
    let escaped = name.iter().flat_map(|byte| match byte {
        b'%' => b"%25",
        b'=' => b"%3D",
        other => std::slice::from_ref(other),
    });
    escaped.copied().collect()
}

fn unescape(mut name: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(name.len());
    while let Some((byte, rest)) = name.split_first() {
        let (byte, rest) = match name {
            [b'%', b'2', b'5', rest @ ..] => (&b'%', rest),
            [b'%', b'3', b'D', rest @ ..] => (&b'=', rest),
            _ => (byte, rest),
        };
        plain.push(*byte);
        name = rest;
    }
    plain
}

fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests;
