//! What a backup can hold: one table for all who read or write one. PID 1 copies a
//! workspace and makes it again, the server packs what comes and verifies what is stored;
//! with one table, what was copied verifies, and what verifies can be restored.
//!
//! No limit may be lowered: backups that are stored hold what was allowed when they were
//! made. A path is longer here than one that the kernel takes at once (4,096 bytes): a
//! process reaches it in steps, and so do the copy and the restore.

use std::fmt;

/// Entries of one backup. A project with its dependencies has some 100,000; each takes PID 1
/// 20 µs, and ten million would take too long.
pub const ENTRIES: u64 = 5_000_000;

/// Names in one path. A loop makes deeper ones, not a person.
pub const DEPTH: usize = 4096;

/// Bytes of one path: 64 times what Linux takes at once. Some of it is in memory three
/// times while an entry is read.
pub const PATH: usize = 256 * 1024;

/// Bytes of one name: what Linux has (NAME_MAX).
pub const NAME: usize = 255;

/// Bytes of what a symbolic link says: what Linux takes (PATH_MAX without its NUL).
pub const LINK_TARGET: usize = 4095;

/// Pieces of data between the holes of one sparse file. A file with more is an error, for
/// as one piece it may be a terabyte.
pub const EXTENTS: usize = 64 * 1024;

/// Pieces in one block of the old GNU format, after the header's own four (tar(5)).
const EXTENTS_IN_A_BLOCK: usize = 21;

/// Bytes of one block of an archive.
pub const BLOCK: usize = 512;

/// Names and values of one entry's extended attributes together, in bytes. ext4 has one
/// block of 4 KiB for them; XFS has no bound.
pub const ATTRIBUTES: usize = 512 * 1024;

/// The value of a POSIX ACL, in bytes: 511 entries. Those of all directories above an
/// entry are in memory until it is made.
pub const ACL: usize = 4096;

/// Headers of one entry with its long names and records, in bytes; readers hold them in
/// memory. Two paths for a hard link, attributes (a record has its name, length and key
/// beside), the map of a sparse file, and what is left is for the blocks around them.
pub const HEADERS: u64 =
    (2 * PATH + 2 * ATTRIBUTES + EXTENTS.div_ceil(EXTENTS_IN_A_BLOCK) * BLOCK + 64 * 1024) as u64;

/// Longest line of the list of entries, in bytes. JSON escapes a byte as six at most.
pub const LINE: u64 = 6 * (2 * PATH + 2 * ATTRIBUTES) as u64 + 64 * 1024;

/// Which limit an entry is beyond.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExceededLimit {
    /// [`PATH`].
    Path,
    /// [`DEPTH`].
    Depth,
    /// [`NAME`].
    Name,
    /// [`LINK_TARGET`], or it is empty.
    LinkTarget,
}

impl fmt::Display for ExceededLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path => write!(f, "a path of more than {PATH} bytes"),
            Self::Depth => write!(f, "more than {DEPTH} directories deep"),
            Self::Name => write!(f, "a name of more than {NAME} bytes"),
            Self::LinkTarget => write!(f, "a link's target has between 1 and {LINK_TARGET} bytes"),
        }
    }
}

/// The names of a path in an archive, in which `.` and empty names stand for nothing.
pub fn components(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|byte| *byte == b'/')
        .filter(|name| !matches!(*name, b"" | b"."))
}

/// Whether an entry of this path can be in a backup.
///
/// # Errors
/// The limit that it is beyond.
pub fn check_path(path: &[u8]) -> Result<(), ExceededLimit> {
    if path.len() > PATH {
        return Err(ExceededLimit::Path);
    }
    let mut depth = 0;
    for name in components(path) {
        depth += 1;
        if depth > DEPTH {
            return Err(ExceededLimit::Depth);
        }
        if name.len() > NAME {
            return Err(ExceededLimit::Name);
        }
    }
    Ok(())
}

/// Whether a symbolic link in a backup can say this.
///
/// # Errors
/// [`ExceededLimit::LinkTarget`].
pub fn check_link_target(target: &[u8]) -> Result<(), ExceededLimit> {
    match target.len() {
        1..=LINK_TARGET => Ok(()),
        _ => Err(ExceededLimit::LinkTarget),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_holds_exactly() {
        let name = |bytes| vec![b'n'; bytes];
        let deep = |depth| b"d/".repeat(depth);
        let long = |bytes: usize| {
            let mut path = [name(250), b"/".to_vec()].concat().repeat(bytes / 251);
            path.resize(bytes, b'x');
            path
        };
        for path in [name(NAME), deep(DEPTH), long(PATH), b"./".to_vec()] {
            assert_eq!(check_path(&path), Ok(()));
        }
        assert_eq!(check_path(&name(NAME + 1)), Err(ExceededLimit::Name));
        assert_eq!(check_path(&deep(DEPTH + 1)), Err(ExceededLimit::Depth));
        assert_eq!(check_path(&long(PATH + 1)), Err(ExceededLimit::Path));
        assert_eq!(check_link_target(&name(LINK_TARGET)), Ok(()));
        for target in [name(0), name(LINK_TARGET + 1)] {
            assert_eq!(check_link_target(&target), Err(ExceededLimit::LinkTarget));
        }
    }

    /// What servers before this table have allowed: 256 names of 255 bytes.
    #[test]
    fn what_was_ever_stored_is_within() {
        let path = [vec![b'n'; 255], b"/".to_vec()].concat().repeat(256);
        assert_eq!(check_path(&path), Ok(()));
        const { assert!(ENTRIES >= 5_000_000 && EXTENTS >= 65_536) };
    }
}
