//! The error about an entry that shared data cannot have.

use std::io;

/// Characters of a path that an error shows.
const SHOWN_CHARS_LIMIT: usize = 300;

/// An error about one entry, by its path.
pub(super) fn bad(path: &[u8], what: impl AsRef<str>) -> io::Error {
    let shown = String::from_utf8_lossy(path);
    let shown: String = shown.escape_debug().take(SHOWN_CHARS_LIMIT).collect();
    let what = format!("{shown}: {}", what.as_ref());
    io::Error::new(io::ErrorKind::InvalidData, what)
}
