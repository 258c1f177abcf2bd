//! Where a text is, and the content with another in its place.

use std::ops::Range;

use casemate_protocol::{Failure, MAX_EDIT};
use memchr::memmem;

use super::super::Cancel;
use super::common::{newlines, too_large};

/// Lines named of the ones where a text is: enough to see which is meant.
const NAMED_LINES_LIMIT: usize = 20;

/// Changes remembered for the excerpts: more than fit into them.
const CHANGE_LIMIT: usize = 100;

/// What a search found.
#[derive(Debug, PartialEq)]
pub(super) struct SearchResult {
    /// Matches that do not overlap, as they would be replaced.
    pub(super) count: u64,
    /// There is one, and none that overlaps with it.
    pub(super) is_only_one: bool,
    /// Where the first of them begin, from 1.
    pub(super) lines: Vec<u64>,
}

/// Looks for `old`, which is not empty.
pub(super) fn find(content: &[u8], old: &[u8], cancel: &Cancel) -> Result<SearchResult, Failure> {
    let mut found = SearchResult {
        count: 0,
        is_only_one: false,
        lines: Vec::new(),
    };
    let (mut line, mut counted) = (1, 0);
    let mut first = 0;
    for at in memmem::find_iter(content, old) {
        cancel.check()?;
        if found.count == 0 {
            first = at;
        }
        found.count += 1;
        if found.lines.len() < NAMED_LINES_LIMIT {
            line += newlines(&content[counted..at]);
            counted = at;
            found.lines.push(line);
        }
    }
    if found.count == 1 {
        let overlapping = overlapping(content, first, old);
        found.is_only_one = overlapping.is_none();
        let between = overlapping.map(|at| newlines(&content[counted..at]));
        found.lines.extend(between.map(|more| line + more));
    }
    Ok(found)
}

/// Another match that begins in the one at `first`: `aa` is in `aaa` twice.
fn overlapping(content: &[u8], first: usize, old: &[u8]) -> Option<usize> {
    let from = first + 1;
    let end = content.len().min(first + 2 * old.len() - 1);
    let at = memmem::find(content.get(from..end)?, old)?;
    Some(from + at)
}

/// A file after its edit.
#[derive(Debug, PartialEq)]
pub(super) struct EditedFile {
    pub(super) content: Vec<u8>,
    /// Where the first of the changes are in it.
    pub(super) changes: Vec<Range<usize>>,
}

/// The content with `new` for each of the `count` times that `old` is there.
///
/// # Errors
/// `FILE_TOO_LARGE`, before anything is allocated.
pub(super) fn replace(
    content: &[u8],
    old: &[u8],
    new: &[u8],
    count: u64,
    cancel: &Cancel,
) -> Result<EditedFile, Failure> {
    let mut edited = EditedFile {
        content: Vec::with_capacity(size_after(content, old, new, count)?),
        changes: Vec::new(),
    };
    let mut taken = 0;
    for at in memmem::find_iter(content, old) {
        cancel.check()?;
        edited.content.extend_from_slice(&content[taken..at]);
        let start = edited.content.len();
        edited.content.extend_from_slice(new);
        if edited.changes.len() < CHANGE_LIMIT {
            edited.changes.push(start..edited.content.len());
        }
        taken = at + old.len();
    }
    edited.content.extend_from_slice(&content[taken..]);
    Ok(edited)
}

fn size_after(content: &[u8], old: &[u8], new: &[u8], count: u64) -> Result<usize, Failure> {
    let count = usize::try_from(count).map_err(|_| too_large())?;
    let rest = content.len() - count * old.len();
    let added = count.checked_mul(new.len());
    let size = added.and_then(|added| rest.checked_add(added));
    size.filter(|size| *size <= MAX_EDIT).ok_or_else(too_large)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(content: &[u8], old: &[u8]) -> SearchResult {
        find(content, old, &Cancel::default()).expect("not cancelled")
    }

    #[test]
    fn a_match_that_overlaps_with_the_only_one_makes_it_two() {
        let two = found(b"x\naa\na\na", b"a\na");
        assert_eq!((two.count, two.is_only_one), (1, false));
        assert_eq!(two.lines, [2, 3]);
        assert!(found(b"x\naa\na", b"a\na").is_only_one);
        assert!(!found(b"aaa", b"aa").is_only_one);
        assert!(found(b"a", b"a").is_only_one);
    }

    #[test]
    fn what_would_become_too_large_is_refused_before_it_is_made() {
        let content = vec![b'a'; MAX_EDIT];
        let replaced = replace(
            &content,
            b"a",
            &[b'b'; 1 << 20],
            1 << 23,
            &Cancel::default(),
        );
        assert_eq!(replaced, Err(too_large()));
        let one_more = replace(b"a", b"a", &vec![b'b'; MAX_EDIT + 1], 1, &Cancel::default());
        assert_eq!(one_more, Err(too_large()));
    }

    proptest! {
        #[test]
        fn what_is_replaced_is_what_the_standard_library_replaces(
            content in "[ab\n]{0,40}", old in "[ab\n]{1,3}", new in "[abc\n]{0,3}",
        ) {
            let all = found(content.as_bytes(), old.as_bytes());
            prop_assert_eq!(all.count, content.matches(&old).count() as u64);
            let at_all = (0..content.len()).filter(|at| content[*at..].starts_with(&old));
            prop_assert_eq!(all.is_only_one, at_all.count() == 1);
            let lines: Vec<u64> = content
                .match_indices(&old)
                .map(|(at, _)| 1 + content[..at].matches('\n').count() as u64)
                .collect();
            prop_assert!(all.lines.starts_with(&lines[..lines.len().min(NAMED_LINES_LIMIT)]));

            let (old, new_bytes) = (old.as_bytes(), new.as_bytes());
            let edited = replace(content.as_bytes(), old, new_bytes, all.count, &Cancel::default());
            let edited = edited.expect("small");
            let expected = content.replace(std::str::from_utf8(old).expect("UTF-8"), &new);
            prop_assert_eq!(&edited.content, expected.as_bytes());
            prop_assert_eq!(edited.changes.len() as u64, all.count);
            for change in edited.changes {
                prop_assert_eq!(&edited.content[change], new_bytes);
            }
        }
    }
}
