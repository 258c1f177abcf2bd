//! Removes one thing, recorded before and after.

use tracing::{info, warn};

use super::hold::{self, HoldError};
use super::{Disposition, Gc, PlanItem, ResourceKind};
use crate::engine::EngineError;
use crate::identity::User;
use crate::ops::chain;
use crate::ops::removal::AuditedRemoval;

impl Gc {
    /// Does what was planned for `item`, and returns what became of it.
    pub(super) async fn remove(&self, item: &PlanItem) -> Disposition {
        let (what, name) = (item.what.as_str(), &item.name);
        let (audit, owner) = (self.manager.audit(), item.owner());
        let recorded = AuditedRemoval::begin(audit, what, name, owner.as_ref(), &item.reason);
        let recorded = match recorded.await {
            Ok(recorded) => recorded,
            Err(error) => return Disposition::Failed(format!("it cannot be recorded: {error}")),
        };
        let disposition = match item.what {
            // Not by force: its server may have started it since it was planned.
            ResourceKind::Container => match self.engine.remove_stopped(&item.name).await {
                Ok(false) => Disposition::Kept("it runs by now".to_owned()),
                done => removed(done.map(drop)),
            },
            ResourceKind::Image => match self.engine.remove_unless_used(&item.name).await {
                Ok(false) => Disposition::Kept("a container uses it".to_owned()),
                done => removed(done.map(drop)),
            },
            ResourceKind::Volume => self.remove_volume(item).await,
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

    /// Backed up, still not wanted by anybody, and then gone. The Engine itself refuses
    /// while a container is there.
    async fn remove_volume(&self, item: &PlanItem) -> Disposition {
        let (Some(user), Some(backup)) = (item.owner(), &self.backup) else {
            return Disposition::Kept("no backup target".to_owned());
        };
        match backup(user.clone()).await {
            Ok(id) => info!(volume = item.name, backup = id, "backed up and verified"),
            Err(why) => return Disposition::Failed(format!("there is no backup: {why}")),
        }
        if let Some(stays) = self.must_stay(item, &user).await {
            return stays;
        }
        match self.engine.remove_volume(&item.name).await {
            Err(EngineError::InUse { .. }) => Disposition::Kept("a container uses it".to_owned()),
            done => removed(done),
        }
    }

    /// Why it stays after all: looks and backups of others may have taken hours since it
    /// was planned. What takes the longest is asked first, and nothing stands between the
    /// last answers and the removal.
    async fn must_stay(&self, item: &PlanItem, user: &User) -> Option<Disposition> {
        let snapshots = self.manager.snapshots(user);
        let kept = |why: &str| Some(Disposition::Kept(why.to_owned()));
        match snapshots.volume().await {
            Ok(Some((name, true))) if name == item.name => {}
            Ok(None) => return kept("it is gone"),
            // Of two volumes the other would be the workspace then, whatever is in it.
            Ok(Some(_)) => return kept("a restore runs, or was broken off"),
            Err(error) => return Some(Disposition::Failed(chain(&error))),
        }
        match snapshots.last_use().await {
            Ok(None) => return kept("its last use is not known"),
            Ok(used) if used != item.used => return kept("it was used meanwhile"),
            Ok(_) => {}
            Err(error) => return Some(Disposition::Failed(chain(&error))),
        }
        match snapshots.is_in_use().await {
            Ok(false) => {}
            Ok(true) => return kept("a container uses it"),
            Err(error) => return Some(Disposition::Failed(chain(&error))),
        }
        let instance = &self.manager.config().instance;
        match hold::check(&self.engine, instance, user).await {
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
