//! Which backups are kept. Pure.

use std::collections::BTreeSet;

use super::id::Id;
use crate::config::Retention;

const DAY: u64 = 24 * 60 * 60;

/// The first of January 1970 was a Thursday: weeks begin three days before.
const TO_MONDAY: u64 = 3 * DAY;

/// The backups of `complete` to remove. Never the newest, for any `keep`, and never `made`, which
/// is new even if a clock that ran ahead gave another one a later id.
pub fn to_remove(complete: &BTreeSet<Id>, keep: Retention, made: &Id) -> BTreeSet<Id> {
    let newest_first = || complete.iter().rev();
    let count = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    let mut stay: BTreeSet<&Id> = newest_first().take(count(keep.last.max(1))).collect();
    stay.extend(newest_of_each(newest_first(), DAY, 0, count(keep.daily)));
    stay.extend(newest_of_each(
        newest_first(),
        7 * DAY,
        TO_MONDAY,
        count(keep.weekly),
    ));
    newest_first()
        .filter(|id| *id != made && !stay.contains(id))
        .cloned()
        .collect()
}

/// The newest in each of the last `most` periods that have one, in UTC.
fn newest_of_each<'a>(
    newest_first: impl Iterator<Item = &'a Id>,
    period: u64,
    offset: u64,
    most: usize,
) -> impl Iterator<Item = &'a Id> {
    let mut last = None;
    newest_first
        .filter(move |id| {
            let this = (id.seconds() + offset) / period;
            last.replace(this) != Some(this)
        })
        .take(most)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use proptest::prelude::*;

    use super::*;

    fn ids(hours: impl IntoIterator<Item = u64>) -> BTreeSet<Id> {
        let id = |hour| Id::new(SystemTime::UNIX_EPOCH + Duration::from_secs(hour * 3600));
        hours.into_iter().map(id).collect()
    }

    fn keep(last: u32, daily: u32, weekly: u32) -> Retention {
        Retention {
            last,
            daily,
            weekly,
        }
    }

    /// Hours since 1970 of those that are kept.
    fn stay(all: &BTreeSet<Id>, keep: Retention) -> Vec<u64> {
        let gone = to_remove(all, keep, all.last().expect("one"));
        all.difference(&gone)
            .map(|id| id.seconds() / 3600)
            .collect()
    }

    #[test]
    fn the_newest_stay_and_the_newest_of_each_day_and_week() {
        // Every 6 hours for 30 days.
        let all = ids((0..120).map(|number| number * 6));
        assert_eq!(stay(&all, keep(2, 0, 0)), [708, 714]);
        assert_eq!(stay(&all, keep(1, 3, 0)), [666, 690, 714]);
        // 1970-01-25 and 1970-01-18 were Sundays, and their last backups at 18:00.
        assert_eq!(stay(&all, keep(1, 0, 3)), [17 * 24 + 18, 24 * 24 + 18, 714]);
        assert_eq!(stay(&all, keep(500, 0, 0)).len(), 120);
    }

    #[test]
    fn days_without_a_backup_do_not_count() {
        let all = ids([0, 24, 24 * 100, 24 * 200]);
        assert_eq!(stay(&all, keep(1, 3, 0)), [24, 24 * 100, 24 * 200]);
    }

    #[test]
    fn what_was_made_just_now_stays_also_when_others_say_that_they_are_newer() {
        let all = ids([1, 2, 1000]);
        let made = all.iter().nth(1).expect("three");
        let gone = to_remove(&all, keep(1, 0, 0), made);
        assert_eq!(gone, ids_of(&all, [0]));
    }

    fn ids_of(all: &BTreeSet<Id>, places: impl IntoIterator<Item = usize>) -> BTreeSet<Id> {
        let id = |place| all.iter().nth(place).expect("as many").clone();
        places.into_iter().map(id).collect()
    }

    proptest! {
        #[test]
        fn the_newest_always_stays_and_to_keep_more_never_removes_more(
            hours in prop::collection::btree_set(0..2000_u64, 1..40),
            (last, daily, weekly) in (0..10_u32, 0..10_u32, 0..10_u32),
        ) {
            let all = ids(hours);
            let newest = all.last().expect("one");
            let gone = to_remove(&all, keep(last, daily, weekly), newest);
            prop_assert!(!gone.contains(newest));
            let fewer = to_remove(&all, keep(last + 1, daily + 1, weekly + 1), newest);
            prop_assert!(fewer.is_subset(&gone));
            let most = usize::try_from(last.max(1) + daily + weekly).expect("small");
            prop_assert!(all.len() - gone.len() <= most);
        }
    }
}
