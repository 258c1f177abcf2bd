//! When something may go. Pure.

use std::time::{Duration, SystemTime};

use crate::engine::{Row, State, labels};

/// A server starts what it has made within a second; a busy Engine takes some.
const ABANDONED: Duration = Duration::from_secs(60);

/// Made by Casemate for a user, at least a minute ago, and not running: its server was
/// killed in between, or an Engine that was killed has left it. It runs nothing and holds no
/// memory. What runs ends itself: see casemate-init.
pub fn is_abandoned(row: &Row, now: SystemTime) -> bool {
    let whose = [labels::USER, labels::ISSUER];
    let now = now.duration_since(SystemTime::UNIX_EPOCH);
    let age = now.ok().and_then(|now| {
        let created = u64::try_from(row.created).ok()?;
        // One from the future is young: the clocks differ.
        now.checked_sub(Duration::from_secs(created))
    });
    whose.iter().all(|label| row.labels.contains_key(*label))
        && matches!(row.state, State::Created | State::Exited | State::Dead)
        && age.is_some_and(|age| age >= ABANDONED)
}

/// What is known of a volume.
#[derive(Debug, Clone, Copy, Default)]
pub struct Facts {
    /// Somebody keeps it: see [`super::hold`].
    pub is_held: bool,
    /// A container of its user is there.
    pub is_in_use: bool,
    /// There is a target for backups.
    pub has_backups: bool,
    /// When it was made, where that is known.
    pub created: Option<SystemTime>,
    /// Before this nobody needs to look into it.
    pub next_look: Option<SystemTime>,
    /// When its workspace was used last, where somebody looked and it says so.
    pub used: Option<SystemTime>,
}

/// What becomes of a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It stays, and why.
    Keep(&'static str),
    /// It depends on its last use.
    Look,
    /// It may go.
    Remove,
}

/// The cheapest reason to keep it goes first: a look costs a container.
pub fn judge(facts: &Facts, retention: Duration, now: SystemTime) -> Verdict {
    // What is in the future is now: the clocks differ.
    let is_young = |time: SystemTime| now.duration_since(time).unwrap_or_default() < retention;
    if facts.is_held {
        Verdict::Keep("it is held")
    } else if facts.is_in_use {
        Verdict::Keep("a container uses it")
    } else if facts.created.is_some_and(is_young) {
        Verdict::Keep("it is younger than that")
    } else if !facts.has_backups {
        Verdict::Keep("no backup target")
    } else if let Some(used) = facts.used {
        match is_young(used) {
            true => Verdict::Keep("it was used since"),
            false => Verdict::Remove,
        }
    } else if facts.next_look.is_some_and(|next| now < next) {
        Verdict::Keep("it was used since")
    } else {
        Verdict::Look
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    const NOW: i64 = 1_800_000_000;
    const HOUR: Duration = Duration::from_secs(3600);

    fn row(state: State, age: i64) -> Row {
        let label = |name: &str| (name.to_owned(), "a".to_owned());
        Row {
            id: "1".to_owned(),
            name: "casemate-a".to_owned(),
            labels: BTreeMap::from([labels::INSTANCE, labels::USER, labels::ISSUER].map(label)),
            state,
            created: NOW - age,
        }
    }

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(NOW).expect("positive"))
    }

    #[test]
    fn only_what_has_not_run_for_a_minute_is_abandoned() {
        let swept = |row: &Row| is_abandoned(row, now());
        assert!(swept(&row(State::Created, 60)));
        assert!(swept(&row(State::Exited, 3600)));
        assert!(!swept(&row(State::Created, 59)));
        assert!(!swept(&row(State::Created, -5)));
        assert!(!swept(&row(State::Created, i64::MAX)));
        for state in [
            State::Running,
            State::Paused,
            State::Removing,
            State::Unknown,
        ] {
            assert!(!swept(&row(state, 3600)), "{state:?}");
        }
    }

    #[test]
    fn what_lacks_one_of_our_labels_is_never_abandoned() {
        for label in [labels::USER, labels::ISSUER] {
            let mut foreign = row(State::Created, 3600);
            foreign.labels.remove(label);
            assert!(!is_abandoned(&foreign, now()), "{label}");
        }
    }

    #[test]
    fn a_volume_goes_only_when_its_last_use_is_known_and_long_ago() {
        let old = Facts {
            has_backups: true,
            created: Some(now() - 3 * HOUR),
            used: Some(now() - 2 * HOUR),
            ..Facts::default()
        };
        let judged = |facts: Facts| judge(&facts, HOUR, now());
        assert_eq!(judged(old), Verdict::Remove);
        assert_eq!(judged(Facts { used: None, ..old }), Verdict::Look);
        let recent = Some(now() - HOUR / 2);
        let next_look = Some(now() + HOUR);
        for kept in [
            Facts {
                is_held: true,
                ..old
            },
            Facts {
                is_in_use: true,
                ..old
            },
            Facts {
                has_backups: false,
                ..old
            },
            Facts {
                created: recent,
                ..old
            },
            Facts {
                used: recent,
                ..old
            },
            Facts {
                used: Some(now() + HOUR),
                ..old
            },
            Facts {
                used: None,
                next_look,
                ..old
            },
        ] {
            assert!(matches!(judged(kept), Verdict::Keep(_)), "{kept:?}");
        }
    }

    proptest! {
        #[test]
        fn what_was_used_within_the_retention_is_never_removed(
            flags in any::<[bool; 3]>(), created in 0u64..100_000, used in 0u64..100_000, keep in 3600u64..90_000,
        ) {
            let at = |ago| Some(now() - Duration::from_secs(ago));
            let facts = Facts {
                is_held: flags[0],
                is_in_use: flags[1],
                has_backups: flags[2],
                created: at(created),
                next_look: None,
                used: at(used),
            };
            let removed = judge(&facts, Duration::from_secs(keep), now()) == Verdict::Remove;
            prop_assert_eq!(removed, flags == [false, false, true] && used >= keep && created >= keep);
        }
    }
}
