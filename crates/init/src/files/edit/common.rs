//! What the parts of an edit share: lines, and the limit of a file.

use casemate_protocol::failure::Code;
use casemate_protocol::{Failure, FailureExt as _, MAX_EDIT};

use crate::files::charset::{count_chars, prefix};
use crate::files::lines::mark;
use crate::files::source::LineEnd;

pub(super) fn too_large() -> Failure {
    let detail = format!("an edit's file has {MAX_EDIT} bytes at most, before and after");
    Failure::new(Code::FileTooLarge, detail)
}

/// A line as text of `max` characters at most, with a mark where it is cut.
pub(super) fn shown(line: &[u8], max: u64) -> String {
    let kept = prefix(line, max);
    let mut text = String::from_utf8_lossy(&line[..kept]).into_owned();
    if kept < line.len() {
        text += &mark(count_chars(&line[kept..]), LineEnd::File);
    }
    text
}

/// The lines of `bytes`, each with its end.
pub(super) fn lines_of(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split_inclusive(|byte| *byte == b'\n')
}

/// The number of newlines in `bytes`.
pub(super) fn newlines(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count() as u64
}
