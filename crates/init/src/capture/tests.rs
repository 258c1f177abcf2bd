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

#[test]
fn of_the_frames_of_a_line_the_last_is_kept() {
    let bar = |frames: u32| -> Vec<Vec<u8>> {
        let frame = |n| format!("\r{n:4} of {frames}").into_bytes();
        (1..=frames).map(frame).collect()
    };
    let (one, many) = (bar(1).concat().len(), bar(5000).concat().len());
    let with =
        |frames: Vec<Vec<u8>>| [vec![b"begin\n".to_vec()], frames, vec![b"\nend\n".to_vec()]];
    let shown = captured(&with(bar(5000)).concat(), 1000).show(1000);
    assert_eq!(shown.head, "begin\n5000 of 5000\nend\n");
    assert_eq!((shown.omitted, shown.total), (0, many as u64 + 11));
    assert_eq!(shown.overwritten + shown.head.len() as u64, shown.total);
    // A single one replaced nothing.
    let shown = captured(&with(bar(1)).concat(), 1000).show(1000);
    assert_eq!((shown.overwritten, shown.head.len()), (0, one + 11));
}

#[test]
fn a_return_before_a_line_feed_or_the_end_replaces_nothing() {
    for (output, kept) in [
        ("a\r\nb\r\n", "a\r\nb\r\n"),
        ("a\r\r\nb", "a\r\r\nb"),
        ("100%\r", "100%\r"),
        ("\r\rnothing before\n", "\r\rnothing before\n"),
        ("old\rnew", "new"),
        ("old\r\r\rnew\r", "new\r"),
        ("kept\nold\rnew\nkept", "kept\nnew\nkept"),
    ] {
        for size in 1..=output.len() {
            let chunks: Vec<Vec<u8>> = output.as_bytes().chunks(size).map(Vec::from).collect();
            let shown = captured(&chunks, 100).show(100);
            assert_eq!(shown.head, kept, "{output:?}");
            assert_eq!(shown.overwritten, (output.len() - kept.len()) as u64);
        }
    }
}

#[test]
fn the_newest_begins_and_ends_with_a_whole_character() {
    let all = "日é😀".repeat(100);
    for keeps in [10, 100, 10_000] {
        for length in 1..40 {
            for cut in 0..4 {
                let capture = captured(&[all.as_bytes()[..all.len() - cut].to_vec()], keeps);
                let newest = capture.newest(length);
                let text = std::str::from_utf8(&newest).expect("whole characters");
                assert!(
                    all.contains(text) && newest.len() + 6 >= length.min(24),
                    "{text}"
                );
            }
        }
    }
    // Bytes that are not text stay as they are.
    assert_eq!(
        captured(&[b"a\xff\xe9b".to_vec()], 100).newest(9),
        b"a\xff\xe9b"
    );
}

/// What a terminal would have left of it.
fn without_frames(all: &[u8]) -> Vec<u8> {
    let line = |line: &[u8]| {
        let end = line
            .iter()
            .rposition(|b| *b != b'\r')
            .map_or(0, |at| at + 1);
        let first = line.iter().position(|b| *b != b'\r').unwrap_or(end);
        let last = line[..end]
            .iter()
            .rposition(|b| *b == b'\r')
            .map_or(0, |at| at + 1);
        line[if first < last { last } else { 0 }..].to_vec()
    };
    all.split(|b| *b == b'\n')
        .map(line)
        .collect::<Vec<_>>()
        .join(&b'\n')
}

fn chunks() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let text = "[a-z\n\r é日😀]{0,60}".prop_map(String::into_bytes);
    let bytes = prop::collection::vec(any::<u8>(), 0..60);
    prop::collection::vec(prop_oneof![text, bytes], 0..40)
}

proptest! {
    #[test]
    fn what_is_shown_is_a_true_beginning_and_end(chunks in chunks(), chars in 1usize..400) {
        let all = chunks.concat();
        let shown = captured(&chunks, chars).show(chars);
        let kept = without_frames(&all);
        prop_assert!(kept.starts_with(&shown.head));
        prop_assert!(kept.ends_with(&shown.tail));
        prop_assert_eq!(shown.total, all.len() as u64);
        prop_assert_eq!(shown.overwritten, (all.len() - kept.len()) as u64);
        let seen = (shown.head.len() + shown.tail.len()) as u64;
        prop_assert_eq!(seen + shown.omitted + shown.overwritten, shown.total);
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
