//! Which volume is the workspace after a restore was interrupted.

use proptest::prelude::*;

use super::*;
use crate::identity::User;

fn volume(name: &str, generation: u64) -> VolumeSummary {
    row(name, labels::GENERATION, &generation.to_string())
}

fn mark(volume: &str) -> VolumeSummary {
    row(&format!("{volume}-pending"), labels::PENDING, volume)
}

fn row(name: &str, label: &str, value: &str) -> VolumeSummary {
    VolumeSummary {
        name: name.to_owned(),
        labels: [(label.to_owned(), value.to_owned())].into(),
        created: Some("2026-01-01T00:00:00Z".to_owned()),
    }
}

fn plain(name: &str) -> VolumeSummary {
    VolumeSummary {
        name: name.to_owned(),
        labels: [].into(),
        created: None,
    }
}

#[test]
fn the_highest_generation_without_a_mark_is_the_workspace() {
    let current = |rows: &[VolumeSummary]| sort("v", rows).current;
    assert_eq!(current(&[]), "v");
    assert_eq!(current(&[plain("v")]), "v");
    assert_eq!(
        current(&[plain("v"), mark("v-g1-a"), volume("v-g1-a", 1)]),
        "v"
    );
    assert_eq!(current(&[plain("v"), volume("v-g1-a", 1)]), "v-g1-a");
    assert_eq!(
        current(&[volume("v-g9-a", 9), volume("v-g10-a", 10)]),
        "v-g10-a"
    );
    assert_eq!(
        current(&[volume("v-g1-a", 1), volume("v-g1-b", 1)]),
        "v-g1-b"
    );
    // A stray volume of the first name never counts before a restored one.
    assert_eq!(current(&[volume("v", 99), volume("v-g1-a", 1)]), "v-g1-a");
}

#[test]
fn whom_code_runs_as_is_what_the_workspace_says_and_1000_where_it_says_missing() {
    let with_uid = |name: &str, generation: u64, uid: &str| {
        let mut row = volume(name, generation);
        row.labels.insert(labels::UID.to_owned(), uid.to_owned());
        row
    };
    let run_as = |rows: &[VolumeSummary]| sort("v", rows).run_as().uid();
    assert_eq!(run_as(&[]), 1000);
    assert_eq!(
        run_as(&[plain("v"), with_uid("v-g1-a", 1, "65540")]),
        65_540
    );
    // Not what is filled just now, and not what is past.
    let filled = with_uid("v-g1-a", 1, "65540");
    assert_eq!(run_as(&[plain("v"), mark("v-g1-a"), filled.clone()]), 1000);
    assert_eq!(run_as(&[filled, with_uid("v-g2-b", 2, "65541")]), 65_541);
    for missing in ["0", "65534", "-1", "", "x", "4294967296"] {
        assert_eq!(
            run_as(&[with_uid("v-g1-a", 1, missing)]),
            1000,
            "{missing:?}"
        );
    }
}

#[test]
fn what_is_left_over_is_known_by_what_it_is() {
    let rows = [
        plain("v"),
        volume("v-g1-a", 1),
        volume("v-g2-b", 2),
        volume("v-g3-c", 3),
        mark("v-g3-c"),
        mark("v-g3-gone"),
    ];
    let volumes = sort("v", &rows);
    assert_eq!(
        (volumes.current.as_str(), volumes.generation),
        ("v-g2-b", 2)
    );
    assert_eq!(volumes.old, ["v", "v-g1-a"]);
    assert_eq!(volumes.pending, ["v-g3-c"]);
    let marks = volumes.marks.iter().map(|mark| mark.volume.as_str());
    assert_eq!(marks.collect::<Vec<_>>(), ["v-g3-c", "v-g3-gone"]);
}

#[test]
fn a_volume_that_the_engine_made_in_place_of_one_that_was_gone_is_no_workspace() {
    let volumes = sort("v", &[plain("v"), plain("v-g7-a"), plain("v-more")]);
    assert_eq!(volumes.current, "v");
    assert_eq!(volumes.old, ["v-g7-a"]);
}

fn is_young(created: Option<&str>, alone: bool, now: &str) -> bool {
    let mut mark = mark("v-g1-a");
    mark.created = created.map(str::to_owned);
    let mut rows = vec![mark];
    rows.extend((!alone).then(|| volume("v-g1-a", 1)));
    let now = humantime::parse_rfc3339(now).expect("a time");
    sort("v", &rows).marks[0].is_young(now)
}

#[test]
fn a_mark_is_young_for_two_minutes_and_without_its_volume_for_an_hour() {
    let made = Some("2026-01-01T00:00:00Z");
    assert!(is_young(made, false, "2026-01-01T00:01:59Z"));
    assert!(!is_young(made, false, "2026-01-01T00:02:00Z"));
    assert!(is_young(made, true, "2026-01-01T00:59:59Z"));
    assert!(!is_young(made, true, "2026-01-01T01:00:00Z"));
}

#[test]
fn a_mark_of_another_zone_a_clock_ahead_or_no_time_is_not_taken_for_old() {
    let ahead = Some("2026-01-01T02:00:00+02:00");
    let behind = Some("2025-12-31T19:30:00.123456789-04:30");
    for made in [ahead, behind] {
        assert!(is_young(made, false, "2026-01-01T00:01:00Z"));
        assert!(!is_young(made, false, "2026-01-01T00:02:01Z"));
    }
    for unknown in [None, Some("yesterday"), Some("2026-01-01T00:00:01Z")] {
        assert!(is_young(unknown, false, "2026-01-01T00:00:00Z"));
    }
}

#[test]
fn a_removal_that_stops_anywhere_leaves_the_newest_workspace_or_none() {
    let instance: Instance = "a".parse().expect("an instance");
    let user = User::local("ada".parse().expect("a subject"));
    let workspace = WorkspaceId::from(user);
    let name = SandboxName::new(&instance, &workspace);
    let first = name.as_str();
    let named = |rest: &str| format!("{first}{rest}");
    let (old, current, pending) = (named("-g1-a"), named("-g2-b"), named("-g3-c"));
    let mut rows = vec![
        mark(&pending),
        volume(&pending, 3),
        volume(&current, 2),
        volume(&old, 1),
        plain(first),
    ];
    for _ in 0..rows.len() {
        rows.rotate_left(1);
        let ordered = removal_order(&instance, &workspace, rows.clone());
        for gone in 0..=ordered.len() {
            let left = &ordered[gone..];
            let workspace = sort(first, left).current;
            let is_there = left.iter().any(|row| row.name == workspace);
            assert!(!is_there || workspace == current, "{gone}: {workspace}");
        }
    }
}

proptest! {
    /// A restore as it goes, killed after any step: the workspace is the old volume
    /// up to the removal of the mark, and the new one from then on.
    #[test]
    fn killed_at_any_point_one_whole_volume_is_the_workspace(
        steps in 0..=4_usize,
        before in 0..5_u64,
    ) {
        let old = if before == 0 { plain("v") } else { volume("v-old", before) };
        let new = "v-new";
        let mut rows = vec![old.clone()];
        if (1..3).contains(&steps) {
            rows.push(mark(new));
        }
        if steps >= 2 {
            rows.push(volume(new, before + 1));
        }
        if steps == 4 {
            rows.retain(|row| row.name != old.name);
        }
        let expected = if steps < 3 { &old.name } else { new };
        prop_assert_eq!(&sort("v", &rows).current, expected);
    }
}
