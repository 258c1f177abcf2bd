use super::super::Severity;
use super::*;

const UIDS: UidRange = UidRange::new(70_000, 10);

fn row(user: &str, uid: u32) -> VolumeSummary {
    let labels = [
        (labels::INSTANCE, "default".to_owned()),
        (labels::ISSUER, "local".to_owned()),
        (labels::USER, user.to_owned()),
        (labels::UID, uid.to_string()),
    ];
    VolumeSummary {
        name: format!("casemate-default-{user}"),
        labels: labels.map(|(name, value)| (name.to_owned(), value)).into(),
        created: None,
    }
}

#[test]
fn uids_are_said_to_run_out_before_they_have() {
    let rows = |count: u32| {
        (70_000..70_000 + count)
            .map(|uid| row("a", uid))
            .collect::<Vec<_>>()
    };
    for (count, level) in [
        (0, Severity::Ok),
        (8, Severity::Ok),
        (9, Severity::Warning),
        (10, Severity::Error),
    ] {
        assert_eq!(taken(UIDS, &rows(count)).level, level, "{count}");
    }
    // Others' numbers are not among ours.
    assert_eq!(taken(UIDS, &[row("a", 5)]).level, Severity::Ok);
    assert_eq!(taken(UidRange::NONE, &[]).level, Severity::Warning);
}

#[test]
fn two_users_with_one_uid_are_named_and_two_volumes_of_one_user_are_not() {
    let restored = VolumeSummary {
        name: "casemate-default-a-g1".to_owned(),
        ..row("a", 70_000)
    };
    assert_eq!(
        shared(&[row("a", 70_000), restored, row("b", 70_001)]),
        None
    );
    let found = shared(&[row("a", 70_000), row("b", 70_000)]).expect("a finding");
    assert_eq!(found.level, Severity::Error);
    assert!(
        found
            .found
            .contains("70000 (default/local/a, default/local/b)"),
        "{}",
        found.found
    );
}

#[test]
fn old_workspaces_are_told_of_where_users_have_uids() {
    assert!(left(UIDS, 2).is_some_and(|found| found.found.starts_with("2 workspaces")));
    assert_eq!(left(UIDS, 0), None);
    assert_eq!(left(UidRange::NONE, 2), None);
}

#[test]
fn a_uid_that_is_somebodys_on_the_host_is_named() {
    let overlaps = |passwd: &str, subuid: &str| overlap(UIDS, passwd, subuid).is_some();
    assert!(!overlaps("root:x:0:0::/root:/bin/sh\n", "a:100000:65536\n"));
    assert!(overlaps("b:x:70009:70009::/:/bin/sh\n", ""));
    assert!(!overlaps("b:x:70010:70010::/:/bin/sh\n", ""));
    assert!(overlaps("", "a:65536:65536\n"));
    assert!(overlaps("", "a:70009:1\n"));
    assert!(!overlaps("", "a:70010:1\n") && !overlaps("", "a:69990:10\n"));
    assert!(!overlaps("", "no number:x:y\n\n"));
    assert_eq!(overlap(UidRange::NONE, "root:x:0:0:", "a:0:9"), None);
}
