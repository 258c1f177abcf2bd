//! The reader against a model that has the whole file in memory.

use std::fs::File;
use std::io::{Seek as _, Write as _};
use std::os::fd::OwnedFd;
use std::time::Duration;

use proptest::prelude::*;
use rustix::fs::{MemfdFlags, memfd_create};

use super::super::Cancel;
use super::super::charset::{ByteOrder, Charset};
use super::*;

const UTF_8: Charset = Charset::Utf8 { marked: false };

fn file_of(content: &[u8]) -> OwnedFd {
    let file = memfd_create("lines", MemfdFlags::CLOEXEC).expect("memfd");
    let mut file = File::from(file);
    file.write_all(content).expect("write");
    file.rewind().expect("rewind");
    file.into()
}

/// What a page was refused for; `None`: it is not UTF-8.
fn code(refused: ReadRejection) -> Option<Code> {
    match refused {
        ReadRejection::NotUtf8 => None,
        ReadRejection::Failed(failure) => Some(failure.code()),
    }
}

type Read = Result<Page, Option<Code>>;

fn page_in(charset: Charset, content: &[u8], limits: Limits, buffer: usize) -> Read {
    read_page(charset, content, limits, buffer, endless())
}

fn page_with(content: &[u8], limits: Limits, buffer: usize, budget: Budget) -> Read {
    read_page(UTF_8, content, limits, buffer, budget)
}

fn read_page(
    charset: Charset,
    content: &[u8],
    limits: Limits,
    buffer: usize,
    budget: Budget,
) -> Read {
    let file = file_of(content);
    let cancel = Cancel::default();
    let size = content.len() as u64;
    let mut source = LineSource::new(&file, size, charset, buffer, &cancel);
    read(&mut source, &limits, budget).map_err(code)
}

fn page(content: impl AsRef<[u8]>, limits: Limits) -> Read {
    page_with(content.as_ref(), limits, 7, endless())
}

fn endless() -> Budget {
    Budget {
        bytes: u64::MAX,
        time: Duration::MAX,
    }
}

const WIDE: Limits = Limits {
    start_line: 1,
    max_lines: 1000,
    max_chars: 10_000,
    max_line_chars: 1000,
};

/// What one line is shown as, and whether it is cut.
fn model_line(line: &str, keep: usize) -> (String, bool) {
    let ends = ["\r\n", "\n"];
    let end = ends.into_iter().find(|end| line.ends_with(end));
    let end = end.unwrap_or_default();
    let content = &line[..line.len() - end.len()];
    let more = content.chars().count().saturating_sub(keep);
    if more == 0 {
        return (line.to_owned(), false);
    }
    let kept: String = content.chars().take(keep).collect();
    (kept + &mark(more as u64, LineEnd::File) + end, true)
}

fn model(content: &str, limits: &Limits) -> Page {
    let number = |limit: u64| usize::try_from(limit).expect("small");
    let lines: Vec<&str> = content.split_inclusive('\n').collect();
    let mut shown = Page {
        text: String::new(),
        lines: 0,
        lines_seen: lines.len() as u64,
        complete: true,
        lines_cut: 0,
    };
    let first = number(limits.start_line - 1).min(lines.len());
    for line in lines[first..].iter().take(number(limits.max_lines)) {
        let mut keep = number(limits.max_line_chars);
        if shown.lines == 0 {
            keep = keep.min(number(limits.max_chars));
        }
        let (line, cut) = model_line(line, keep);
        let chars = shown.text.chars().count() + line.chars().count();
        if shown.lines > 0 && chars > number(limits.max_chars) {
            break;
        }
        shown.text.push_str(&line);
        shown.lines += 1;
        shown.lines_cut += u64::from(cut);
    }
    shown
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn a_page_is_what_the_model_says(
        content in "([ab\u{e9}\u{20ac}\u{1f600}\r]{0,12}(\n|\r\n)){0,8}[ab\u{e9}\u{20ac}\u{1f600}\r]{0,12}",
        start_line in 1..10u64,
        max_lines in 1..10u64,
        max_chars in 1..80u64,
        max_line_chars in 1..14u64,
        buffer in 1..40usize,
    ) {
        let limits = Limits { start_line, max_lines, max_chars, max_line_chars };
        let page = page_with(content.as_bytes(), limits, buffer, endless());
        prop_assert_eq!(page, Ok(model(&content, &limits)));
    }

    #[test]
    fn a_page_is_the_same_in_whatever_it_is_written(
        content in "([ab\u{e9}\u{20ac}\u{1f600}\u{feff}\r]{0,12}(\n|\r\n)){0,8}[ab\u{e9}\u{1f600}\r]{0,12}",
        start_line in 1..10u64,
        max_lines in 1..10u64,
        max_chars in 1..80u64,
        max_line_chars in 1..14u64,
        buffer in 4..40usize,
    ) {
        let limits = Limits { start_line, max_lines, max_chars, max_line_chars };
        let expected = Ok(model(&content, &limits));
        let marked = ["\u{feff}", &content].concat();
        let little: Vec<u8> = marked.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = marked.encode_utf16().flat_map(u16::to_be_bytes).collect();
        let utf_8 = Charset::Utf8 { marked: true };
        prop_assert_eq!(&page_in(utf_8, marked.as_bytes(), limits, buffer), &expected);
        let utf_16 = Charset::Utf16(ByteOrder::Little);
        prop_assert_eq!(&page_in(utf_16, &little, limits, buffer), &expected);
        let utf_16 = Charset::Utf16(ByteOrder::Big);
        prop_assert_eq!(&page_in(utf_16, &big, limits, buffer), &expected);
    }

    #[test]
    fn a_page_of_latin_1_has_a_character_for_every_byte(
        content in prop::collection::vec(prop::sample::select(&b"ab\n\r\x80\xa0\xc3\xa9\xff"[..]), 0..64),
        start_line in 1..5u64,
        max_line_chars in 1..14u64,
        buffer in 1..16usize,
    ) {
        let limits = Limits { start_line, max_line_chars, ..WIDE };
        let characters: String = content.iter().copied().map(char::from).collect();
        let page = page_in(Charset::Latin1, &content, limits, buffer);
        prop_assert_eq!(page, Ok(model(&characters, &limits)));
    }

    #[test]
    fn a_small_budget_changes_only_what_is_known_of_the_rest(
        content in "([ab\u{e9}]{0,12}\n){0,8}[ab\u{e9}]{0,12}",
        max_lines in 1..10u64,
        max_line_chars in 1..14u64,
        buffer in 1..40usize,
        bytes in 0..60u64,
    ) {
        let limits = Limits { max_lines, max_line_chars, ..WIDE };
        let budget = Budget { bytes, ..endless() };
        let page = page_with(content.as_bytes(), limits, buffer, budget).expect("text");
        let all = model(&content, &limits);
        prop_assert!(page.lines_seen + 1 >= page.lines);
        if page.complete {
            prop_assert_eq!(page.lines_seen, all.lines_seen);
        } else {
            // "Of more than": the file does have more.
            prop_assert!(page.lines_seen < all.lines_seen);
        }
        if page.lines == all.lines {
            prop_assert!(page.text == all.text || page.text.contains("over"));
        } else {
            prop_assert!(page.lines < all.lines && !page.complete);
        }
    }

    #[test]
    fn bytes_of_any_kind_are_text_only_when_they_are(
        content in prop::collection::vec(prop::sample::select(&b"a\n\r\0\x80\xc3\xa9\xf0\x9f\x98\xff"[..]), 0..24),
        buffer in 1..16usize,
    ) {
        let page = page_with(&content, WIDE, buffer, endless());
        match String::from_utf8(content) {
            Ok(text) if !text.contains('\0') => prop_assert_eq!(page.expect("text").text, text),
            Err(error) if !error.as_bytes().contains(&0) => prop_assert_eq!(page, Err(None)),
            _ => prop_assert_eq!(page, Err(Some(Code::NotText))),
        }
    }
}

#[test]
fn a_long_line_is_cut_and_says_by_how_much() {
    let limits = Limits {
        max_line_chars: 3,
        ..WIDE
    };
    let shown = page("abcdef\r\nabc\r\nabcd\nab\r", limits).expect("text");
    let expected = "abc [… 3 more characters]\r\nabc\r\nabc [… 1 more character]\nab\r";
    assert_eq!(shown.text, expected);
    assert_eq!(shown.lines_cut, 2);
}

#[test]
fn a_first_line_that_is_too_long_for_the_page_is_cut_to_it() {
    let limits = Limits {
        max_chars: 5,
        ..WIDE
    };
    let shown = page("abcdefgh\nnext\n", limits).expect("text");
    assert_eq!(shown.text, "abcde [… 3 more characters]\n");
    assert_eq!((shown.lines, shown.lines_seen), (1, 2));
}

#[test]
fn only_what_is_shown_has_to_be_text() {
    let limits = Limits {
        max_lines: 1,
        max_line_chars: 2,
        ..WIDE
    };
    let shown = page(b"ab\xff\0\n\xff\n", limits).expect("the shown part is text");
    assert_eq!(shown.text, "ab [… 2 more characters]\n");
    assert_eq!(page(b"a\xff\n", limits), Err(None));
    assert_eq!(page(b"a\0\n", limits), Err(Some(Code::NotText)));
}

#[test]
fn bytes_that_continue_a_character_for_ever_are_not_collected() {
    let file = file_of(&vec![0x80; 1 << 20]);
    let cancel = Cancel::default();
    let mut source = LineSource::new(&file, 1 << 20, UTF_8, 64, &cancel);
    let mut text = Vec::new();
    let taken = source.take_chars(&mut text, 10).map_err(code);
    assert_eq!(taken, Err(None));
    assert!(text.len() <= 4 * 10 + 64);
}

#[test]
fn a_line_longer_than_the_budget_ends_the_page() {
    let content = format!("short\n{}\nafter\n", "x".repeat(1000));
    let limits = Limits {
        max_line_chars: 10,
        ..WIDE
    };
    let budget = Budget {
        bytes: 100,
        ..endless()
    };
    let shown = page_with(content.as_bytes(), limits, 64, budget).expect("text");
    let cut = shown.text.strip_prefix("short\nxxxxxxxxxx [… over ");
    assert!(cut.is_some(), "{}", shown.text);
    // The second may be the last: it is not known whether there is a third.
    assert_eq!((shown.lines, shown.lines_seen), (2, 1));
    assert!(!shown.complete);
}

#[test]
fn without_time_nothing_is_counted_but_all_is_shown() {
    let budget = Budget {
        bytes: u64::MAX,
        time: Duration::ZERO,
    };
    let limits = Limits {
        max_lines: 2,
        ..WIDE
    };
    let shown = page_with(b"1\n2\n3\n4\n", limits, 4, budget).expect("text");
    assert_eq!(shown.text, "1\n2\n");
    assert_eq!((shown.lines_seen, shown.complete), (2, false));
}

#[test]
fn a_cancelled_page_ends_on_the_way_to_its_first_line() {
    let file = file_of(b"text");
    let cancel = Cancel::default();
    cancel.cancel();
    let mut source = LineSource::new(&file, 4, UTF_8, 4, &cancel);
    let limits = Limits {
        start_line: 1000,
        ..WIDE
    };
    let ended = read(&mut source, &limits, endless()).map_err(code);
    assert_eq!(ended, Err(Some(Code::Cancelled)));
}

#[test]
fn a_file_that_grew_or_shrank_since_it_was_opened_has_an_end() {
    let file = file_of(b"1\n2\n3\n");
    let cancel = Cancel::default();
    for (size, lines) in [(4, 2), (6, 3), (1000, 3)] {
        let mut source = LineSource::new(&file, size, UTF_8, 4, &cancel);
        let shown = read(&mut source, &WIDE, endless()).expect("text");
        assert_eq!((shown.lines, shown.complete), (lines, true));
    }
}

#[test]
fn a_file_of_utf_16_that_is_cut_off_ends_in_a_mark_for_what_is_missing() {
    let utf_16 = Charset::Utf16(ByteOrder::Little);
    // An odd byte, and the first half of a pair.
    for content in [&b"\xff\xfea\0b"[..], b"\xff\xfea\0\x3d\xd8"] {
        let shown = page_in(utf_16, content, WIDE, 4).expect("text");
        assert_eq!(shown.text, "a\u{fffd}");
    }
    // So does one that became shorter while it was read.
    let file = file_of(b"\xff\xfea\0b");
    let cancel = Cancel::default();
    let mut source = LineSource::new(&file, 1000, utf_16, 64, &cancel);
    let shown = read(&mut source, &WIDE, endless()).expect("text");
    assert_eq!((shown.text.as_str(), shown.complete), ("a\u{fffd}", true));
}

#[test]
fn holes_on_the_way_to_the_first_line_are_not_read() {
    // A terabyte would take minutes.
    const HOLE: u64 = 1 << 40;
    let file = File::from(file_of(b"1\n2"));
    std::os::unix::fs::FileExt::write_at(&file, b"\n3\nlast", HOLE).expect("write");
    let (size, file) = (HOLE + 7, OwnedFd::from(file));
    let cancel = Cancel::default();
    let page = |start_line, charset| {
        let mut source = LineSource::new(&file, size, charset, 64, &cancel);
        let limits = Limits { start_line, ..WIDE };
        let page = read(&mut source, &limits, endless()).expect("text");
        (page.text, page.lines_seen)
    };
    assert_eq!(page(3, UTF_8), ("3\nlast".to_owned(), 4));
    assert_eq!(page(4, Charset::Latin1), ("last".to_owned(), 4));
    assert_eq!(page(5, UTF_8), (String::new(), 4));
    rustix::fs::ftruncate(&file, 2 * HOLE).expect("longer");
    let mut source = LineSource::new(&file, 2 * HOLE, UTF_8, 64, &cancel);
    assert_eq!(source.skip_lines(u64::MAX).expect("the end"), 4);
}
