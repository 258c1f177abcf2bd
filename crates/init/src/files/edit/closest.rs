//! The text that was probably meant by one that is not in the file: the same with other line
//! ends, the same with other white space, or the line most similar to its first line.

use std::cmp::Reverse;
use std::ops::Range;

use casemate_protocol::no_match::Difference;
use casemate_protocol::{Failure, NoMatch};
use memchr::memmem;

use super::super::Cancel;
use super::alike::Line;
use super::common::{lines_of, newlines, shown};

/// Lines that are shown of such a text, and compared after a first line.
const LINES: usize = 20;

/// Text shown of them, in bytes.
const TEXT_BYTES: usize = 2 * 1024;

/// Characters shown of one of them.
const LINE_CHARS: u64 = 500;

/// Compares `old` with what is in `content`.
pub(super) fn closest(content: &[u8], old: &[u8], cancel: &Cancel) -> Result<NoMatch, Failure> {
    let is_return = |byte: u8| byte == b'\r';
    let is_space = |byte: u8| byte.is_ascii_whitespace();
    if let Some(at) = find_without(content, old, is_return) {
        return Ok(no_match(content, Difference::LineEnds, at));
    }
    cancel.check()?;
    if let Some(at) = find_without(content, old, is_space) {
        return Ok(no_match(content, Difference::WhiteSpace, at));
    }
    Ok(match most_alike(content, old, cancel)? {
        Some(at) => no_match(content, Difference::Closest, at),
        None => NoMatch::default(),
    })
}

/// The lines that `at` is in.
fn no_match(content: &[u8], difference: Difference, at: Range<usize>) -> NoMatch {
    let start = memchr::memrchr(b'\n', &content[..at.start]).map_or(0, |newline| newline + 1);
    let last = at.end.saturating_sub(1).max(at.start);
    let end = memchr::memchr(b'\n', &content[last..]).map_or(content.len(), |more| last + more);
    let mut text = String::new();
    for line in lines_of(&content[start..end]).take(LINES) {
        let line = shown(line.trim_ascii_end(), LINE_CHARS);
        if text.len() + line.len() > TEXT_BYTES {
            break;
        }
        text += &line;
        text.push('\n');
    }
    text.pop();
    NoMatch {
        difference: difference.into(),
        line: 1 + newlines(&content[..start]),
        text,
    }
}

/// Where `old` is in `content` when both are read without some bytes.
fn find_without(content: &[u8], old: &[u8], left_out: impl Fn(u8) -> bool) -> Option<Range<usize>> {
    let squeeze = |bytes: &[u8]| -> Vec<u8> {
        let kept = bytes.iter().copied().filter(|byte| !left_out(*byte));
        kept.collect()
    };
    let old = squeeze(old);
    if old.is_empty() {
        return None;
    }
    let at = memmem::find(&squeeze(content), &old)?;
    let mut kept = (0..content.len()).filter(|index| !left_out(content[*index]));
    let start = kept.nth(at)?;
    let last = match old.len() {
        1 => start,
        length => kept.nth(length - 2)?,
    };
    Some(start..last + 1)
}

/// The line that is most similar to the first line of `old`, with as many after it as
/// `old` has. Of several the one whose next lines are those of `old`.
fn most_alike(
    content: &[u8],
    old: &[u8],
    cancel: &Cancel,
) -> Result<Option<Range<usize>>, Failure> {
    let mut wanted = lines_of(old).map(<[u8]>::trim_ascii);
    let Some(first) = wanted.find(|line| !line.is_empty()) else {
        return Ok(None);
    };
    let next: Vec<&[u8]> = wanted.take(LINES).collect();
    let mut line = Line::new(first);
    let mut best = None;
    let mut at = 0;
    for candidate in lines_of(content) {
        cancel.check()?;
        let limit = best.map_or(line.limit(), |((distance, _), _)| distance);
        if let Some(distance) = line.distance(candidate.trim_ascii(), limit) {
            let rest = &content[at + candidate.len()..];
            let score = (distance, Reverse(agreeing(&next, rest)));
            if best.is_none_or(|(known, _)| score < known) {
                best = Some((score, at));
            }
        }
        at += candidate.len();
    }
    Ok(best.map(|(_, at)| {
        let lines = lines_of(&content[at..]).take(1 + next.len());
        at..at + lines.map(<[u8]>::len).sum::<usize>()
    }))
}

/// How many of the first lines of `rest` are the ones of `next`.
fn agreeing(next: &[&[u8]], rest: &[u8]) -> usize {
    let pairs = next.iter().zip(lines_of(rest).map(<[u8]>::trim_ascii));
    pairs.take_while(|(wanted, line)| *wanted == line).count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn says(content: &str, old: &str) -> (Difference, u64, String) {
        let meant = closest(content.as_bytes(), old.as_bytes(), &Cancel::default());
        let meant = meant.expect("not cancelled");
        (meant.difference(), meant.line, meant.text)
    }

    #[test]
    fn other_line_ends_and_other_white_space_are_told_apart() {
        let crlf = "one\r\ntwo\r\nthree\r\n";
        let (difference, line, text) = says(crlf, "two\nthree\n");
        assert_eq!(
            (difference, line, &*text),
            (Difference::LineEnds, 2, "two\nthree")
        );
        let tabs = "if a:\n\tb = 1\n\tc = 2\n";
        let (difference, line, text) = says(tabs, "    b = 1\n    c = 2\n");
        assert_eq!(difference, Difference::WhiteSpace);
        assert_eq!((line, &*text), (2, "\tb = 1\n\tc = 2"));
        // A newline that the last line does not have.
        assert_eq!(says("a\nlast", "last\n").0, Difference::WhiteSpace);
    }

    #[test]
    fn the_line_most_like_the_first_one_is_named() {
        let content = "fn alpha() {\n    1\n}\n\nfn beta(x: u32) {\n    2\n}\n";
        let (difference, line, text) = says(content, "fn beta(x: u64) {\n    2\n}\n");
        assert_eq!((difference, line), (Difference::Closest, 5));
        assert_eq!(text, "fn beta(x: u32) {\n    2\n}");
        assert_eq!(
            says(content, "struct Nothing;").0,
            Difference::NothingLikeIt
        );
        assert_eq!(says(content, "\n\n\n\n\n").0, Difference::NothingLikeIt);
        assert_eq!(says("", "a").0, Difference::NothingLikeIt);
    }

    #[test]
    fn of_lines_that_are_alike_the_one_with_the_right_next_lines_is_meant() {
        let content = "}\nx\n}\ny\n}\nz\nw\n";
        assert_eq!(says(content, "}\nz\nv\n").1, 5);
    }

    #[test]
    fn what_is_shown_of_it_is_bounded() {
        let content = format!("{}\r\n", "é".repeat(700)).repeat(50);
        let old = format!("{}\n", "é".repeat(700)).repeat(50);
        let (difference, line, text) = says(&content, &old);
        assert_eq!((difference, line), (Difference::LineEnds, 1));
        assert!(text.len() <= TEXT_BYTES && text.ends_with("more characters]"));
    }

    proptest! {
        #[test]
        fn what_is_found_without_some_bytes_is_the_same_without_them(
            content in "[ab \n\r]{0,60}", old in "[ab \r\n]{1,6}",
        ) {
            let squeeze = |text: &str| text.replace(char::is_whitespace, "");
            let space = |byte: u8| byte.is_ascii_whitespace();
            let found = find_without(content.as_bytes(), old.as_bytes(), space);
            let expected = !squeeze(&old).is_empty() && squeeze(&content).contains(&squeeze(&old));
            prop_assert_eq!(found.is_some(), expected);
            if let Some(at) = found {
                prop_assert_eq!(squeeze(&content[at]), squeeze(&old));
            }
        }

        #[test]
        fn any_bytes_give_an_answer(content: Vec<u8>, old: Vec<u8>) {
            let meant = closest(&content, &old, &Cancel::default()).expect("not cancelled");
            let lines = 1 + newlines(&content);
            prop_assert!(meant.line <= lines);
            prop_assert_eq!(meant.line == 0, meant.difference() == Difference::NothingLikeIt);
        }
    }
}
