//! Removes one item, with a record before and after.

use tracing::{info, warn};

use super::hold::{self, HoldError};
use super::{Disposition, Gc, PlanItem, ResourceKind};
use crate::audit::AuditedRemoval;
use crate::engine::EngineError;
use crate::identity::WorkspaceId;
use crate::ops::chain;

impl Gc {
    /// Removes `item` if that was planned, and returns the result.
    pub(super) async fn remove(&self, item: &PlanItem) -> Disposition {
        let (what, name) = (item.what.as_str(), &item.name);
        let (audit, owner) = (self.manager.audit(), item.owner());
        let recorded = AuditedRemoval::begin(audit, what, name, owner.as_ref(), &item.reason);
        let recorded = match recorded.await {
            Ok(recorded) => recorded,
            Err(error) => return Disposition::Failed(format!("it cannot be recorded: {error}")),
        };
        let disposition = match item.what {
            // Without force, because its server may have started it since the plan.
            ResourceKind::Container => match self.engine.remove_stopped(&item.name).await {
                Ok(false) => Disposition::Kept("it is running now".to_owned()),
                done => removed(done.map(drop)),
            },
            ResourceKind::Image => match self.engine.remove_unless_used(&item.name).await {
                Ok(false) => Disposition::Kept("a container uses it".to_owned()),
                done => removed(done.map(drop)),
            },
            ResourceKind::Volume => self.remove_volume(item).await,
            ResourceKind::Shared => self.remove_shared(item).await,
        };
        let outcome = match &disposition {
            Disposition::Failed(why) => {
                warn!(what, name, why, "not removed");
                format!("failed: {why}")
            }
            Disposition::Kept(why) => format!("kept: {why}"),
            Disposition::Remove | Disposition::Removed => {
                info!(what, name, reason = item.reason, "removed");
                self.manager.meter().collected(what);
                "done".to_owned()
            }
        };
        recorded.end(outcome).await;
        disposition
    }

    /// Backs up the volume, checks again that it is unused, and removes it. The Engine refuses
    /// while a container uses it.
    async fn remove_volume(&self, item: &PlanItem) -> Disposition {
        let (Some(workspace), Some(backup)) = (item.owner(), &self.backup) else {
            return Disposition::Kept("no backup target".to_owned());
        };
        match backup(workspace.clone()).await {
            Ok(id) => info!(volume = item.name, backup = id, "backed up and verified"),
            Err(why) => return Disposition::Failed(format!("there is no backup: {why}")),
        }
        if let Some(stays) = self.must_stay(item, &workspace).await {
            return stays;
        }
        match self.engine.remove_volume(&item.name).await {
            Err(EngineError::InUse { .. }) => Disposition::Kept("a container uses it".to_owned()),
            done => removed(done),
        }
    }

    /// Checks again whether it must be kept, because other checks and backups may have taken hours
    /// since the plan. The slowest check comes first, and the removal follows the last one
    /// directly.
    async fn must_stay(&self, item: &PlanItem, workspace: &WorkspaceId) -> Option<Disposition> {
        let snapshots = self.manager.snapshots(workspace);
        let kept = |why: &str| Some(Disposition::Kept(why.to_owned()));
        match snapshots.volume().await {
            Ok(Some((name, true))) if name == item.name => {}
            Ok(None) => return kept("it is gone"),
            // With two volumes, the other one would become the workspace.
            Ok(Some(_)) => return kept("a restore is running, or was interrupted"),
            Err(error) => return Some(Disposition::Failed(chain(&error))),
        }
        match snapshots.last_use().await {
            Ok(None) => return kept("its last use is not known"),
            Ok(used) if used != item.used => return kept("it was used since the plan"),
            Ok(_) => {}
            Err(error) => return Some(Disposition::Failed(chain(&error))),
        }
        match snapshots.is_in_use().await {
            Ok(false) => {}
            Ok(true) => return kept("a container uses it"),
            Err(error) => return Some(Disposition::Failed(chain(&error))),
        }
        let instance = &self.manager.config().instance;
        match hold::check(&self.engine, instance, workspace).await {
            Ok(()) => None,
            Err(HoldError::Held(_)) => kept("it is held"),
            Err(error) => Some(Disposition::Failed(chain(&error))),
        }
    }
}

fn removed(done: Result<(), EngineError>) -> Disposition {
    match done {
        Ok(()) => Disposition::Removed,
        Err(error) => Disposition::Failed(chain(&error)),
    }
}
