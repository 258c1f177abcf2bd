//! Which volume is a user's workspace. Labels are the state. The Engine can neither rename a
//! volume nor change its labels, but it creates and removes a volume atomically. So a restore
//! makes another volume, and one removal makes that the workspace:
//!
//! ```text
//!  name                     the first one, generation 0
//!  name-g1-<random>         a restored one: label io.casemate.generation = 1
//!  name-g1-<random>-pending its mark: label io.casemate.pending = name-g1-<random>
//!
//!  make the mark ─► make the volume ─► fill, verify ─► remove the mark ───► remove
//!  └────────── the old one is the workspace ─────────┘└─ the new one is ──┘  the old one
//! ```
//!
//! - The workspace is the volume of the highest generation that has no mark. A volume that is
//!   incomplete always has its mark, because the mark is made first and removed last. When two
//!   restores at once make volumes of the same generation, the greater name is the workspace,
//!   and the other restore reports that it was overtaken.
//! - If the server is killed at any point, the old state or the new one is in force. The next
//!   backup or restore of that user removes what is left ([`crate::snapshot`]).
//! - A container is made with the volume that is the workspace at that moment. Before it is
//!   started the server checks again, because a restore may have ended in between.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use crate::engine::{RunAs, VolumeSummary, labels};
use crate::identity::{Instance, SandboxName, WorkspaceId};

/// A mark or a volume younger than this may be of a restore that is about to use it.
const YOUNG_AGE_LIMIT: Duration = Duration::from_secs(120);

/// As [`YOUNG_AGE_LIMIT`], for a mark without its volume. The volume may be about to be made, and
/// without the mark it would be the workspace at once. A mark that is left longer costs nothing.
const LONE_MARK_AGE_LIMIT: Duration = Duration::from_secs(60 * 60);

/// In the name of a restored volume this follows the name of the first one.
const RESTORED: &str = "-g";

/// The volumes of one workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generations {
    /// The workspace; it may not exist yet.
    pub current: String,
    /// Its generation.
    pub generation: u64,
    /// Its uid; `None` where its label names none, or where it does not exist.
    pub uid: Option<u32>,
    /// Older workspaces.
    pub old: Vec<String>,
    /// With a mark: being filled, or left by a restore that was killed.
    pub pending: Vec<String>,
    /// The marks, each with the volume it is for, and when it was made.
    pub marks: Vec<Mark>,
}

/// Marks a volume as incomplete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    pub name: String,
    pub volume: String,
    /// Whether there is such a volume.
    pub is_for_one: bool,
    created: Option<SystemTime>,
}

impl Mark {
    /// Whether it may belong to a restore that has just begun. It may if its age is unknown or its
    /// clock is ahead.
    pub fn is_young(&self, now: SystemTime) -> bool {
        let age = self.created.and_then(|at| now.duration_since(at).ok());
        let young = if self.is_for_one {
            YOUNG_AGE_LIMIT
        } else {
            LONE_MARK_AGE_LIMIT
        };
        age.is_none_or(|age| age < young)
    }
}

impl Generations {
    /// Whom code in the workspace runs as.
    pub fn run_as(&self) -> RunAs {
        RunAs::of(self.uid)
    }

    /// Whether this one has a mark.
    pub fn is_pending(&self, name: &str) -> bool {
        self.pending.iter().any(|pending| pending == name)
    }
}

/// `first`: the name of generation 0. `rows`: all volumes with the workspace's labels.
pub fn sort(first: &str, rows: &[VolumeSummary]) -> Generations {
    let label = |row: &VolumeSummary, name| row.labels.get(name).cloned();
    let exists = |name: &String| rows.iter().any(|row| row.name == *name);
    let marks: Vec<Mark> = rows
        .iter()
        .filter_map(|row| {
            let volume = label(row, labels::PENDING)?;
            Some(Mark {
                name: row.name.clone(),
                is_for_one: exists(&volume),
                volume,
                created: row.created_at(),
            })
        })
        .collect();
    let marked: BTreeSet<&str> = marks.iter().map(|mark| mark.volume.as_str()).collect();
    let mut whole = vec![(0, first.to_owned())];
    let mut pending = Vec::new();
    let is_stray = |row: &VolumeSummary| {
        let restored = row.name.strip_prefix(first);
        let restored = restored.is_some_and(|rest| rest.starts_with(RESTORED));
        let labels = [labels::GENERATION, labels::PENDING];
        restored && !labels.iter().any(|name| row.labels.contains_key(*name))
    };
    // The Engine makes a stray volume for a container whose volume is gone.
    let strays = rows.iter().filter(|row| is_stray(row));
    let strays: Vec<String> = strays.map(|row| row.name.clone()).collect();
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
    let found = rows.iter().find(|row| row.name == current);
    Generations {
        uid: found.and_then(VolumeSummary::uid),
        current,
        generation,
        old: whole
            .into_iter()
            .map(|(_, name)| name)
            .filter(exists)
            .chain(strays)
            .collect(),
        pending,
        marks,
    }
}

/// The order in which to remove all volumes of a workspace. If a removal fails, the rest is the newest
/// workspace or none: first older workspaces, then the workspace, then incomplete volumes, and
/// their marks last.
pub fn removal_order(
    instance: &Instance,
    workspace: &WorkspaceId,
    mut rows: Vec<VolumeSummary>,
) -> Vec<VolumeSummary> {
    let volumes = sort(SandboxName::new(instance, workspace).as_str(), &rows);
    let place = |row: &VolumeSummary| {
        let name = &row.name;
        if row.labels.contains_key(labels::PENDING) {
            3
        } else if volumes.pending.contains(name) {
            2
        } else {
            u8::from(*name == volumes.current)
        }
    };
    rows.sort_by_key(place);
    rows
}

/// The name of the mark of this volume.
pub fn mark_of(volume: &str) -> String {
    format!("{volume}-pending")
}

#[cfg(test)]
#[path = "generations_tests.rs"]
mod tests;
