use std::collections::BTreeMap;

use super::*;
use crate::engine::{ContainerSummary, State, VolumeSummary, head_volume, labels, version_volume};
use crate::provision::sort_shared;

const NAME: &str = "data";
const HOUR: u64 = 3600;

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

fn row(name: String, own: &[(&str, &str)], age: u64) -> VolumeSummary {
    let ours = [(labels::INSTANCE, "a"), (labels::SHARED, NAME)];
    let all = ours.iter().chain(own);
    let created = now() - Duration::from_secs(age);
    VolumeSummary {
        name,
        labels: all
            .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
            .collect(),
        created: Some(humantime::format_rfc3339_seconds(created).to_string()),
    }
}

fn volume(digit: &str) -> String {
    version_volume("a", NAME, &digit.repeat(64))
}

fn version(digit: &str, age: u64) -> VolumeSummary {
    let hash = digit.repeat(64);
    row(volume(digit), &[(labels::SHARED_VERSION, &hash)], age)
}

fn head(number: u64, digit: &str, age: u64) -> VolumeSummary {
    let version = digit.repeat(12);
    let name = head_volume("a", NAME, number);
    row(name, &[(labels::SHARED_HEAD, &version)], age)
}

fn holder(digit: &str) -> SharedHolder {
    let row = ContainerSummary {
        id: "1".to_owned(),
        name: "c".to_owned(),
        labels: BTreeMap::new(),
        state: State::Running,
        created: 0,
        volumes: vec![volume(digit)],
    };
    SharedHolder { row }
}

/// The volumes that would be removed, and those that are kept.
fn planned(rows: Vec<VolumeSummary>, holders: &[SharedHolder]) -> (Vec<String>, Vec<String>) {
    let shares = sort_shared("a", rows);
    let items = shares
        .iter()
        .flat_map(|(name, share)| plan(name, share, holders, SharedAges::default(), now()));
    let (gone, kept): (Vec<_>, Vec<_>) =
        items.partition(|item| item.disposition == Disposition::Remove);
    let names = |items: Vec<PlanItem>| items.into_iter().map(|item| item.name).collect();
    (names(gone), names(kept))
}

#[test]
fn an_old_version_that_nobody_holds_goes_and_the_newest_never_does() {
    let rows = || {
        vec![
            version("1", 9 * HOUR),
            head(1, "1", 9 * HOUR),
            version("2", 2 * HOUR),
            head(2, "2", 2 * HOUR),
        ]
    };
    assert_eq!(planned(rows(), &[]), (vec![volume("1")], vec![]));
    assert_eq!(planned(rows(), &[holder("2")]), (vec![volume("1")], vec![]));
    assert_eq!(planned(rows(), &[holder("1")]), (vec![], vec![volume("1")]));
    // Afterwards, its head.
    let rest = rows().split_off(1);
    assert_eq!(
        planned(rest, &[]),
        (vec![head_volume("a", NAME, 1)], vec![])
    );
    let newest = rows().split_off(2);
    assert_eq!(planned(newest, &[]), (vec![], vec![]));
}

#[test]
fn what_was_replaced_a_moment_ago_and_what_has_an_unknown_age_stays() {
    let rows = |age| {
        vec![
            version("1", 9 * HOUR),
            head(1, "1", 9 * HOUR),
            version("2", 10),
            head(2, "2", age),
        ]
    };
    assert_eq!(planned(rows(599), &[]), (vec![], vec![volume("1")]));
    assert_eq!(planned(rows(600), &[]).0, [volume("1")]);
    let mut unknown = rows(600);
    unknown[3].created = None;
    assert_eq!(planned(unknown, &[]), (vec![], vec![volume("1")]));
}

#[test]
fn what_a_killed_put_left_goes_after_an_hour() {
    let rows = |age| {
        vec![
            version("1", 9 * HOUR),
            head(1, "1", 9 * HOUR),
            version("2", age),
        ]
    };
    assert_eq!(planned(rows(HOUR - 1), &[]), (vec![], vec![volume("2")]));
    assert_eq!(planned(rows(HOUR), &[]), (vec![volume("2")], vec![]));
    assert_eq!(
        planned(rows(HOUR), &[holder("2")]),
        (vec![], vec![volume("2")])
    );
}

#[test]
fn the_mark_of_a_clean_up_goes_after_an_hour() {
    let rows = |age| {
        let mark = crate::engine::removal_volume("a", NAME, "0f");
        let labels = [(labels::SHARED_REMOVAL, volume("1"))];
        let labels = labels
            .each_ref()
            .map(|(name, value)| (*name, value.as_str()));
        vec![
            version("1", 9 * HOUR),
            head(1, "1", 9 * HOUR),
            row(mark, &labels, age),
        ]
    };
    let mark = || vec!["casemate-a-shared-data.removal-0f".to_owned()];
    assert_eq!(planned(rows(HOUR - 1), &[]), (vec![], mark()));
    assert_eq!(planned(rows(HOUR), &[]), (mark(), vec![]));
}

#[test]
fn where_the_newest_is_gone_the_older_versions_stay() {
    let rows = vec![
        version("1", 9 * HOUR),
        head(1, "1", 9 * HOUR),
        head(2, "2", 9 * HOUR),
    ];
    assert_eq!(planned(rows, &[]), (vec![], vec![]));
}

#[test]
fn a_version_that_was_put_again_keeps_its_newest_head() {
    let rows = vec![
        version("1", 9 * HOUR),
        head(1, "1", 9 * HOUR),
        version("2", 8 * HOUR),
        head(2, "2", 8 * HOUR),
        head(3, "1", 7 * HOUR),
    ];
    let expected = vec![volume("2"), head_volume("a", NAME, 1)];
    assert_eq!(planned(rows, &[]), (expected, vec![]));
}
