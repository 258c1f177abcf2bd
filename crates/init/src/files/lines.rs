//! A page of lines out of a file that may be endless, or one line.
//!
//! ```text
//!  skip to start_line ──► show lines ──► count the others, within a budget
//! ```
//!
//! Invariants:
//! - One buffer and the shown lines are kept in memory. A line that is not shown, or the rest of
//!   one that is cut, only passes through the buffer.
//! - A character is a Unicode scalar value. Whether text that was decoded as UTF-8 is valid is
//!   decided once, over all that is shown.
//! - A line ends with "\n" or "\r\n", which is shown unchanged and which `max_line_chars` does
//!   not count. The last line need not have one.

use casemate_protocol::failure::Code;
use casemate_protocol::{Failure, FailureExt as _};

use super::budget::Budget;
use super::charset::{count_chars, holds_nul, prefix};
use super::source::{LineEnd, LineSource, ReadRejection, SkippedLine};

/// What to show. Nothing of it may be 0.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) start_line: u64,
    pub(super) max_lines: u64,
    pub(super) max_chars: u64,
    pub(super) max_line_chars: u64,
}

impl Limits {
    pub(super) fn has_zero(&self) -> bool {
        self.start_line == 0
            || self.max_lines == 0
            || self.max_chars == 0
            || self.max_line_chars == 0
    }
}

/// The lines shown, and what was learnt about the others.
#[derive(Debug, PartialEq)]
pub(super) struct Page {
    pub(super) text: String,
    pub(super) lines: u64,
    /// Lines whose end was seen; the file has more, unless it is `complete`.
    pub(super) lines_seen: u64,
    pub(super) complete: bool,
    pub(super) lines_cut: u64,
}

/// Reads one page. The way to `start_line` has no bound but the file's end and
/// the source's [`super::Cancel`]; it goes over holes at once.
pub(super) fn read(
    source: &mut LineSource<'_>,
    limits: &Limits,
    mut budget: Budget,
) -> Result<Page, ReadRejection> {
    let before = source.skip_lines(limits.start_line - 1)?;
    let mut shown = PageBuilder::new(limits);
    let mut stands = ReadPosition::AtLine;
    while stands == ReadPosition::AtLine
        && shown.lines < limits.max_lines
        && !source.peek()?.is_empty()
    {
        stands = shown.take_line(source, &mut budget)?;
    }
    if holds_nul(&shown.text) {
        return Err(not_text("holds NUL").into());
    }
    let (after, complete) = match stands {
        ReadPosition::AtLine => source.count_lines(false, &mut budget)?,
        ReadPosition::InUnshown => source.count_lines(true, &mut budget)?,
        ReadPosition::AfterUnshown => {
            let (lines, complete) = source.count_lines(false, &mut budget)?;
            (lines + 1, complete)
        }
        ReadPosition::InShown => (0, false),
    };
    // What there is of a line without an end may be the last of the file.
    let ended = shown.lines - u64::from(stands == ReadPosition::InShown);
    Ok(Page {
        text: String::from_utf8(shown.text).map_err(|_| ReadRejection::NotUtf8)?,
        lines: shown.lines,
        lines_seen: before + ended + after,
        complete,
        lines_cut: shown.cut,
    })
}

pub(super) fn not_text(detail: &str) -> Failure {
    Failure::new(Code::NotText, detail)
}

/// Where in the file the reader stands, after it tried to show a line.
#[derive(Clone, Copy, Debug, PartialEq)]
enum ReadPosition {
    /// Where a line begins, if one does.
    AtLine,
    /// In a line that is shown and longer than the budget.
    InShown,
    /// In a line there is no room for.
    InUnshown,
    /// Behind a line there is no room for.
    AfterUnshown,
}

/// The text that is shown, growing line by line.
struct PageBuilder<'a> {
    limits: &'a Limits,
    text: Vec<u8>,
    chars: u64,
    lines: u64,
    cut: u64,
}

impl<'a> PageBuilder<'a> {
    fn new(limits: &'a Limits) -> Self {
        Self {
            limits,
            text: Vec::new(),
            chars: 0,
            lines: 0,
            cut: 0,
        }
    }

    /// Shows the line at which `source` is, if there is room for it.
    fn take_line(
        &mut self,
        source: &mut LineSource<'_>,
        budget: &mut Budget,
    ) -> Result<ReadPosition, ReadRejection> {
        let start = self.text.len();
        let (keep, room) = self.bounds();
        // One more than is kept: it may be the "\r" of the line's end.
        let (chars, end) = source.take_chars(&mut self.text, keep.min(room) + 1)?;
        let line = match end {
            None if room <= keep => {
                self.text.truncate(start);
                return Ok(ReadPosition::InUnshown);
            }
            None => {
                let rest = source.skip_line(budget)?;
                let chars = chars + rest.chars;
                SkippedLine { chars, ..rest }
            }
            Some(end) => SkippedLine {
                chars,
                returned: self.text[start..].ends_with(b"\r"),
                end,
            },
        };
        let cut = self.finish_line(start, keep, line);
        Ok(self.keep_line(start, room, cut, line.end))
    }

    /// Characters to show of the next line, and characters there is room for.
    /// The first line is always shown: a page without it could not be gone past.
    fn bounds(&self) -> (u64, u64) {
        let Limits {
            max_chars,
            max_line_chars,
            ..
        } = *self.limits;
        if self.lines == 0 {
            return (max_line_chars.min(max_chars), u64::MAX);
        }
        (max_line_chars, max_chars.saturating_sub(self.chars))
    }

    /// Cuts what is there of a line to `keep` characters, if it has more, and
    /// ends it as it ends in the file. Says whether it was cut.
    fn finish_line(&mut self, start: usize, keep: u64, line: SkippedLine) -> bool {
        let returned = line.returned && line.end == LineEnd::Newline;
        let content = line.chars - u64::from(returned);
        let cut = content > keep;
        if cut {
            let kept = prefix(&self.text[start..], keep);
            self.text.truncate(start + kept);
            let mark = mark(content - keep, line.end);
            self.text.extend_from_slice(mark.as_bytes());
            if returned {
                self.text.push(b'\r');
            }
        }
        if line.end == LineEnd::Newline {
            self.text.push(b'\n');
        }
        cut
    }

    /// Counts the line that `text` has from `start` on, or takes it back when
    /// it is more than there is room for.
    fn keep_line(&mut self, start: usize, room: u64, cut: bool, end: LineEnd) -> ReadPosition {
        let chars = count_chars(&self.text[start..]);
        let shown = chars <= room;
        if shown {
            self.chars += chars;
            self.lines += 1;
            self.cut += u64::from(cut);
        } else {
            self.text.truncate(start);
        }
        match (shown, end) {
            (true, LineEnd::Unknown) => ReadPosition::InShown,
            (true, _) => ReadPosition::AtLine,
            (false, LineEnd::Unknown) => ReadPosition::InUnshown,
            (false, _) => ReadPosition::AfterUnshown,
        }
    }
}

/// The mark that replaces the characters of a line that are not shown.
pub(super) fn mark(more: u64, end: LineEnd) -> String {
    let over = if end == LineEnd::Unknown { "over " } else { "" };
    let s = if more == 1 { "" } else { "s" };
    format!(" [… {over}{more} more character{s}]")
}

#[cfg(test)]
mod tests;
