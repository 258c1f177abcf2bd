//! Reads a text file as UTF-8 through one buffer, line by line: lines are taken, skipped or
//! counted.
//!
//! Characters are counted by their first byte: the code that keeps a text decides whether it is
//! valid UTF-8.

use std::ops::Range;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::time::Instant;

use casemate_protocol::Failure;
use memchr::{memchr, memchr_iter};
use rustix::fs::{SeekFrom, seek};
use rustix::io::{Errno, pread, retry_on_intr};

use super::budget::Budget;
use super::charset::{Charset, count_chars, prefix};
use super::{Cancel, failure};

/// Longest UTF-8 character, in bytes.
const LONGEST_CHAR: u64 = 4;

/// Why nothing can be shown.
#[derive(Debug)]
pub(super) enum ReadRejection {
    /// It was read as UTF-8, and is not.
    NotUtf8,
    Failed(Failure),
}

impl From<Failure> for ReadRejection {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// How a line ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum LineEnd {
    Newline,
    File,
    /// It did not, within the budget.
    Unknown,
}

/// A line, or the rest of one, that went by.
#[derive(Clone, Copy, Debug)]
pub(super) struct SkippedLine {
    pub(super) chars: u64,
    /// Its last byte was "\r".
    pub(super) returned: bool,
    pub(super) end: LineEnd,
}

/// The file, from its beginning to the size it had when it was opened: one
/// that grows while it is read has an end all the same.
pub(super) struct LineSource<'a> {
    file: BorrowedFd<'a>,
    charset: Charset,
    offset: u64,
    size: u64,
    raw: Vec<u8>,
    /// The bytes of `raw` as UTF-8: at most twice as many.
    buffer: Vec<u8>,
    unread: Range<usize>,
    cancel: &'a Cancel,
}

impl<'a> LineSource<'a> {
    /// `buffer`: bytes read at a time; a character of UTF-16 has up to 4.
    pub(super) fn new(
        file: &'a OwnedFd,
        size: u64,
        charset: Charset,
        buffer: usize,
        cancel: &'a Cancel,
    ) -> Self {
        Self {
            file: file.as_fd(),
            charset,
            offset: charset.mark().len() as u64,
            size,
            raw: vec![0; buffer],
            buffer: Vec::new(),
            unread: 0..0,
            cancel,
        }
    }

    /// The bytes that come next; none only at the end of the file.
    pub(super) fn peek(&mut self) -> Result<&[u8], Failure> {
        if self.unread.is_empty() {
            self.cancel.check()?;
            self.fill()?;
        }
        Ok(&self.buffer[self.unread.clone()])
    }

    fn fill(&mut self) -> Result<(), Failure> {
        let left = usize::try_from(self.size.saturating_sub(self.offset)).unwrap_or(usize::MAX);
        let wanted = left.min(self.raw.len());
        let raw = &mut self.raw[..wanted];
        let read = retry_on_intr(|| pread(self.file, &mut *raw, self.offset)).map_err(failure)?;
        let raw = &raw[..read];
        self.buffer.clear();
        // The bytes that are not taken are read again, with the next ones.
        let mut taken = self.charset.decode(raw, read == left, &mut self.buffer);
        if taken == 0 {
            // Nothing follows: the file was cut off.
            taken = self.charset.decode(raw, true, &mut self.buffer);
        }
        self.offset += taken as u64;
        self.unread = 0..self.buffer.len();
        Ok(())
    }

    /// Goes to the end of the hole that the file has here, if it has one. It
    /// reads as NULs, and no line ends in these.
    fn pass_hole(&mut self) -> bool {
        if !self.unread.is_empty() || self.offset >= self.size {
            return false;
        }
        let data = match seek(self.file, SeekFrom::Data(self.offset)) {
            Ok(data) => data.min(self.size),
            Err(Errno::NXIO) => self.size,
            // A file system that does not know its holes.
            Err(_) => return false,
        };
        // Units of UTF-16 stay whole.
        let hole = data.saturating_sub(self.offset) / 2 * 2;
        self.offset += hole;
        hole > 0
    }

    fn consume(&mut self, bytes: usize) {
        self.unread.start += bytes;
    }

    /// Moves the line, or `max` characters of it, into `text`. The end is
    /// `None` when more of the line follows.
    pub(super) fn take_chars(
        &mut self,
        text: &mut Vec<u8>,
        max: u64,
    ) -> Result<(u64, Option<LineEnd>), ReadRejection> {
        let start = text.len();
        let mut chars = 0;
        loop {
            let unread = self.peek()?;
            if unread.is_empty() {
                return Ok((chars, Some(LineEnd::File)));
            }
            let newline = memchr(b'\n', unread);
            let line = &unread[..newline.unwrap_or(unread.len())];
            let bytes = prefix(line, max - chars);
            text.extend_from_slice(&line[..bytes]);
            chars += count_chars(&line[..bytes]);
            let more = bytes < line.len();
            let ended = !more && newline.is_some();
            self.consume(bytes + usize::from(ended));
            // An endless run of continuation bytes is not a character.
            if (text.len() - start) as u64 > max.saturating_mul(LONGEST_CHAR) {
                return Err(ReadRejection::NotUtf8);
            }
            if ended {
                return Ok((chars, Some(LineEnd::Newline)));
            }
            if more {
                return Ok((chars, None));
            }
        }
    }

    /// Lets the rest of a line go by.
    pub(super) fn skip_line(&mut self, budget: &mut Budget) -> Result<SkippedLine, Failure> {
        let since = Instant::now();
        let mut passed = SkippedLine {
            chars: 0,
            returned: false,
            end: LineEnd::Unknown,
        };
        while passed.end == LineEnd::Unknown {
            let unread = self.peek()?;
            if unread.is_empty() {
                passed.end = LineEnd::File;
            } else if budget.is_spent(since) {
                break;
            } else {
                let newline = memchr(b'\n', unread);
                let line = &unread[..newline.unwrap_or(unread.len())];
                passed.chars += count_chars(line);
                passed.returned = line.last().map_or(passed.returned, |last| *last == b'\r');
                if newline.is_some() {
                    passed.end = LineEnd::Newline;
                }
                let bytes = line.len() + usize::from(newline.is_some());
                self.consume(bytes);
                budget.spend_bytes(bytes);
            }
        }
        budget.spend_time(since);
        Ok(passed)
    }

    /// Goes to the line that `lines` others come before; says how many did,
    /// which are fewer when the file has no more.
    pub(super) fn skip_lines(&mut self, lines: u64) -> Result<u64, Failure> {
        let mut skipped = 0;
        let mut open = false;
        while skipped < lines {
            open |= self.pass_hole();
            let unread = self.peek()?;
            if unread.is_empty() {
                return Ok(skipped + u64::from(open));
            }
            let wanted = lines - skipped;
            let newlines = memchr_iter(b'\n', unread).count() as u64;
            let bytes = if newlines < wanted {
                open = !unread.ends_with(b"\n");
                unread.len()
            } else {
                let before = usize::try_from(wanted - 1).unwrap_or(usize::MAX);
                memchr_iter(b'\n', unread).nth(before).unwrap_or(0) + 1
            };
            skipped += newlines.min(wanted);
            self.consume(bytes);
        }
        Ok(skipped)
    }

    /// Counts the remaining lines, and says whether these are all. `open`: it is in the middle
    /// of one.
    pub(super) fn count_lines(
        &mut self,
        mut open: bool,
        budget: &mut Budget,
    ) -> Result<(u64, bool), Failure> {
        let since = Instant::now();
        let mut lines = 0;
        loop {
            let unread = self.peek()?;
            if unread.is_empty() {
                return Ok((lines + u64::from(open), true));
            }
            if budget.is_spent(since) {
                return Ok((lines, false));
            }
            lines += memchr_iter(b'\n', unread).count() as u64;
            open = !unread.ends_with(b"\n");
            let bytes = unread.len();
            self.consume(bytes);
            budget.spend_bytes(bytes);
        }
    }
}
