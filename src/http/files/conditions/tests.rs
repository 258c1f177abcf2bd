//! Ranges and conditions, one by one and together.

use proptest::prelude::*;

use super::*;

const STAT: Stat = Stat {
    size: 100,
    modified_ms: 1_700_000_000_500,
    is_dir: false,
    version: 0xabc,
};
const TAG: &str = "\"0000000000000abc\"";
const OTHER: &str = "\"0000000000000abd\"";
/// The second in which the file changed, and the ones around it.
const BEFORE: &str = "Tue, 14 Nov 2023 22:13:19 GMT";
const THEN: &str = "Tue, 14 Nov 2023 22:13:20 GMT";
const AFTER: &str = "Tue, 14 Nov 2023 22:13:21 GMT";

fn conditions(headers: &[(&'static str, &str)]) -> Conditions {
    let headers = headers
        .iter()
        .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
        .collect();
    Conditions::of(&headers).unwrap()
}

fn selected(headers: &[(&'static str, &str)]) -> Selection {
    conditions(headers).select(&STAT)
}

fn part(offset: u64, length: u64) -> Selection {
    Selection::Part { offset, length }
}

#[test]
fn a_single_range_is_a_part_or_cannot_be_satisfied() {
    for (range, selection) in [
        ("bytes=0-0", part(0, 1)),
        ("bytes=0-9", part(0, 10)),
        ("bytes=10-", part(10, 90)),
        ("bytes=99-", part(99, 1)),
        ("bytes=90-1000", part(90, 10)),
        ("bytes=0-99999999999999999999999", part(0, 100)),
        ("Bytes=5-6", part(5, 2)),
        ("bytes=-1", part(99, 1)),
        ("bytes=-100", part(0, 100)),
        ("bytes=-1000", part(0, 100)),
        ("bytes=100-", Selection::Unsatisfiable),
        ("bytes=99999999999999999999999-", Selection::Unsatisfiable),
        ("bytes=-0", Selection::Unsatisfiable),
    ] {
        assert_eq!(selected(&[("range", range)]), selection, "{range}");
    }
    assert_eq!(Range::Last(5).within(0), Selection::Unsatisfiable);
    let all = Range::parse("bytes=0-").expect("a range");
    assert_eq!(all.within(0), Selection::Unsatisfiable);
}

#[test]
fn several_ranges_and_what_is_none_are_answered_with_the_whole() {
    for range in [
        "bytes=0-1,3-4",
        "bytes=9-0",
        "bytes=",
        "bytes=-",
        "bytes=a-b",
        "bytes=+1-2",
        "bytes=--1",
        "bytes 0-1",
        "lines=0-1",
        "",
        "bytes=1",
    ] {
        let selection = selected(&[("range", range)]);
        assert_eq!(selection, Selection::Whole, "{range:?}");
    }
}

#[test]
fn each_condition_decides_what_the_standard_says() {
    use Selection::{Failed, NotModified, Whole};
    let weak = format!("W/{TAG}");
    let both = format!("{OTHER}, {TAG}");
    for (name, value, selection) in [
        ("if-none-match", TAG, NotModified),
        ("if-none-match", &weak, NotModified),
        ("if-none-match", &both, NotModified),
        ("if-none-match", "*", NotModified),
        ("if-none-match", OTHER, Whole),
        ("if-modified-since", BEFORE, Whole),
        ("if-modified-since", THEN, NotModified),
        ("if-modified-since", AFTER, NotModified),
        ("if-match", TAG, Whole),
        ("if-match", &both, Whole),
        ("if-match", "*", Whole),
        ("if-match", &weak, Failed),
        ("if-match", OTHER, Failed),
        ("if-unmodified-since", BEFORE, Failed),
        ("if-unmodified-since", THEN, Whole),
    ] {
        assert_eq!(selected(&[(name, value)]), selection, "{name}: {value}");
    }
}

#[test]
fn a_tag_goes_before_a_date_and_a_condition_before_the_range() {
    use Selection::{Failed, NotModified};
    for (headers, selection) in [
        (
            [("if-none-match", OTHER), ("if-modified-since", AFTER)],
            Selection::Whole,
        ),
        (
            [("if-none-match", TAG), ("if-modified-since", BEFORE)],
            NotModified,
        ),
        (
            [("if-match", TAG), ("if-unmodified-since", BEFORE)],
            Selection::Whole,
        ),
        ([("if-match", OTHER), ("if-none-match", TAG)], Failed),
        (
            [("if-none-match", TAG), ("range", "bytes=0-1")],
            NotModified,
        ),
        ([("if-match", OTHER), ("range", "bytes=0-1")], Failed),
        ([("if-range", TAG), ("range", "bytes=0-1")], part(0, 2)),
        (
            [("if-range", OTHER), ("range", "bytes=0-1")],
            Selection::Whole,
        ),
        (
            [
                ("if-range", "W/\"0000000000000abc\""),
                ("range", "bytes=0-1"),
            ],
            Selection::Whole,
        ),
        (
            [("if-range", THEN), ("range", "bytes=0-1")],
            Selection::Whole,
        ),
        (
            [("if-range", OTHER), ("range", "bytes=100-")],
            Selection::Whole,
        ),
    ] {
        assert_eq!(selected(&headers), selection, "{headers:?}");
    }
}

#[test]
fn a_change_is_made_only_of_what_was_meant() {
    for (name, value, there, absent) in [
        ("if-match", TAG, true, false),
        ("if-match", OTHER, false, false),
        ("if-match", "*", true, false),
        ("if-none-match", "*", false, true),
        ("if-none-match", TAG, false, true),
        ("if-none-match", OTHER, true, true),
        ("if-unmodified-since", BEFORE, false, true),
    ] {
        let conditions = conditions(&[(name, value)]);
        assert_eq!(
            conditions.allow_change(Some(&STAT)),
            there,
            "{name}: {value}"
        );
        assert_eq!(conditions.allow_change(None), absent, "{name}: {value}");
        let new = (name, value) == ("if-none-match", "*");
        assert_eq!(conditions.wants_new(), new, "{name}: {value}");
    }
}

#[test]
fn a_condition_that_cannot_be_read_is_not_taken_for_none() {
    for (name, value) in [
        ("if-modified-since", "yesterday"),
        ("if-unmodified-since", "1700000000"),
        ("if-range", "abc"),
    ] {
        let headers = [(name.parse().unwrap(), value.parse().unwrap())];
        let refused = Conditions::of(&headers.into_iter().collect()).expect_err(value);
        assert!(refused.message.contains(name), "{}", refused.message);
    }
}

#[test]
fn times_that_no_calendar_has_do_no_harm() {
    for modified_ms in [i64::MIN, -1, i64::MAX] {
        let stat = Stat {
            modified_ms,
            ..STAT
        };
        let conditions = conditions(&[("if-modified-since", THEN)]);
        conditions.select(&stat);
        let shown = headers::LastModified::from(modified(&stat));
        assert!(!format!("{shown:?}").is_empty());
    }
}

proptest! {
    #[test]
    fn a_part_is_never_empty_and_never_beyond_the_end(
        range in "bytes=[0-9]{0,4}-[0-9]{0,4}",
        size in 0..2_000_u64,
    ) {
        if let Some(Selection::Part { offset, length }) = Range::parse(&range).map(|r| r.within(size)) {
            prop_assert!(length > 0 && offset + length <= size);
        }
    }
}
