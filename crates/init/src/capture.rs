//! The part of a command's output that a result can show: the beginning and the end of each
//! stream, with exact counts. Output without end costs no more memory.
//!
//! While a command runs, [`Capture`] keeps a head and a tail of bytes. When it
//! has ended, [`cut`] divides the characters a result may have between the two
//! streams and cuts each at a line border where one is near.
//!
//! A progress bar writes its line again and again, with a carriage return before each
//! frame. Of such a line the last frame is kept, and the bytes of the others are counted.

use std::collections::VecDeque;

use bytes::Bytes;
use casemate_protocol::Captured;

/// Share of the head in what is shown, in percent. The end of an output holds
/// the error more often than its beginning.
const HEAD_PERCENT: usize = 40;

/// How far from the wanted place a line border is looked for, in characters.
const LINE_BORDER_WITHIN: usize = 2_000;

/// Longest UTF-8 character, in bytes.
const LONGEST_CHAR: usize = 4;

/// One of a command's two output streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Head and tail of one stream, without what was overwritten in its lines.
#[derive(Debug)]
pub struct Capture {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    total: u64,
    /// Bytes of frames that another one replaced.
    overwritten: u64,
    /// Where the line that is being written begins, among the bytes that were not overwritten.
    line: u64,
    /// Whether the last byte was a carriage return: a line feed after it ends the line, and
    /// anything else begins it anew.
    returned: bool,
    /// Whether that line has anything but carriage returns.
    drawn: bool,
    head_room: usize,
    tail_room: usize,
}

impl Capture {
    /// Keeps what a result of `chars` characters can show.
    pub fn new(chars: usize) -> Self {
        let head = chars * HEAD_PERCENT / 100;
        Self {
            head: Vec::new(),
            tail: VecDeque::new(),
            total: 0,
            overwritten: 0,
            line: 0,
            returned: false,
            drawn: false,
            head_room: head * LONGEST_CHAR,
            tail_room: (chars - head) * LONGEST_CHAR,
        }
    }

    /// Takes in what was read from the stream.
    pub fn push(&mut self, mut bytes: &[u8]) {
        while let Some(first) = bytes.first() {
            if self.returned && self.drawn && !matches!(first, b'\r' | b'\n') {
                self.overwrite();
            }
            let end = memchr::memchr(b'\r', bytes).map_or(bytes.len(), |at| at + 1);
            let (piece, rest) = bytes.split_at(end);
            self.keep(piece);
            let mut line = piece;
            if let Some(at) = memchr::memrchr(b'\n', piece) {
                line = &piece[at + 1..];
                self.line = self.kept() - line.len() as u64;
                self.drawn = false;
            }
            self.returned = piece.ends_with(b"\r");
            self.drawn |= line.len() > usize::from(self.returned);
            bytes = rest;
        }
    }

    /// Counts bytes of a stream that nothing is kept of, and looks for no frames in them.
    pub fn count(&mut self, bytes: &[u8]) {
        self.total += bytes.len() as u64;
    }

    fn keep(&mut self, mut bytes: &[u8]) {
        self.total += bytes.len() as u64;
        let room = self.head_room - self.head.len();
        let (head, rest) = bytes.split_at(room.min(bytes.len()));
        self.head.extend_from_slice(head);
        bytes = rest;
        if bytes.len() > self.tail_room {
            bytes = &bytes[bytes.len() - self.tail_room..];
        }
        let excess = (self.tail.len() + bytes.len()).saturating_sub(self.tail_room);
        self.tail.drain(..excess);
        self.tail.extend(bytes);
    }

    /// Forgets the frame that is in the line.
    fn overwrite(&mut self) {
        let frame = self.kept() - self.line;
        self.overwritten += frame;
        self.drawn = false;
        let left = usize::try_from(frame).map_or(0, |frame| self.tail.len().saturating_sub(frame));
        self.tail.truncate(left);
        // The line began in the head: then the tail was all of this line.
        if let Ok(line) = usize::try_from(self.line) {
            self.head.truncate(line);
        }
    }

    /// Bytes of the stream that no frame replaced.
    fn kept(&self) -> u64 {
        self.total - self.overwritten
    }

    /// Bytes the stream has had so far.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The newest characters that are kept, in `count` bytes at most: none is torn at the
    /// beginning, nor at the end, where the rest of one may not be written yet.
    pub fn newest(&self, count: usize) -> Vec<u8> {
        let newest: Vec<u8> = if self.tail.is_empty() {
            self.head[self.head.len().saturating_sub(count)..].to_vec()
        } else {
            let skip = self.tail.len().saturating_sub(count);
            self.tail.iter().skip(skip).copied().collect()
        };
        let is_all = newest.len() as u64 == self.kept();
        let from = if is_all {
            &newest
        } else {
            without_torn_char(&newest)
        };
        without_unfinished_char(from).to_vec()
    }

    /// Everything that no frame replaced, when nothing was dropped between head and tail.
    fn whole(&self) -> Option<Vec<u8>> {
        let kept = self.head.len() + self.tail.len();
        (kept as u64 == self.kept()).then(|| {
            let (front, back) = self.tail.as_slices();
            [&self.head, front, back].concat()
        })
    }

    /// At most `chars` characters of it.
    fn show(&self, chars: usize) -> Captured {
        let whole = self.whole();
        if let Some(all) = &whole
            && count_chars(all) <= chars
        {
            return Captured {
                head: all.clone().into(),
                omitted: 0,
                tail: Bytes::new(),
                total: self.total,
                overwritten: self.overwritten,
            };
        }
        let tail_kept: Vec<u8> = self.tail.iter().copied().collect();
        let (from, until) = match &whole {
            Some(all) => (all.as_slice(), all.as_slice()),
            None => (self.head.as_slice(), without_torn_char(&tail_kept)),
        };
        let head_chars = chars * HEAD_PERCENT / 100;
        let head = end_at_line(first_chars(from, head_chars), chars);
        let tail = start_at_line(last_chars(until, chars - head_chars), chars);
        Captured {
            omitted: self.kept() - (head.len() + tail.len()) as u64,
            head: Bytes::copy_from_slice(head),
            tail: Bytes::copy_from_slice(tail),
            total: self.total,
            overwritten: self.overwritten,
        }
    }
}

/// Both streams in at most `chars` characters together. A stream that needs
/// less than half leaves the rest to the other.
pub fn cut(stdout: &Capture, stderr: &Capture, chars: usize) -> (Captured, Captured) {
    let need = |capture: &Capture| {
        capture
            .whole()
            .map_or(usize::MAX, |bytes| count_chars(&bytes))
    };
    let (stdout_chars, stderr_chars) = share(need(stdout), need(stderr), chars);
    (stdout.show(stdout_chars), stderr.show(stderr_chars))
}

fn share(first: usize, second: usize, chars: usize) -> (usize, usize) {
    let half = chars / 2;
    match (first <= half, second <= half) {
        (true, _) => (first, chars - first),
        (false, true) => (chars - second, second),
        (false, false) => (chars - half, half),
    }
}

/// Characters as they are shown: bytes that are not UTF-8 become one replacement character for
/// each [maximal invalid piece](std::str::Utf8Chunk::invalid).
fn count_chars(bytes: &[u8]) -> usize {
    bytes
        .utf8_chunks()
        .map(|chunk| chunk.valid().chars().count() + usize::from(!chunk.invalid().is_empty()))
        .sum()
}

/// The longest beginning of at most `count` characters.
fn first_chars(bytes: &[u8], count: usize) -> &[u8] {
    let mut left = count;
    let mut end = 0;
    for chunk in bytes.utf8_chunks() {
        for char in chunk.valid().chars() {
            if left == 0 {
                return &bytes[..end];
            }
            left -= 1;
            end += char.len_utf8();
        }
        if !chunk.invalid().is_empty() {
            if left == 0 {
                return &bytes[..end];
            }
            left -= 1;
            end += chunk.invalid().len();
        }
    }
    &bytes[..end]
}

/// The longest end of at most `count` characters.
fn last_chars(bytes: &[u8], count: usize) -> &[u8] {
    let skip = count_chars(bytes).saturating_sub(count);
    &bytes[first_chars(bytes, skip).len()..]
}

/// Without the rest of a character whose beginning was dropped.
fn without_torn_char(bytes: &[u8]) -> &[u8] {
    let is_continuation = |byte: &&u8| **byte & 0b1100_0000 == 0b1000_0000;
    let torn = bytes
        .iter()
        .take(LONGEST_CHAR - 1)
        .take_while(is_continuation)
        .count();
    &bytes[torn..]
}

/// Without the beginning of a character that the end cuts off.
fn without_unfinished_char(bytes: &[u8]) -> &[u8] {
    let last = bytes
        .utf8_chunks()
        .last()
        .map_or(&[][..], |chunk| chunk.invalid());
    match std::str::from_utf8(last) {
        // No byte of it is wrong: some are missing.
        Err(error) if error.error_len().is_none() => &bytes[..bytes.len() - last.len()],
        _ => bytes,
    }
}

/// Ends after the last line break, if one is near enough to the end.
fn end_at_line(bytes: &[u8], chars: usize) -> &[u8] {
    let near = bytes.len() - last_chars(bytes, border_distance(chars)).len();
    match bytes[near..].iter().rposition(|byte| *byte == b'\n') {
        Some(at) => &bytes[..near + at + 1],
        None => bytes,
    }
}

/// Starts after the first line break, if one is near enough to the start.
fn start_at_line(bytes: &[u8], chars: usize) -> &[u8] {
    let near = first_chars(bytes, border_distance(chars)).len();
    match bytes[..near].iter().position(|byte| *byte == b'\n') {
        Some(at) => &bytes[at + 1..],
        None => bytes,
    }
}

/// A small result must not lose most of itself to a line border.
fn border_distance(chars: usize) -> usize {
    LINE_BORDER_WITHIN.min(chars / 10)
}

#[cfg(test)]
mod tests;
