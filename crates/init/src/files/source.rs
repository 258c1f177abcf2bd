//! A file as bytes that go by in one buffer, line by line: taken, skipped or
//! counted.
//!
//! Characters are counted by their first byte: whether the bytes are UTF-8 is
//! for whoever keeps them to decide.

use std::ops::Range;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use casemate_protocol::Failure;
use memchr::{memchr, memchr_iter};
use rustix::io::{pread, retry_on_intr};

use super::lines::not_text;
use super::{Cancel, failure};

/// Bytes that may go by uncounted for: text files are rarely larger, and they
/// take 20 ms from the page cache.
const COUNTED_BYTES: u64 = 64 * 1024 * 1024;

/// Time for that: on a slow disk the count must not cost more than the text.
const COUNTED_FOR: Duration = Duration::from_millis(200);

/// Longest UTF-8 character, in bytes.
const LONGEST_CHAR: u64 = 4;

/// What may go by only to be counted.
#[derive(Debug)]
pub(super) struct Budget {
    pub(super) bytes: u64,
    pub(super) time: Duration,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            bytes: COUNTED_BYTES,
            time: COUNTED_FOR,
        }
    }
}

impl Budget {
    fn is_spent(&self, since: Instant) -> bool {
        self.bytes == 0 || since.elapsed() >= self.time
    }

    fn spend_bytes(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_sub(bytes as u64);
    }

    fn spend_time(&mut self, since: Instant) {
        self.time = self.time.saturating_sub(since.elapsed());
    }
}

/// How a line ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum End {
    Newline,
    File,
    /// It did not, within the budget.
    Unknown,
}

/// A line, or the rest of one, that went by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Passed {
    pub(super) chars: u64,
    /// Its last byte was "\r".
    pub(super) returned: bool,
    pub(super) end: End,
}

/// The file, from its beginning to the size it had when it was opened: one
/// that grows while it is read has an end all the same.
pub(super) struct Source<'a> {
    file: BorrowedFd<'a>,
    offset: u64,
    size: u64,
    buffer: Vec<u8>,
    unread: Range<usize>,
    cancel: &'a Cancel,
}

impl<'a> Source<'a> {
    pub(super) fn new(file: &'a OwnedFd, size: u64, buffer: usize, cancel: &'a Cancel) -> Self {
        Self {
            file: file.as_fd(),
            offset: 0,
            size,
            buffer: vec![0; buffer],
            unread: 0..0,
            cancel,
        }
    }

    /// The bytes that come next; none only at the end of the file.
    pub(super) fn peek(&mut self) -> Result<&[u8], Failure> {
        if self.unread.is_empty() {
            self.cancel.check()?;
            let left = usize::try_from(self.size.saturating_sub(self.offset));
            let wanted = left.unwrap_or(usize::MAX).min(self.buffer.len());
            let buffer = &mut self.buffer[..wanted];
            let read = retry_on_intr(|| pread(self.file, &mut *buffer, self.offset));
            let read = read.map_err(failure)?;
            self.offset += read as u64;
            self.unread = 0..read;
        }
        Ok(&self.buffer[self.unread.clone()])
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
    ) -> Result<(u64, Option<End>), Failure> {
        let start = text.len();
        let mut chars = 0;
        loop {
            let unread = self.peek()?;
            if unread.is_empty() {
                return Ok((chars, Some(End::File)));
            }
            let newline = memchr(b'\n', unread);
            let line = &unread[..newline.unwrap_or(unread.len())];
            let bytes = prefix(line, max - chars);
            text.extend_from_slice(&line[..bytes]);
            chars += count_chars(&line[..bytes]);
            let more = bytes < line.len();
            let ended = !more && newline.is_some();
            self.consume(bytes + usize::from(ended));
            // Bytes that continue a character for ever are none.
            if (text.len() - start) as u64 > max.saturating_mul(LONGEST_CHAR) {
                return Err(not_text("not UTF-8"));
            }
            if ended {
                return Ok((chars, Some(End::Newline)));
            }
            if more {
                return Ok((chars, None));
            }
        }
    }

    /// Lets the rest of a line go by.
    pub(super) fn skip_line(&mut self, budget: &mut Budget) -> Result<Passed, Failure> {
        let since = Instant::now();
        let mut passed = Passed {
            chars: 0,
            returned: false,
            end: End::Unknown,
        };
        while passed.end == End::Unknown {
            let unread = self.peek()?;
            if unread.is_empty() {
                passed.end = End::File;
            } else if budget.is_spent(since) {
                break;
            } else {
                let newline = memchr(b'\n', unread);
                let line = &unread[..newline.unwrap_or(unread.len())];
                passed.chars += count_chars(line);
                passed.returned = line.last().map_or(passed.returned, |last| *last == b'\r');
                if newline.is_some() {
                    passed.end = End::Newline;
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

    /// Counts the lines that are left, and says whether these are all. `open`:
    /// it stands in the middle of one.
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

/// Characters in `bytes`: bytes that do not continue one.
pub(super) fn count_chars(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| begins_char(**byte)).count() as u64
}

/// Length of the first `chars` characters of `bytes`.
pub(super) fn prefix(bytes: &[u8], chars: u64) -> usize {
    let after = usize::try_from(chars).unwrap_or(usize::MAX);
    let mut starts = (0..bytes.len()).filter(|at| begins_char(bytes[*at]));
    starts.nth(after).unwrap_or(bytes.len())
}

fn begins_char(byte: u8) -> bool {
    byte & 0b1100_0000 != 0b1000_0000
}
