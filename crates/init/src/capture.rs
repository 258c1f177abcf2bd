//! A command's output, as much of it as anybody will be shown: the beginning
//! and the end of each stream, with exact counts. A flood costs no memory.
//!
//! While a command runs, [`Capture`] keeps a head and a tail of bytes. When it
//! has ended, [`cut`] divides the characters a result may have between the two
//! streams and cuts each at a line border where one is near.

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

/// Head and tail of one stream.
#[derive(Debug)]
pub struct Capture {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    total: u64,
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
            head_room: head * LONGEST_CHAR,
            tail_room: (chars - head) * LONGEST_CHAR,
        }
    }

    /// Takes in what was read from the stream.
    pub fn push(&mut self, mut bytes: &[u8]) {
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

    /// Bytes the stream has had so far.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The newest `count` bytes that are kept.
    pub fn newest(&self, count: usize) -> Vec<u8> {
        if self.tail.is_empty() {
            return self.head[self.head.len().saturating_sub(count)..].to_vec();
        }
        let skip = self.tail.len().saturating_sub(count);
        self.tail.iter().skip(skip).copied().collect()
    }

    /// Everything, when nothing was dropped between head and tail.
    fn whole(&self) -> Option<Vec<u8>> {
        let kept = self.head.len() + self.tail.len();
        (kept as u64 == self.total).then(|| {
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
            omitted: self.total - (head.len() + tail.len()) as u64,
            head: Bytes::copy_from_slice(head),
            tail: Bytes::copy_from_slice(tail),
            total: self.total,
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

/// Characters as they are shown: what is not UTF-8 becomes one replacement
/// character for each [maximal invalid piece](std::str::Utf8Chunk::invalid).
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

/// Ends behind the last line break, if one is near enough to the end.
fn end_at_line(bytes: &[u8], chars: usize) -> &[u8] {
    let near = bytes.len() - last_chars(bytes, border_distance(chars)).len();
    match bytes[near..].iter().rposition(|byte| *byte == b'\n') {
        Some(at) => &bytes[..near + at + 1],
        None => bytes,
    }
}

/// Starts behind the first line break, if one is near enough to the start.
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
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn captured(chunks: &[Vec<u8>], chars: usize) -> Capture {
        let mut capture = Capture::new(chars);
        for chunk in chunks {
            capture.push(chunk);
        }
        capture
    }

    #[test]
    fn a_short_output_is_shown_as_it_came() {
        let capture = captured(&[b"one\n".to_vec(), b"two".to_vec()], 100);
        let shown = capture.show(100);
        assert_eq!(shown.head, "one\ntwo");
        assert_eq!((shown.omitted, shown.total), (0, 7));
    }

    #[test]
    fn a_long_output_is_cut_at_line_borders_with_an_exact_count() {
        let lines: Vec<Vec<u8>> = (0..1000).map(|n| format!("line {n:04}\n").into()).collect();
        let shown = captured(&lines, 1000).show(1000);
        assert!(shown.head.ends_with(b"\n") && shown.head.starts_with(b"line 0000\n"));
        assert!(shown.tail.starts_with(b"line ") && shown.tail.ends_with(b"line 0999\n"));
        let kept = (shown.head.len() + shown.tail.len()) as u64;
        assert_eq!(kept + shown.omitted, 10_000);
        assert!(shown.head.len() >= 300 && shown.tail.len() >= 500);
    }

    #[test]
    fn a_quiet_stream_leaves_its_share_to_the_loud_one() {
        assert_eq!(share(10, usize::MAX, 100), (10, 90));
        assert_eq!(share(usize::MAX, 10, 100), (90, 10));
        assert_eq!(share(usize::MAX, usize::MAX, 100), (50, 50));
        assert_eq!(share(60, 20, 100), (80, 20));
    }

    fn chunks() -> impl Strategy<Value = Vec<Vec<u8>>> {
        let text = "[a-z\n é日😀]{0,60}".prop_map(String::into_bytes);
        let bytes = prop::collection::vec(any::<u8>(), 0..60);
        prop::collection::vec(prop_oneof![text, bytes], 0..40)
    }

    proptest! {
        #[test]
        fn what_is_shown_is_a_true_beginning_and_end(chunks in chunks(), chars in 1usize..400) {
            let all = chunks.concat();
            let shown = captured(&chunks, chars).show(chars);
            prop_assert!(all.starts_with(&shown.head));
            prop_assert!(all.ends_with(&shown.tail));
            prop_assert_eq!(shown.total, all.len() as u64);
            let kept = (shown.head.len() + shown.tail.len()) as u64;
            prop_assert_eq!(kept + shown.omitted, shown.total);
            let seen = count_chars(&shown.head) + count_chars(&shown.tail);
            prop_assert!(seen <= chars, "{seen} characters of {chars}");
            if count_chars(&all) <= chars {
                prop_assert_eq!(shown.omitted, 0);
            }
        }

        #[test]
        fn a_cut_never_tears_a_character(text in "[a-zé日😀\n]{0,800}", chars in 1usize..200) {
            let shown = captured(&[text.into_bytes()], chars).show(chars);
            prop_assert!(std::str::from_utf8(&shown.head).is_ok());
            prop_assert!(std::str::from_utf8(&shown.tail).is_ok());
        }

        #[test]
        fn how_the_output_was_chunked_does_not_matter(chunks in chunks(), chars in 1usize..300) {
            let whole = captured(&[chunks.concat()], chars).show(chars);
            prop_assert_eq!(captured(&chunks, chars).show(chars), whole);
        }

        #[test]
        fn both_streams_together_keep_the_limit(
            stdout in chunks(), stderr in chunks(), chars in 2usize..300,
        ) {
            let (stdout, stderr) = (captured(&stdout, chars), captured(&stderr, chars));
            let (out, err) = cut(&stdout, &stderr, chars);
            let seen: usize = [&out.head, &out.tail, &err.head, &err.tail]
                .iter().map(|bytes| count_chars(bytes)).sum();
            prop_assert!(seen <= chars);
        }
    }
}
