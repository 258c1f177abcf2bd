//! When a resource may be removed. Pure.

use std::time::{Duration, SystemTime};

/// The facts about a volume.
#[derive(Debug, Clone, Copy, Default)]
pub struct VolumeFacts {
    /// It is held: see [`super::hold`].
    pub is_held: bool,
    /// Its user is in bind mode now, so this volume is from before and not backed up.
    pub is_bound: bool,
    /// A container of its user exists.
    pub is_in_use: bool,
    /// There is a target for backups.
    pub has_backups: bool,
    /// When it was made, if that is known.
    pub created: Option<SystemTime>,
    /// It need not be checked before this time.
    pub next_look: Option<SystemTime>,
    /// When its workspace was used last, if a check found that out.
    pub used: Option<SystemTime>,
}

/// The decision about a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is kept, for this reason.
    Keep(&'static str),
    /// It depends on its last use.
    Look,
    /// It may be removed.
    Remove,
}

/// Pause after a failed check, whose cause may be over by then.
const RETRY_INTERVAL: Duration = Duration::from_secs(3600);

/// When to check a volume again that was last `used` at that time, according to a check that ended
/// `now`.
pub fn next_look(used: Option<SystemTime>, retention: Duration, now: SystemTime) -> SystemTime {
    match used {
        Some(used) => used + retention,
        None => now + retention.min(RETRY_INTERVAL),
    }
}

/// Cheap checks first: the last one starts a container.
pub fn judge(facts: &VolumeFacts, retention: Duration, now: SystemTime) -> Verdict {
    // Treat future times as now (clock skew).
    let is_young = |time: SystemTime| now.duration_since(time).unwrap_or_default() < retention;
    if facts.is_held {
        Verdict::Keep("it is held")
    } else if facts.is_bound {
        Verdict::Keep("its user is in bind mode now")
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
    use proptest::prelude::*;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
    }

    #[test]
    fn a_volume_goes_only_when_its_last_use_is_known_and_long_ago() {
        let old = VolumeFacts {
            has_backups: true,
            created: Some(now() - 3 * HOUR),
            used: Some(now() - 2 * HOUR),
            ..VolumeFacts::default()
        };
        let judged = |facts: VolumeFacts| judge(&facts, HOUR, now());
        assert_eq!(judged(old), Verdict::Remove);
        assert_eq!(judged(VolumeFacts { used: None, ..old }), Verdict::Look);
        let recent = Some(now() - HOUR / 2);
        let next_look = Some(now() + HOUR);
        for kept in [
            VolumeFacts {
                is_held: true,
                ..old
            },
            VolumeFacts {
                is_bound: true,
                ..old
            },
            VolumeFacts {
                is_in_use: true,
                ..old
            },
            VolumeFacts {
                has_backups: false,
                ..old
            },
            VolumeFacts {
                created: recent,
                ..old
            },
            VolumeFacts {
                used: recent,
                ..old
            },
            VolumeFacts {
                used: Some(now() + HOUR),
                ..old
            },
            VolumeFacts {
                used: None,
                next_look,
                ..old
            },
        ] {
            assert!(matches!(judged(kept), Verdict::Keep(_)), "{kept:?}");
        }
    }

    #[test]
    fn a_look_that_failed_is_made_again_within_the_hour() {
        let month = 720 * HOUR;
        assert_eq!(next_look(Some(now()), month, now()), now() + month);
        assert_eq!(next_look(None, month, now()), now() + HOUR);
        let short = Duration::from_secs(2);
        assert_eq!(next_look(None, short, now()), now() + short);
    }

    proptest! {
        #[test]
        fn what_was_used_within_the_retention_is_never_removed(
            flags in any::<[bool; 4]>(), created in 0u64..100_000, used in 0u64..100_000, keep in 3600u64..90_000,
        ) {
            let at = |ago| Some(now() - Duration::from_secs(ago));
            let facts = VolumeFacts {
                is_held: flags[0],
                is_bound: flags[3],
                is_in_use: flags[1],
                has_backups: flags[2],
                created: at(created),
                next_look: None,
                used: at(used),
            };
            let removed = judge(&facts, Duration::from_secs(keep), now()) == Verdict::Remove;
            prop_assert_eq!(removed, flags == [false, false, true, false] && used >= keep && created >= keep);
        }
    }
}
