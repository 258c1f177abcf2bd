//! Containers that were created but never started because the server or the Engine was killed.
//!
//! They run nothing and hold no memory. A container that runs ends itself: see casemate-init.

use std::time::{Duration, SystemTime};

use crate::engine::{ContainerSummary, State, labels};

/// A server starts what it has made within a second; a busy Engine takes some.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// Made by Casemate for a user, at least a minute ago, and not running. The clean-up
/// removes such rows, and so does a call that needs their capacity.
pub fn is_abandoned(row: &ContainerSummary, now: SystemTime) -> bool {
    let whose = [labels::USER, labels::ISSUER];
    let now = now.duration_since(SystemTime::UNIX_EPOCH);
    let age = now.ok().and_then(|now| {
        let created = u64::try_from(row.created).ok()?;
        // One from the future is young: the clocks differ.
        now.checked_sub(Duration::from_secs(created))
    });
    whose.iter().all(|label| row.labels.contains_key(*label))
        && matches!(row.state, State::Created | State::Exited | State::Dead)
        && age.is_some_and(|age| age >= START_TIMEOUT)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn row(state: State, age: i64) -> ContainerSummary {
        let label = |name: &str| (name.to_owned(), "a".to_owned());
        ContainerSummary {
            id: "1".to_owned(),
            name: "casemate-a".to_owned(),
            labels: BTreeMap::from([labels::INSTANCE, labels::USER, labels::ISSUER].map(label)),
            state,
            created: NOW - age,
            volumes: Vec::new(),
        }
    }

    fn abandoned(row: &ContainerSummary) -> bool {
        let now = u64::try_from(NOW).expect("positive");
        is_abandoned(row, SystemTime::UNIX_EPOCH + Duration::from_secs(now))
    }

    #[test]
    fn only_what_has_not_run_for_a_minute_is_abandoned() {
        assert!(abandoned(&row(State::Created, 60)));
        assert!(abandoned(&row(State::Exited, 3600)));
        assert!(!abandoned(&row(State::Created, 59)));
        assert!(!abandoned(&row(State::Created, -5)));
        assert!(!abandoned(&row(State::Created, i64::MAX)));
        for state in [
            State::Running,
            State::Paused,
            State::Removing,
            State::Unknown,
        ] {
            assert!(!abandoned(&row(state, 3600)), "{state:?}");
        }
    }

    #[test]
    fn what_lacks_one_of_our_labels_is_never_abandoned() {
        for label in [labels::USER, labels::ISSUER] {
            let mut foreign = row(State::Created, 3600);
            foreign.labels.remove(label);
            assert!(!abandoned(&foreign), "{label}");
        }
    }
}
