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
//!   taken away by the next backup or restore of that user ([`crate::snapshot`]).
//! - A container is made with the volume that is the workspace at that moment, and looks
//!   again before it is started: between the two a restore may have ended.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use tracing::warn;

use super::error::SandboxError;
use super::provisioner::Provisioner;
use crate::engine::{ContainerSpec, EngineError, RunAs, VolumeSummary, Workspace, labels};
use crate::identity::{Instance, SandboxName, User};

/// A mark or a volume younger than this may be of a restore that is about to use it.
const YOUNG_AGE_LIMIT: Duration = Duration::from_secs(120);

/// As [`YOUNG_AGE_LIMIT`], of a mark without its volume: that may be about to be made, and would be
/// the workspace at once. What is left longer costs nothing.
const LONE_MARK_AGE_LIMIT: Duration = Duration::from_secs(60 * 60);

/// What a restored volume's name has behind that of the first.
const RESTORED: &str = "-g";

/// The volumes of one user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volumes {
    /// The workspace; it may not exist yet.
    pub current: String,
    /// How many there were before it.
    pub generation: u64,
    /// Its uid; `None` where it has none of its own, or does not exist.
    pub uid: Option<u32>,
    /// Workspaces of the past.
    pub old: Vec<String>,
    /// With a mark: being filled, or left by a restore that was killed.
    pub pending: Vec<String>,
    /// The marks, each with the volume it is for, and when it was made.
    pub marks: Vec<Mark>,
}

/// That a volume is not whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    pub name: String,
    pub volume: String,
    /// Whether there is such a volume.
    pub is_for_one: bool,
    created: Option<SystemTime>,
}

impl Mark {
    /// Whether it may be of a restore that has just begun. What is of an unknown age, or
    /// from a clock that is ahead, may be.
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

impl Volumes {
    /// Whom code in the workspace runs as.
    pub fn run_as(&self) -> RunAs {
        RunAs::of(self.uid)
    }

    /// Whether this one has a mark.
    pub fn is_pending(&self, name: &str) -> bool {
        self.pending.iter().any(|pending| pending == name)
    }
}

/// `first`: the name of generation 0. `rows`: all volumes with the user's labels.
pub fn sort(first: &str, rows: &[VolumeSummary]) -> Volumes {
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
    // The Engine made such a one for a container whose volume was gone.
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
    Volumes {
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

/// The volumes of a user so that, whatever keeps the rest from being removed, what is left
/// is the newest workspace or none: first those of the past, then the workspace, then what
/// was never whole, and the marks that say so at last.
pub fn removal_order(
    instance: &Instance,
    user: &User,
    mut rows: Vec<VolumeSummary>,
) -> Vec<VolumeSummary> {
    let volumes = sort(SandboxName::new(instance, user).as_str(), &rows);
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

impl Provisioner {
    /// The user's volumes as they are now.
    pub async fn volumes(&self) -> Result<Volumes, SandboxError> {
        Ok(sort(self.name.as_str(), &self.volume_rows().await?))
    }

    async fn volume_rows(&self) -> Result<Vec<VolumeSummary>, SandboxError> {
        let labels = self.labels();
        let whose = [
            (labels::INSTANCE, labels.instance.as_str()),
            (labels::USER, labels.user.as_str()),
            (labels::ISSUER, labels.issuer.as_str()),
        ];
        let mut rows = self.engine.list_volumes(&whose).await?;
        rows.retain(|row| labels.is_same_owner(&row.labels));
        Ok(rows)
    }

    /// The last look at it before a container is started: a restore may have ended since
    /// the first one. The failure is one after which the container is made again. Returns
    /// whether the volume was made for this container.
    pub async fn verify_current_volume(&self, spec: &ContainerSpec) -> Result<bool, SandboxError> {
        let is_current = |volumes: &Volumes, name: &str| volumes.current == name;
        self.must_be(spec, is_current).await
    }

    /// As [`Self::verify_current_volume`], of what a restore fills: it must not be the workspace.
    pub async fn must_be_pending(&self, spec: &ContainerSpec) -> Result<bool, SandboxError> {
        let is_pending = |volumes: &Volumes, name: &str| volumes.is_pending(name);
        self.must_be(spec, is_pending).await
    }

    /// What the Engine has made in place of a volume that was gone goes again, unless somebody
    /// uses it by now: it has no owner, and it would be the user's workspace.
    pub async fn remove_remade(&self, spec: &ContainerSpec) {
        let Workspace::Volume(volume) = &spec.workspace else {
            return;
        };
        let found = self.engine.find_volume(volume, &spec.labels).await;
        if !found.is_ok_and(|found| found.is_some_and(|row| row.is_remade())) {
            return;
        }
        if let Err(error) = self.engine.remove_volume(volume).await {
            let error = &error as &dyn std::error::Error;
            warn!(volume, error, "an empty volume stays");
        }
    }

    /// After the create call nobody can remove the volume. Before it somebody may have, and then
    /// the Engine has made another of its name, which is never used.
    async fn must_be(
        &self,
        spec: &ContainerSpec,
        holds: impl FnOnce(&Volumes, &str) -> bool,
    ) -> Result<bool, SandboxError> {
        let Workspace::Volume(volume) = &spec.workspace else {
            return Ok(false);
        };
        let rows = self.volume_rows().await?;
        let row = rows.iter().find(|row| row.name == *volume);
        let row = row.filter(|row| !row.is_remade());
        match row.filter(|_| holds(&sort(self.name.as_str(), &rows), volume)) {
            Some(row) => Ok(row.labels.get(labels::MADE_FOR) == Some(&spec.made_for)),
            None => Err(missing(volume)),
        }
    }
}

/// The name of the mark of this volume.
pub fn mark_of(volume: &str) -> String {
    format!("{volume}-pending")
}

/// That this volume is not what it has to be.
pub fn missing(volume: &str) -> SandboxError {
    let (kind, name) = ("volume", volume.to_owned());
    EngineError::Missing { kind, name }.into()
}

#[cfg(test)]
#[path = "volumes_tests.rs"]
mod tests;
