use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn row(name: &str, labels: &[(&str, &str)], created: &str) -> VolumeSummary {
    let label = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    VolumeSummary {
        name: name.to_owned(),
        labels: labels.iter().map(label).collect::<BTreeMap<_, _>>(),
        created: Some(created.to_owned()),
    }
}

proptest! {
    #[test]
    fn the_lowest_free_number_is_reserved_and_nobody_else_of_this_server_gets_it(
        taken in prop::collection::btree_set(100_u32..110, 0..=10),
        callers in 1_usize..12,
    ) {
        let (uids, in_use) = (UidRange::new(100, 10), UidsInUse::default());
        let free: Vec<u32> = uids.iter().filter(|uid| !taken.contains(uid)).collect();
        let reserved: Vec<_> = (0..callers).map_while(|_| in_use.reserve(uids, &taken)).collect();
        let numbers: Vec<u32> = reserved.iter().map(|reserved| reserved.uid).collect();
        prop_assert_eq!(&numbers, &free[..callers.min(free.len())]);
        drop(reserved);
        // Given back when it is not needed any more.
        let again = in_use.reserve(uids, &taken).map(|reserved| reserved.uid);
        prop_assert_eq!(again, free.first().copied());
    }
}

#[test]
fn only_a_claim_that_is_old_goes() {
    let now = humantime::parse_rfc3339("2026-01-01T01:00:00Z").expect("a time");
    let claim = [(labels::UID, "7"), (labels::CLAIM, "a")];
    for (row, goes) in [
        (row("casemate-uid-7", &claim, "2026-01-01T00:50:00Z"), true),
        (row("casemate-uid-7", &claim, "2026-01-01T00:50:01Z"), false),
        (row("casemate-uid-7", &claim, "2026-01-01T02:00:00Z"), false),
        (row("casemate-uid-7", &claim, ""), false),
        // A user's volume with any label, and a foreign one.
        (row("casemate-a-b-0", &claim, "2025-01-01T00:00:00Z"), false),
        (
            row("casemate-uid-7", &claim[..1], "2025-01-01T00:00:00Z"),
            false,
        ),
    ] {
        assert_eq!(is_stale(&row, now), goes, "{row:?}");
    }
}
