//! The encoding of a text file: detected by its first bytes, then decoded into UTF-8 one buffer
//! after the other.
//!
//! The rule, over the first [`SNIFF_LIMIT`] bytes:
//!
//! 1. A byte order mark decides: UTF-8, or UTF-16 in either order.
//! 2. UTF-8 otherwise, where the bytes are that.
//! 3. Other bytes that do not look binary: damaged UTF-8 if they have more valid characters
//!    beyond ASCII than invalid sequences, else Latin-1.
//!
//! Text has no NUL in any encoding. Bytes that are not UTF-8 are also binary with the signature
//! of an image, or with more than one control character in [`CONTROLS`] ([`looks_binary`]).

use casemate_protocol::{Encoding, image_type};
use memchr::memchr;

/// Bytes that decide: git looks for NUL in as much.
pub(super) const SNIFF_LIMIT: usize = 8 * 1024;

/// Least characters of a text for each control character in it: one in 50 may be
/// damage, compressed data has five.
const CONTROLS: u64 = 50;

const MARK_UTF_8: &[u8] = b"\xef\xbb\xbf";
const MARK_LE: &[u8] = b"\xff\xfe";
const MARK_BE: &[u8] = b"\xfe\xff";

/// How bytes become characters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Charset {
    Utf8 {
        marked: bool,
    },
    /// With a few bytes that are not.
    DamagedUtf8 {
        marked: bool,
    },
    /// Always marked: without a mark its NULs make it binary.
    Utf16(ByteOrder),
    /// Every byte is the character of its number (ISO 8859-1): no byte is lost, whichever
    /// encoding it was.
    Latin1,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum ByteOrder {
    Little,
    Big,
}

impl Charset {
    /// The encoding of a file that begins with `head`; `None`: it is binary. `whole`: the file
    /// has no more bytes.
    pub(super) fn of(head: &[u8], whole: bool) -> Option<Self> {
        let found = if head.starts_with(MARK_LE) {
            Self::Utf16(ByteOrder::Little)
        } else if head.starts_with(MARK_BE) {
            Self::Utf16(ByteOrder::Big)
        } else if is_utf8(head, whole) {
            let marked = head.starts_with(MARK_UTF_8);
            Self::Utf8 { marked }
        } else if is_damaged_utf8(head, whole) {
            let marked = head.starts_with(MARK_UTF_8);
            Self::DamagedUtf8 { marked }
        } else {
            Self::Latin1
        };
        let mut text = Vec::new();
        found.decode(&head[found.mark().len()..], whole, &mut text);
        let binary = match found {
            Self::Utf8 { .. } => holds_nul(&text),
            Self::Utf16(_) => looks_binary(&text),
            Self::Latin1 => image_type(head).is_some() || looks_binary(&text),
            // It has as many characters beyond ASCII as stands for them.
            Self::DamagedUtf8 { .. } => image_type(head).is_some() || has_many_controls(&text),
        };
        (!binary).then_some(found)
    }

    /// The byte order mark, which is no part of the text.
    pub(super) fn mark(self) -> &'static [u8] {
        match self {
            Self::Utf8 { marked: true } | Self::DamagedUtf8 { marked: true } => MARK_UTF_8,
            Self::Utf16(ByteOrder::Little) => MARK_LE,
            Self::Utf16(ByteOrder::Big) => MARK_BE,
            Self::Utf8 { marked: false } | Self::DamagedUtf8 { marked: false } | Self::Latin1 => {
                b""
            }
        }
    }

    /// Appends `raw` to `text` as UTF-8 and returns how many bytes it took: all except a character
    /// that may continue after them, unless they are the `last`. Then half a character of UTF-16
    /// is U+FFFD. UTF-8 stays as it is, valid or not.
    pub(super) fn decode(self, raw: &[u8], last: bool, text: &mut Vec<u8>) -> usize {
        match self {
            Self::Utf8 { .. } => {
                text.extend_from_slice(raw);
                raw.len()
            }
            Self::DamagedUtf8 { .. } => lossy(raw, last, text),
            Self::Latin1 => {
                for run in raw.chunk_by(|one, next| one.is_ascii() == next.is_ascii()) {
                    if run.is_ascii() {
                        text.extend_from_slice(run);
                    } else {
                        run.iter().for_each(|byte| push(text, char::from(*byte)));
                    }
                }
                raw.len()
            }
            Self::Utf16(ByteOrder::Little) => utf16(u16::from_le_bytes, raw, last, text),
            Self::Utf16(ByteOrder::Big) => utf16(u16::from_be_bytes, raw, last, text),
        }
    }
}

impl From<Charset> for Encoding {
    fn from(charset: Charset) -> Self {
        match charset {
            Charset::Utf8 { marked: false } => Self::Utf8,
            Charset::Utf8 { marked: true } => Self::Utf8Bom,
            Charset::Utf16(ByteOrder::Little) => Self::Utf16Le,
            Charset::Utf16(ByteOrder::Big) => Self::Utf16Be,
            Charset::Latin1 => Self::Latin1,
            Charset::DamagedUtf8 { .. } => Self::Utf8Damaged,
        }
    }
}

fn utf16(unit: impl Fn([u8; 2]) -> u16, raw: &[u8], last: bool, text: &mut Vec<u8>) -> usize {
    let (mut pairs, mut odd) = raw.as_chunks::<2>();
    if !last {
        odd = &[];
        // The first half of a pair whose second half is in the next buffer.
        if let Some((pair, before)) = pairs.split_last()
            && (0xd800..0xdc00).contains(&unit(*pair))
        {
            pairs = before;
        }
    }
    // ASCII in runs: most of most text, and no half of a pair.
    let is_ascii = |pair: &[u8; 2]| unit(*pair) < 0x80;
    for run in pairs.chunk_by(|one, next| is_ascii(one) == is_ascii(next)) {
        if is_ascii(&run[0]) {
            text.extend(run.iter().map(|pair| pair[0] | pair[1]));
            continue;
        }
        for decoded in char::decode_utf16(run.iter().map(|pair| unit(*pair))) {
            push(text, decoded.unwrap_or(char::REPLACEMENT_CHARACTER));
        }
    }
    if !odd.is_empty() {
        push(text, char::REPLACEMENT_CHARACTER);
    }
    2 * pairs.len() + odd.len()
}

/// UTF-8, with U+FFFD for what is not.
fn lossy(raw: &[u8], last: bool, text: &mut Vec<u8>) -> usize {
    let mut taken = 0;
    for chunk in raw.utf8_chunks() {
        text.extend_from_slice(chunk.valid().as_bytes());
        let (valid, invalid) = (chunk.valid().len(), chunk.invalid());
        taken += valid;
        if goes_on(invalid) && taken + invalid.len() == raw.len() && !last {
            break;
        }
        if !invalid.is_empty() {
            push(text, char::REPLACEMENT_CHARACTER);
        }
        taken += invalid.len();
    }
    taken
}

/// Whether these bytes are the beginning of a character.
fn goes_on(bytes: &[u8]) -> bool {
    str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}

/// Whether bytes that are not UTF-8 were meant to be: they have more of its characters beyond
/// ASCII than invalid sequences. Text in another encoding has hardly any.
pub(super) fn is_damaged_utf8(bytes: &[u8], whole: bool) -> bool {
    let (mut characters, mut runs) = (0_u64, 0_u64);
    let mut at = 0;
    for chunk in bytes.utf8_chunks() {
        characters += beyond_ascii(chunk.valid().as_bytes());
        at += chunk.valid().len() + chunk.invalid().len();
        let is_cut = !whole && at == bytes.len() && goes_on(chunk.invalid());
        runs += u64::from(!chunk.invalid().is_empty() && !is_cut);
    }
    runs > 0 && characters > runs
}

/// Whether a text that was decoded as damaged UTF-8 has less of that than of damage.
pub(super) fn is_mostly_damage(text: &str) -> bool {
    let runs = text.matches(char::REPLACEMENT_CHARACTER).count() as u64;
    beyond_ascii(text.as_bytes()) - runs <= runs
}

/// Characters other than ASCII.
fn beyond_ascii(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte >= 0xc0).count() as u64
}

/// Whether bytes begin with the mark of UTF-16, even if the rest is not UTF-16.
pub(super) fn is_marked_utf16(head: &[u8]) -> bool {
    head.starts_with(MARK_LE) || head.starts_with(MARK_BE)
}

/// The text of UTF-16 without its mark; `None` where it has halves of characters.
pub(super) fn utf16_exactly(raw: &[u8], order: ByteOrder) -> Option<String> {
    let (pairs, odd) = raw.as_chunks::<2>();
    let unit = |pair: &[u8; 2]| match order {
        ByteOrder::Little => u16::from_le_bytes(*pair),
        ByteOrder::Big => u16::from_be_bytes(*pair),
    };
    let text: Result<String, _> = char::decode_utf16(pairs.iter().map(unit)).collect();
    text.ok().filter(|_| odd.is_empty())
}

/// Appends a text as UTF-16, without a mark.
pub(super) fn encode_utf16(text: &str, order: ByteOrder, raw: &mut Vec<u8>) {
    raw.reserve(2 * text.len());
    for unit in text.encode_utf16() {
        raw.extend(match order {
            ByteOrder::Little => unit.to_le_bytes(),
            ByteOrder::Big => unit.to_be_bytes(),
        });
    }
}

fn push(text: &mut Vec<u8>, char: char) {
    text.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
}

/// Whether the bytes are UTF-8, except for a last character that is cut off.
fn is_utf8(head: &[u8], whole: bool) -> bool {
    match str::from_utf8(head) {
        Ok(_) => true,
        Err(error) => !whole && error.error_len().is_none(),
    }
}

/// NUL is a character, but of no text.
pub(super) fn holds_nul(bytes: &[u8]) -> bool {
    memchr(0, bytes).is_some()
}

/// Whether a decoded text has what text does not have: a NUL, or too many control
/// characters or halves of characters.
pub(super) fn looks_binary(text: &[u8]) -> bool {
    let replaced = "\u{fffd}".as_bytes();
    let halves = text.windows(replaced.len()).filter(|at| *at == replaced);
    has_many_odd(text, halves.count())
}

/// As [`looks_binary`], where halves of characters are no sign of it.
pub(super) fn has_many_controls(text: &[u8]) -> bool {
    has_many_odd(text, 0)
}

/// Whether a text has a NUL, or too many control characters and `others` like them.
fn has_many_odd(text: &[u8], others: usize) -> bool {
    let controls = text.iter().filter(|byte| is_odd_control(**byte)).count();
    let odd = (controls + others) as u64;
    holds_nul(text) || odd * CONTROLS > count_chars(text)
}

/// Control characters except BEL, BS, TAB, LF, VT, FF, CR and ESC, which texts for terminals and
/// printers have.
fn is_odd_control(byte: u8) -> bool {
    byte.is_ascii_control() && !matches!(byte, 0x07..=0x0d | 0x1b)
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

#[cfg(test)]
mod tests;
