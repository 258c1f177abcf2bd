//! Unused shared data: older versions that no container holds, and the leftovers of a `put` that was
//! killed. The newest version always stays, also of a share that these settings do not have:
//! another server may.

use std::time::{Duration, SystemTime};

use tracing::warn;

use super::plan::{Disposition, PlanItem, ResourceKind};
use super::{Gc, GcError};
use crate::config::SharedName;
use crate::engine::{EngineError, labels, removal_volume};
use crate::ops::chain;
use crate::ops::shared::{self, SharedHolder, holders};
use crate::provision::{SharedHead, SharedVolumes, share_of};

/// What stays for its age.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SharedAges {
    /// A container may be about to be made with the version that was the newest before: it stays
    /// this long.
    pub replaced: Duration,
    /// A volume without a head may be about to be filled: it stays this long.
    pub incomplete: Duration,
}

impl Default for SharedAges {
    fn default() -> Self {
        Self {
            replaced: Duration::from_secs(10 * 60),
            incomplete: Duration::from_secs(60 * 60),
        }
    }
}

impl Gc {
    /// Lists the volumes to remove, and the older versions that stay with the reason.
    pub(super) async fn shared(&self) -> Result<Vec<PlanItem>, GcError> {
        let instance = &self.manager.config().instance;
        let shares = shared::list(&self.engine, instance).await?;
        let holders = holders(&self.engine, instance).await?;
        let now = SystemTime::now();
        let plan = |(name, share)| plan(name, share, &holders, self.shared_ages, now);
        Ok(shares.iter().flat_map(plan).collect())
    }

    /// Removes a volume, unless it counts or is in use by now. A `put` that makes it count in the
    /// middle sees the mark, waits, and looks what became of the volume (`snapshot`).
    pub(super) async fn remove_shared(&self, item: &PlanItem) -> Disposition {
        let mark = match self.mark_removal(&item.name).await {
            Ok(Some(mark)) => mark,
            Ok(None) => return Disposition::Removed,
            Err(error) => return Disposition::Failed(chain(&error)),
        };
        let disposition = self.remove_unless_newest(item).await;
        if let Err(error) = self.engine.remove_mark(&mark).await {
            let error = &error as &dyn std::error::Error;
            warn!(mark, error, "a later clean-up removes it");
        }
        disposition
    }

    /// `None`: there is no such volume.
    async fn mark_removal(&self, volume: &str) -> Result<Option<String>, EngineError> {
        let row = self.engine.inspect_volume(volume).await?;
        let Some(name) = row.as_ref().and_then(share_of) else {
            return Ok(None);
        };
        let instance = self.manager.config().instance.as_str();
        let token = uuid::Uuid::new_v4().simple().to_string();
        let mark = removal_volume(instance, name.as_str(), &token);
        let labels = [
            (labels::INSTANCE, instance),
            (labels::SHARED, name.as_str()),
            (labels::SHARED_REMOVAL, volume),
        ];
        self.engine.mark(&mark, &labels).await?;
        Ok(Some(mark))
    }

    async fn remove_unless_newest(&self, item: &PlanItem) -> Disposition {
        match self.is_newest(&item.name).await {
            Ok(true) => return Disposition::Kept("it is the newest version now".to_owned()),
            Ok(false) => {}
            Err(error) => return Disposition::Failed(chain(&error)),
        }
        match self.engine.remove_volume(&item.name).await {
            Ok(()) => Disposition::Removed,
            Err(EngineError::InUse { .. }) => Disposition::Kept("a container uses it".to_owned()),
            Err(error) => Disposition::Failed(chain(&error)),
        }
    }

    async fn is_newest(&self, volume: &str) -> Result<bool, EngineError> {
        let Some(row) = self.engine.inspect_volume(volume).await? else {
            return Ok(false);
        };
        let instance = &self.manager.config().instance;
        let shares = shared::list(&self.engine, instance).await?;
        let share = share_of(&row).and_then(|name| shares.get(&name).cloned());
        let share = share.unwrap_or_default();
        let is_last_head = share.heads.last().is_some_and(|head| head.volume == volume);
        Ok(is_last_head || share.newest().is_some_and(|newest| newest.volume == volume))
    }
}

/// The items of one share.
fn plan(
    name: &SharedName,
    share: &SharedVolumes,
    holders: &[SharedHolder],
    ages: SharedAges,
    now: SystemTime,
) -> Vec<PlanItem> {
    let item = |volume: &str, reason: &str, kept: Option<&str>| {
        let reason = format!("{reason} of the shared data {name}");
        let item = PlanItem::new(ResourceKind::Shared, volume, None, reason);
        match kept {
            Some(why) => PlanItem {
                disposition: Disposition::Kept(why.to_owned()),
                ..item
            },
            None => item,
        }
    };
    let is_held = |volume: &str| holders.iter().any(|holder| holder.has(volume));
    // Treat unknown and future times as now.
    let is_young = |at: Option<SystemTime>, limit| {
        let age = at.and_then(|at| now.duration_since(at).ok());
        age.is_none_or(|age| age < limit)
    };
    let mut items = Vec::new();
    for row in &share.incomplete {
        let kept = if is_held(&row.name) {
            Some("a container uses it")
        } else if is_young(row.created_at(), ages.incomplete) {
            Some("it may be about to be filled")
        } else {
            None
        };
        items.push(item(&row.name, "an incomplete version", kept));
    }
    for left in &share.removals {
        let kept = is_young(left.made, ages.incomplete).then_some("a clean-up may run");
        items.push(item(&left.mark, "the mark of a clean-up", kept));
    }
    // Where the newest is gone, an operator has to say what counts.
    let Some(newest) = share.newest() else {
        return items;
    };
    let replaced = share.heads.last().and_then(|head| head.made);
    for old in share
        .versions
        .iter()
        .filter(|it| it.volume != newest.volume)
    {
        let kept = if is_held(&old.volume) {
            Some("a container uses it")
        } else if is_young(replaced, ages.replaced) {
            Some("it was replaced a moment ago")
        } else {
            None
        };
        items.push(item(&old.volume, "an older version", kept));
    }
    let stale = share.heads.iter().filter(|head| is_stale(head, share));
    items.extend(stale.map(|head| item(&head.volume, "the mark of a version that is gone", None)));
    items
}

/// Whether a head says nothing: its version is gone, or a newer head names it.
fn is_stale(head: &SharedHead, share: &SharedVolumes) -> bool {
    let named = share
        .versions
        .iter()
        .any(|version| version.number == head.number);
    let is_last = share.heads.last() == Some(head);
    !named && !is_last
}

#[cfg(test)]
#[path = "shared_tests.rs"]
mod tests;
