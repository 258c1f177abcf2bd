//! Extended attributes of files and directories (xattr(7)): the user's own (`user.*`) and
//! POSIX ACLs (acl(5)). A backup has them, and a file that takes another's place gets them.

use std::os::fd::OwnedFd;

use casemate_protocol::backup::ATTRIBUTES;
use casemate_protocol::{Attribute, Failure};
use rustix::fs::{XattrFlags, fgetxattr, fgetxattr_query, flistxattr, flistxattr_query, fsetxattr};
use rustix::io::Errno;

use super::failure;

/// What a directory gives to all that is made in it.
pub(super) const DEFAULT_ACL: &[u8] = b"system.posix_acl_default";

/// What the system gives every file, in its own way: nothing is lost with them.
const LABELS: &[&[u8]] = &[
    b"security.selinux",
    b"security.SMACK64",
    b"security.ima",
    b"security.evm",
];

/// The attributes of one file or directory.
#[derive(Debug, Default)]
pub(super) struct Attributes {
    /// Sorted by their names.
    pub(super) carried: Vec<Attribute>,
    /// How many others there are.
    pub(super) left_out: u64,
}

/// Reads them. The file must be open for reading, and its owner allowed to read it.
pub(super) fn of(file: &OwnedFd) -> Result<Attributes, Failure> {
    let mut found = Attributes::default();
    let names = match names(file) {
        Ok(names) => names,
        // More names than the kernel lists at all.
        Err(Errno::TOOBIG) => {
            found.left_out = 1;
            return Ok(found);
        }
        Err(errno) => return Err(failure(errno)),
    };
    let mut room = ATTRIBUTES;
    for name in names {
        if LABELS.contains(&&name[..]) {
            continue;
        }
        let value = match Attribute::is_carried(&name) {
            true => value(file, &name),
            false => Ok(None),
        };
        let attribute = match value {
            Ok(value) => value.map(|value| Attribute { name, value }),
            // Gone by now.
            Err(Errno::NODATA) => continue,
            Err(Errno::ACCESS | Errno::PERM | Errno::OPNOTSUPP) => None,
            Err(errno) => return Err(failure(errno)),
        };
        match attribute.filter(|attribute| fits(attribute, room)) {
            Some(attribute) => {
                room -= attribute.size();
                found.carried.push(attribute);
            }
            None => found.left_out += 1,
        }
    }
    Ok(found)
}

fn fits(attribute: &Attribute, room: usize) -> bool {
    attribute.size() <= room && attribute.is_within_limits()
}

fn names(file: &OwnedFd) -> rustix::io::Result<Vec<Vec<u8>>> {
    let list = loop {
        let size = match flistxattr_query(file) {
            Ok(0) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => return Ok(Vec::new()),
            size => size?,
        };
        let mut list = Vec::with_capacity(size);
        match flistxattr(file, rustix::buffer::spare_capacity(&mut list)) {
            // It has grown.
            Err(Errno::RANGE) => {}
            read => {
                read?;
                break list;
            }
        }
    };
    let names = list.split(|byte| *byte == 0);
    let mut names: Vec<_> = names
        .filter(|name| !name.is_empty())
        .map(<[u8]>::to_vec)
        .collect();
    names.sort();
    Ok(names)
}

fn value(file: &OwnedFd, name: &[u8]) -> rustix::io::Result<Option<Vec<u8>>> {
    loop {
        let size = fgetxattr_query(file, name)?;
        let mut value = Vec::with_capacity(size);
        if size == 0 {
            return Ok(Some(value));
        }
        match fgetxattr(file, name, rustix::buffer::spare_capacity(&mut value)) {
            // It has grown.
            Err(Errno::RANGE) => {}
            read => return read.map(|_| Some(value)),
        }
    }
}

/// Sets each.
///
/// # Errors
/// `NO_SPACE`, and what else the file system has against one.
pub(super) fn set(file: &OwnedFd, attributes: &[Attribute]) -> Result<(), Failure> {
    in_order(attributes).try_for_each(|attribute| set_one(file, attribute).map_err(failure))
}

/// Sets each that the file system takes, and returns how many it does not: another may have
/// less room for them than the one that they are from.
pub(super) fn set_what_fits(file: &OwnedFd, attributes: &[Attribute]) -> u64 {
    let refused = in_order(attributes).filter(|attribute| set_one(file, attribute).is_err());
    refused.count() as u64
}

/// The user's own first: an ACL may take from the owner the right to set them.
fn in_order(attributes: &[Attribute]) -> impl Iterator<Item = &Attribute> {
    let is_acl = |attribute: &&Attribute| attribute.is_acl();
    let own = attributes.iter().filter(move |one| !is_acl(one));
    own.chain(attributes.iter().filter(is_acl))
}

fn set_one(file: &OwnedFd, attribute: &Attribute) -> rustix::io::Result<()> {
    let Attribute { name, value } = attribute;
    fsetxattr(file, &name[..], value, XattrFlags::empty())
}
