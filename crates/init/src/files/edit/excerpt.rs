//! What an edit changed, as the file is now: the lines of each change with some
//! around them, from the top, as many as fit.
//!
//! The reply is kept for a while, so it is bounded in bytes.

use std::ops::Range;

use casemate_protocol::Excerpt;
use memchr::{memchr, memrchr};

use super::common::{lines_of, newlines, shown};

/// Lines before and after a change.
const AROUND: usize = 3;

/// Characters shown of one line.
const LINE_CHARS: u64 = 500;

/// Text of one excerpt, in bytes: a change of 100 lines must not hide all others.
const EXCERPT_BYTES: usize = 4 * 1024;

/// Text of all excerpts together, in bytes.
const ALL_BYTES: usize = 8 * 1024;

/// Excerpts of `content`, and how many of `changes` begin in them. `changes` are
/// sorted and do not overlap. A long excerpt ends with a line that says how many
/// lines it leaves out.
pub(super) fn excerpts(content: &[u8], changes: &[Range<usize>]) -> (Vec<Excerpt>, u64) {
    let mut excerpts = Vec::new();
    let (mut shown, mut bytes) = (0, 0);
    let (mut line, mut counted) = (1, 0);
    let mut changes = changes
        .iter()
        .map(|change| around(content, change))
        .peekable();
    while let Some((mut window, mut starts)) = changes.next() {
        while let Some((next, next_starts)) = changes.next_if(|(next, _)| next.start <= window.end)
        {
            window.end = window.end.max(next.end);
            starts.extend(next_starts);
        }
        let room = EXCERPT_BYTES.min(ALL_BYTES.saturating_sub(bytes));
        let (text, end) = text(content, &window, room);
        line += newlines(&content[counted..window.start]);
        counted = window.start;
        let begun = starts
            .iter()
            .filter(|start| **start < end || end == window.end);
        let begun = begun.count() as u64;
        if begun == 0 {
            break;
        }
        shown += begun;
        bytes += text.len();
        excerpts.push(Excerpt {
            start_line: line,
            text,
        });
    }
    (excerpts, shown)
}

/// The whole lines to show for a change, and where it begins.
fn around(content: &[u8], change: &Range<usize>) -> (Range<usize>, Vec<usize>) {
    // The newline at its end is the end of its last line.
    let last = change.end.saturating_sub(1).max(change.start);
    let mut start = line_start(content, change.start);
    let mut end = line_end(content, last);
    for _ in 0..AROUND {
        start = line_start(content, start.saturating_sub(1));
        end = line_end(content, end);
    }
    (start..end, vec![change.start])
}

/// Where the line begins that `at` is in.
fn line_start(content: &[u8], at: usize) -> usize {
    memrchr(b'\n', &content[..at]).map_or(0, |newline| newline + 1)
}

/// Behind the newline of the line that `at` is in.
fn line_end(content: &[u8], at: usize) -> usize {
    memchr(b'\n', &content[at..]).map_or(content.len(), |newline| at + newline + 1)
}

/// As many lines of the window as have room, and where the others begin.
fn text(content: &[u8], window: &Range<usize>, room: usize) -> (String, usize) {
    let mut text = String::new();
    let mut at = window.start;
    for line in lines_of(&content[window.clone()]) {
        let (body, end) = match line.strip_suffix(b"\n") {
            Some(body) => (body, "\n"),
            None => (line, ""),
        };
        let line_text = shown(body, LINE_CHARS) + end;
        if text.len() + line_text.len() > room {
            let left = lines_of(&content[at..window.end]).count();
            let s = if left == 1 { "" } else { "s" };
            text += &format!("[… {left} more line{s}]\n");
            break;
        }
        text += &line_text;
        at += line.len();
    }
    (text, at)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn numbered(lines: usize) -> String {
        (1..=lines).map(|line| format!("{line}\n")).collect()
    }

    fn of(content: &str, changed: &[&str]) -> (Vec<(u64, String)>, u64) {
        let find = |text: &&str| {
            let at = content.find(*text).expect("there");
            at..at + text.len()
        };
        let changes: Vec<_> = changed.iter().map(find).collect();
        let (excerpts, shown) = excerpts(content.as_bytes(), &changes);
        let pair = |excerpt: Excerpt| (excerpt.start_line, excerpt.text);
        (excerpts.into_iter().map(pair).collect(), shown)
    }

    #[test]
    fn a_change_is_shown_with_three_lines_around_it() {
        let content = numbered(99);
        let (excerpts, shown) = of(&content, &["50\n"]);
        assert_eq!(excerpts, [(47, "47\n48\n49\n50\n51\n52\n53\n".to_owned())]);
        assert_eq!(shown, 1);
        assert_eq!(of(&content, &["1\n"]).0[0], (1, "1\n2\n3\n4\n".to_owned()));
        assert_eq!(
            of(&content, &["99\n"]).0[0],
            (96, "96\n97\n98\n99\n".to_owned())
        );
    }

    #[test]
    fn changes_close_to_each_other_are_one_excerpt_and_others_their_own() {
        let content = numbered(99);
        let (excerpts, shown) = of(&content, &["20\n", "26\n", "40\n"]);
        let starts: Vec<u64> = excerpts.iter().map(|(start, _)| *start).collect();
        assert_eq!((starts, shown), (vec![17, 37], 3));
        assert!(excerpts[0].1.ends_with("\n29\n"));
    }

    #[test]
    fn what_was_taken_away_is_shown_by_the_lines_where_it_was() {
        let excerpt =
            |content: &[u8], at: usize| excerpts(content, std::slice::from_ref(&(at..at)));
        let (excerpts, shown) = excerpt(b"a\nb\n", 2);
        assert_eq!(
            (excerpts[0].start_line, &*excerpts[0].text, shown),
            (1, "a\nb\n", 1)
        );
        let (excerpts, shown) = excerpt(b"", 0);
        assert_eq!((&*excerpts[0].text, shown), ("", 1));
    }

    #[test]
    fn a_long_change_says_how_much_of_it_is_left_out_and_the_next_has_room() {
        let content = format!("{}{}last\n", "new\n".repeat(3_000), numbered(20));
        let long = "new\n".repeat(3_000);
        let (excerpts, shown) = of(&content, &[&long, "last"]);
        assert_eq!((excerpts.len(), shown), (2, 2));
        assert!(
            excerpts[0].1.ends_with("new\n[… 1979 more lines]\n"),
            "{}",
            excerpts[0].1
        );
        assert!(excerpts[1].1.ends_with("last\n"));
    }

    #[test]
    fn a_long_line_is_cut() {
        let (excerpts, _) = of(&"é".repeat(600), &["é"]);
        assert!(excerpts[0].1.ends_with("é [… 100 more characters]"));
    }

    proptest! {
        #[test]
        fn excerpts_are_lines_of_the_file_and_bounded(
            lines in prop::collection::vec("[a-c]{0,300}", 1..120),
            picks in prop::collection::btree_set(0..100usize, 1..20),
        ) {
            let content = lines.join("\n");
            let changes: Vec<_> = picks
                .iter()
                .map(|percent| percent * content.len() / 100)
                .map(|at| at..at)
                .collect();
            let (excerpts, shown) = excerpts(content.as_bytes(), &changes);
            let bytes: usize = excerpts.iter().map(|excerpt| excerpt.text.len()).sum();
            // The line that says what is left out comes on top.
            prop_assert!(bytes <= ALL_BYTES + 2 * 40, "{} bytes", bytes);
            let shown = usize::try_from(shown).expect("few");
            prop_assert!(shown <= changes.len());
            prop_assert!(!excerpts.is_empty() || content.is_empty() || shown == 0);
            let mut behind = 0;
            for excerpt in &excerpts {
                prop_assert!(excerpt.start_line > behind, "in order, and apart");
                for (number, line) in (excerpt.start_line..).zip(excerpt.text.lines()) {
                    if !line.starts_with("[…") {
                        let at = usize::try_from(number).expect("small") - 1;
                        prop_assert_eq!(line, &lines[at]);
                        behind = number;
                    }
                }
            }
            if content.len() <= EXCERPT_BYTES {
                prop_assert_eq!(shown, changes.len(), "all of a small file fits");
            }
        }
    }
}
