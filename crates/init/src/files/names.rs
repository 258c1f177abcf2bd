//! The next names of a directory, in order, without ever holding all of them:
//! the kernel gives them in no order, and there may be millions.

use std::collections::BinaryHeap;
use std::os::fd::OwnedFd;

use casemate_protocol::Failure;
use rustix::fs::{FileType, RawDir, SeekFrom, seek};

use super::{Cancel, failure};

/// Buffer for what one getdents64 answers; as large as that of the C library.
const BUFFER: usize = 32 * 1024;

/// Which names of a directory are wanted.
pub(super) struct NameQuery<'a> {
    /// Only names after this one.
    pub(super) after: Option<&'a [u8]>,
    pub(super) hidden: &'a [&'a [u8]],
    /// This many at most.
    pub(super) count: usize,
    /// Only names up to this total length, and one more.
    pub(super) bytes: usize,
    /// What each is longer than its name where it is shown.
    pub(super) prefix: usize,
}

/// The first names, sorted by their bytes.
pub(super) struct Names {
    pub(super) sorted: Vec<Vec<u8>>,
    /// There are more after them.
    pub(super) more: bool,
}

/// Reads the whole directory and keeps the first names that are wanted and for
/// which `keep` says so. It is asked in no order, and not for all.
pub(super) fn first(
    dir: &OwnedFd,
    wanted: &NameQuery<'_>,
    mut keep: impl FnMut(&[u8], FileType) -> Result<bool, Failure>,
    cancel: &Cancel,
) -> Result<Names, Failure> {
    seek(dir, SeekFrom::Start(0)).map_err(failure)?;
    let mut buffer = Vec::with_capacity(BUFFER);
    let mut entries = RawDir::new(dir, buffer.spare_capacity_mut());
    let mut smallest = SmallestNames::new(wanted);
    while let Some(entry) = entries.next() {
        cancel.check()?;
        let entry = entry.map_err(failure)?;
        let kind = entry.file_type();
        smallest.offer(entry.file_name().to_bytes(), |name| keep(name, kind))?;
    }
    Ok(Names {
        sorted: smallest.heap.into_sorted_vec(),
        more: smallest.dropped,
    })
}

/// The smallest of the names offered. All but the largest of them fit into
/// `bytes`; with the largest there are `count` at most.
struct SmallestNames<'a> {
    wanted: &'a NameQuery<'a>,
    heap: BinaryHeap<Vec<u8>>,
    bytes: usize,
    dropped: bool,
}

impl<'a> SmallestNames<'a> {
    fn new(wanted: &'a NameQuery<'a>) -> Self {
        Self {
            wanted,
            heap: BinaryHeap::new(),
            bytes: 0,
            dropped: false,
        }
    }

    fn offer(
        &mut self,
        name: &[u8],
        keep: impl FnOnce(&[u8]) -> Result<bool, Failure>,
    ) -> Result<(), Failure> {
        let behind = self.wanted.after.is_none_or(|after| name > after);
        if !behind || name == b"." || name == b".." || self.wanted.hidden.contains(&name) {
            return Ok(());
        }
        let full = self.heap.len() >= self.wanted.count || self.bytes > self.wanted.bytes;
        let late = full && self.heap.peek().is_some_and(|largest| name > &largest[..]);
        // One name that was dropped says that there are more as well as many.
        if (late && self.dropped) || !keep(name)? {
            return Ok(());
        }
        if late {
            self.dropped = true;
            return Ok(());
        }
        self.bytes += self.cost(name);
        self.heap.push(name.to_vec());
        while self.has_one_too_many() {
            let largest = self.heap.pop().unwrap_or_default();
            self.bytes -= self.cost(&largest);
            self.dropped = true;
        }
        Ok(())
    }

    fn has_one_too_many(&self) -> bool {
        let Some(largest) = self.heap.peek() else {
            return false;
        };
        self.heap.len() > self.wanted.count || self.bytes - self.cost(largest) > self.wanted.bytes
    }

    fn cost(&self, name: &[u8]) -> usize {
        self.wanted.prefix + name.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_smallest_names_are_kept_and_no_more_than_fit(
            names in prop::collection::btree_set("[a-c]{1,4}", 0..30),
            after in prop::option::of("[a-c]{0,3}"),
            count in 1..10usize,
            bytes in 0..60usize,
            prefix in 0..4usize,
            seed in any::<u64>(),
        ) {
            let after = after.as_ref().map(String::as_bytes);
            let wanted = NameQuery { after, hidden: &[b"b"], count, bytes, prefix };
            let mut smallest = SmallestNames::new(&wanted);
            let mut shuffled: Vec<_> = names.iter().collect();
            shuffled.sort_by_key(|name| name.bytes().fold(seed, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
            }));
            for name in shuffled {
                let keep = |name: &[u8]| Ok(!name.starts_with(b"c"));
                prop_assert_eq!(smallest.offer(name.as_bytes(), keep), Ok(()));
                prop_assert!(smallest.heap.len() <= count);
            }

            let mut all: Vec<_> = names.iter().map(|name| name.as_bytes().to_vec()).collect();
            all.retain(|name| name != b"b" && name[0] != b'c');
            all.retain(|name| after.is_none_or(|after| &name[..] > after));
            let mut used = 0;
            let fitting = all.iter().take_while(|name| {
                used += prefix + name.len();
                used <= bytes
            }).count();
            let kept = (fitting + 1).min(count).min(all.len());
            prop_assert_eq!(smallest.dropped, kept < all.len());
            prop_assert_eq!(smallest.heap.into_sorted_vec(), &all[..kept]);
        }
    }
}
