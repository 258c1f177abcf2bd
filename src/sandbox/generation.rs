//! Which volume is a user's workspace. Labels are the state, and the Engine can neither
//! rename a volume nor give it another label; what it does, it does whole: make one, take
//! one away. So a restore makes another volume, and one removal makes that the workspace:
//!
//! ```text
//!  name                     the first one, generation 0
//!  name-g1-<random>         a restored one: label io.casemate.generation = 1
//!  name-g1-<random>-pending its mark: label io.casemate.pending = name-g1-<random>
//!
//!  make the mark ─► make the volume ─► fill, verify ─► take away the mark ─► take away
//!  └────────── the old one is the workspace ─────────┘└─ the new one is ──┘  the old one
//! ```
//!
//! - The workspace is the volume of the highest generation that has no mark. There is
//!   never a volume without its mark that is not whole, for the mark is made first and
//!   goes last. Of two of one generation, which two restores at once make, it is the one
//!   with the greater name, and the other restore is told so.
//! - Killed at any point, the old state or the new one is in force. What is left over is
//!   taken away by the next backup or restore of that user ([`super::keep`]).
//! - A container is made with the volume that is the workspace at that moment, and looks
//!   again before it is started: between the two a restore may have ended.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use super::SandboxError;
use super::bring_up::Maker;
use crate::engine::{EngineError, VolumeRow, Workspace, labels};

/// A mark or a volume younger than this may be of a restore that is about to use it.
pub(super) const YOUNG: Duration = Duration::from_secs(120);

/// The volumes of one user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Volumes {
    /// The workspace; it may not exist yet.
    pub(super) current: String,
    /// How many there were before it.
    pub(super) generation: u64,
    /// Workspaces of the past.
    pub(super) old: Vec<String>,
    /// With a mark: being filled, or left by a restore that was killed.
    pub(super) pending: Vec<String>,
    /// The marks, each with the volume it is for, and when it was made.
    pub(super) marks: Vec<Mark>,
}

/// That a volume is not whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) name: String,
    pub(super) volume: String,
    created: Option<String>,
}

impl Mark {
    /// Whether it may be of a restore that has just begun.
    pub(super) fn is_young(&self, now: SystemTime) -> bool {
        let created = self.created.as_deref().map(humantime::parse_rfc3339);
        match created {
            Some(Ok(created)) => now.duration_since(created).is_ok_and(|age| age < YOUNG),
            // With a zone, or none: it is decided by whether its volume is in use.
            _ => false,
        }
    }
}

/// `first`: the name of generation 0. `rows`: all volumes with the user's labels.
pub(super) fn sort(first: &str, rows: &[VolumeRow]) -> Volumes {
    let label = |row: &VolumeRow, name| row.labels.get(name).cloned();
    let marks: Vec<Mark> = rows
        .iter()
        .filter_map(|row| {
            Some(Mark {
                name: row.name.clone(),
                volume: label(row, labels::PENDING)?,
                created: row.created.clone(),
            })
        })
        .collect();
    let marked: BTreeSet<&str> = marks.iter().map(|mark| mark.volume.as_str()).collect();
    let mut whole = vec![(0, first.to_owned())];
    let mut pending = Vec::new();
    for row in rows {
        let generation = label(row, labels::GENERATION).and_then(|text| text.parse::<u64>().ok());
        let Some(generation) = generation.filter(|_| row.name != first) else {
            continue;
        };
        if marked.contains(row.name.as_str()) {
            pending.push(row.name.clone());
        } else {
            whole.push((generation, row.name.clone()));
        }
    }
    whole.sort();
    let (generation, current) = whole.pop().unwrap_or_default();
    let exists = |name: &String| rows.iter().any(|row| row.name == *name);
    Volumes {
        current,
        generation,
        old: whole
            .into_iter()
            .map(|(_, name)| name)
            .filter(exists)
            .collect(),
        pending,
        marks,
    }
}

impl Maker {
    /// The user's volumes as they are now.
    pub(super) async fn volumes(&self) -> Result<Volumes, SandboxError> {
        let labels = self.labels();
        let whose = [
            (labels::INSTANCE, labels.instance.as_str()),
            (labels::USER, labels.user.as_str()),
            (labels::ISSUER, labels.issuer.as_str()),
        ];
        let mut rows = self.engine.list_volumes(&whose).await?;
        rows.retain(|row| labels.own(&row.labels));
        Ok(sort(self.name.as_str(), &rows))
    }

    /// The last look at it before a container is started: a restore may have ended since
    /// the first one. The failure is one after which the container is made again.
    pub(super) async fn must_be_on(&self, workspace: &Workspace) -> Result<(), SandboxError> {
        let Workspace::Volume(volume) = workspace else {
            return Ok(());
        };
        if self.volumes().await?.current == *volume {
            return Ok(());
        }
        let (kind, name) = ("volume", volume.clone());
        Err(EngineError::Missing { kind, name }.into())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn volume(name: &str, generation: u64) -> VolumeRow {
        row(name, labels::GENERATION, &generation.to_string())
    }

    fn mark(volume: &str) -> VolumeRow {
        row(&format!("{volume}-pending"), labels::PENDING, volume)
    }

    fn row(name: &str, label: &str, value: &str) -> VolumeRow {
        VolumeRow {
            name: name.to_owned(),
            labels: [(label.to_owned(), value.to_owned())].into(),
            created: Some("2026-01-01T00:00:00Z".to_owned()),
        }
    }

    fn plain(name: &str) -> VolumeRow {
        VolumeRow {
            name: name.to_owned(),
            labels: [].into(),
            created: None,
        }
    }

    #[test]
    fn the_highest_generation_without_a_mark_is_the_workspace() {
        let current = |rows: &[VolumeRow]| sort("v", rows).current;
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
        // A stray one of the first name, whatever its labels, never goes before a restored one.
        assert_eq!(current(&[volume("v", 99), volume("v-g1-a", 1)]), "v-g1-a");
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
    fn a_mark_is_young_for_two_minutes() {
        let rows = [mark("v-g1-a")];
        let mark = &sort("v", &rows).marks[0];
        let made = humantime::parse_rfc3339("2026-01-01T00:00:00Z").expect("a time");
        assert!(mark.is_young(made + Duration::from_secs(119)));
        assert!(!mark.is_young(made + Duration::from_secs(120)));
    }

    proptest! {
        /// A restore as it goes, killed behind any step: the workspace is the old volume
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
}
