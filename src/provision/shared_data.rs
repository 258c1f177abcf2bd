//! The versions of shared data at the Engine, which of them counts, and what a container gets.
//!
//! ```text
//! a version: a volume, named by the hash of its content, and filled before it counts
//! a head:    an empty volume with a number, whose label names a version
//! ```
//!
//! Invariants:
//!
//! - A version counts from the moment in which a head names it. Of two heads the greater number
//!   holds. Making a head is one request, and the Engine makes a volume of one name once: so a
//!   version counts whole or not at all, and two that are put at once both have a head.
//! - The newest is the version of the greatest head, and no other: where its volume is gone, the share
//!   has none. An older version never comes back by itself.
//! - What the Engine made in place of a volume that was gone is never used.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::SystemTime;

use tracing::warn;

use super::context::ServerContext;
use super::error::SandboxError;
use super::volumes::missing;
use crate::config::SharedName;
use crate::engine::{
    ContainerSpec, Engine, EngineError, SharedMount, VolumeSummary, head_volume, labels,
    removal_volume, version_volume,
};

/// The share that a volume is of.
pub fn share_of(row: &VolumeSummary) -> Option<SharedName> {
    row.labels.get(labels::SHARED)?.parse().ok()
}

/// One version that is whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedVersion {
    /// 12 hex digits of the hash of its content.
    pub version: String,
    /// All 64 of them.
    pub hash: String,
    /// Its volume.
    pub volume: String,
    /// Of its newest head.
    pub number: u64,
    /// Bytes of all its files.
    pub bytes: u64,
    /// Its files, directories and links.
    pub entries: u64,
    /// When its newest head was made.
    pub put: Option<SystemTime>,
}

/// A volume that says which version counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedHead {
    /// Its name.
    pub volume: String,
    /// The version, 12 hex digits.
    pub version: String,
    /// The greater it is, the newer.
    pub number: u64,
    bytes: u64,
    entries: u64,
    /// When it was made.
    pub made: Option<SystemTime>,
}

/// The mark of a clean-up that removes a volume unless it counts by then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedRemoval {
    /// The mark's own name.
    pub mark: String,
    /// The volume that is removed.
    pub volume: String,
    /// When the mark was made.
    pub made: Option<SystemTime>,
}

/// All that there is of one share.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SharedVolumes {
    /// The versions that are whole, oldest first.
    pub versions: Vec<SharedVersion>,
    /// All heads, oldest first.
    pub heads: Vec<SharedHead>,
    /// Volumes of versions that no head names: being filled, left by something that was killed, or
    /// made by the Engine in place of one that was gone.
    pub incomplete: Vec<VolumeSummary>,
    /// Clean-ups that remove something now, or were killed.
    pub removals: Vec<SharedRemoval>,
}

impl SharedVolumes {
    /// What new containers have.
    pub fn newest(&self) -> Option<&SharedVersion> {
        let head = self.heads.last()?;
        let mut versions = self.versions.iter();
        versions.find(|version| version.version == head.version)
    }

    /// The version of this volume, if it is whole.
    pub fn version(&self, volume: &str) -> Option<&SharedVersion> {
        self.versions.iter().find(|it| it.volume == volume)
    }

    /// The number of the next head.
    pub fn next_number(&self) -> u64 {
        self.heads.last().map_or(1, |head| head.number + 1)
    }
}

/// All shares of an instance, by name. A volume with our labels and another name than they make is
/// left out.
pub fn sort_shared(
    instance: &str,
    rows: Vec<VolumeSummary>,
) -> BTreeMap<SharedName, SharedVolumes> {
    let mut shares: BTreeMap<SharedName, SharedVolumes> = BTreeMap::new();
    let mut filled = Vec::new();
    for row in rows {
        let Some(name) = share_of(&row) else { continue };
        if let Some(head) = head(instance, &name, &row) {
            shares.entry(name).or_default().heads.push(head);
            continue;
        }
        if let Some(removal) = removal(instance, &name, &row) {
            shares.entry(name).or_default().removals.push(removal);
            continue;
        }
        let hash = row.labels.get(labels::SHARED_VERSION).cloned();
        let hash = hash.filter(|hash| row.name == version_volume(instance, name.as_str(), hash));
        let stem = version_volume(instance, name.as_str(), "");
        if row.is_remade() && row.name.starts_with(&stem) {
            shares.entry(name).or_default().incomplete.push(row);
        } else if let Some(hash) = hash.filter(|_| !row.is_remade()) {
            filled.push((name, hash, row));
        }
    }
    for share in shares.values_mut() {
        share.heads.sort_by_key(|head| head.number);
    }
    for (name, hash, row) in filled {
        let share = shares.entry(name.clone()).or_default();
        let named =
            |head: &&SharedHead| version_volume(instance, name.as_str(), &head.version) == row.name;
        match share.heads.iter().rfind(named) {
            Some(head) => share.versions.push(SharedVersion {
                version: head.version.clone(),
                hash,
                volume: row.name,
                number: head.number,
                bytes: head.bytes,
                entries: head.entries,
                put: head.made,
            }),
            None => share.incomplete.push(row),
        }
    }
    for share in shares.values_mut() {
        share.versions.sort_by_key(|version| version.number);
    }
    shares
}

/// `None`: the volume is no head.
fn head(instance: &str, name: &SharedName, row: &VolumeSummary) -> Option<SharedHead> {
    let version = row.labels.get(labels::SHARED_HEAD)?;
    let stem = head_volume(instance, name.as_str(), 0);
    let number = row.name.strip_prefix(stem.strip_suffix('0')?)?;
    let number: u64 = number.parse().ok()?;
    let count = |label| {
        row.labels
            .get(label)
            .and_then(|text: &String| text.parse().ok())
    };
    (row.name == head_volume(instance, name.as_str(), number)).then(|| SharedHead {
        volume: row.name.clone(),
        version: version.clone(),
        number,
        bytes: count(labels::SHARED_BYTES).unwrap_or(0),
        entries: count(labels::SHARED_ENTRIES).unwrap_or(0),
        made: row.created_at(),
    })
}

/// `None`: the volume is no mark.
fn removal(instance: &str, name: &SharedName, row: &VolumeSummary) -> Option<SharedRemoval> {
    let volume = row.labels.get(labels::SHARED_REMOVAL)?;
    let stem = removal_volume(instance, name.as_str(), "");
    row.name.starts_with(&stem).then(|| SharedRemoval {
        mark: row.name.clone(),
        volume: volume.clone(),
        made: row.created_at(),
    })
}

/// What a container of a user who is given `names` has, at the newest versions.
pub(super) async fn mounts(
    context: &Arc<ServerContext>,
    names: &BTreeSet<SharedName>,
) -> Result<Vec<SharedMount>, SandboxError> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let instance = context.config.instance.as_str();
    let rows = context.engine.shared_volumes(instance).await?;
    let shares = sort_shared(instance, rows);
    let given = context.config.shared.given(names);
    let mount = given.map(|data| {
        let newest = shares.get(&data.name).and_then(SharedVolumes::newest);
        SharedMount {
            name: data.name.as_str().to_owned(),
            path: data.path.as_str().to_owned(),
            volume: newest.map(|version| version.volume.clone()),
        }
    });
    Ok(mount.collect())
}

/// The last check before a container is started. After the create call no volume of it can be
/// removed; one that was removed before is an empty one now, which the Engine has made.
///
/// # Errors
/// A volume is gone, or no version any more: the container is made again.
pub(super) async fn verify(engine: &Engine, spec: &ContainerSpec) -> Result<(), SandboxError> {
    let volumes = spec.shared.iter().filter_map(|one| one.volume.as_ref());
    let volumes: Vec<&String> = volumes.collect();
    if volumes.is_empty() {
        return Ok(());
    }
    let instance = spec.labels.instance.as_str();
    let rows = engine.shared_volumes(instance).await?;
    let shares = sort_shared(instance, rows);
    let is_version = |volume: &str| shares.values().any(|it| it.version(volume).is_some());
    match volumes.into_iter().find(|volume| !is_version(volume)) {
        Some(volume) => Err(missing(volume)),
        None => Ok(()),
    }
}

/// Removes what the Engine made for a container in place of a version that was gone.
pub(super) async fn remove_remade(engine: &Engine, spec: &ContainerSpec) {
    for volume in spec.shared.iter().filter_map(|one| one.volume.as_ref()) {
        let found = engine.inspect_volume(volume).await;
        if !found.is_ok_and(|found| found.is_some_and(|row| row.is_remade())) {
            continue;
        }
        match engine.remove_volume(volume).await {
            Ok(()) | Err(EngineError::InUse { .. }) => {}
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                warn!(volume, error, "an empty volume stays");
            }
        }
    }
}

#[cfg(test)]
#[path = "shared_data_tests.rs"]
mod tests;
