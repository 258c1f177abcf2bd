//! Removes one thing, recorded before and after.

use std::time::Duration;

use tokio::time::timeout;
use tracing::{info, warn};

use super::last_use::used;
use super::{Fate, Gc, Item, What};
use crate::engine::EngineError;
use crate::ops::removal::{REMOVAL, Recorded};

impl Gc {
    /// Does what was planned for `item`, and returns what became of it.
    pub(super) async fn remove(&self, item: &Item) -> Fate {
        let (what, name) = (item.what.as_str(), &item.name);
        let (audit, owner) = (self.manager.audit(), item.owner());
        let recorded = Recorded::begin(audit, what, name, owner.as_ref(), &item.reason);
        let recorded = match recorded.await {
            Ok(recorded) => recorded,
            Err(error) => return Fate::Failed(format!("it cannot be recorded: {error}")),
        };
        let fate = match item.what {
            What::Container => removed(self.engine.remove(&item.name).await),
            What::Image => match self.engine.remove_prepared(&item.name).await {
                Ok(false) => Fate::Kept("a container uses it".to_owned()),
                done => removed(done.map(drop)),
            },
            What::Volume => self.remove_volume(item).await,
        };
        let outcome = match &fate {
            Fate::Failed(why) => {
                warn!(what, name, why, "not removed");
                format!("failed: {why}")
            }
            Fate::Kept(why) => format!("kept: {why}"),
            Fate::Remove | Fate::Removed => {
                info!(what, name, reason = item.reason, "removed");
                self.manager.meter().collected(what);
                "done".to_owned()
            }
        };
        recorded.end(outcome).await;
        fate
    }

    /// Backed up, not used meanwhile, and then gone. The Engine itself refuses while a
    /// container is there.
    async fn remove_volume(&self, item: &Item) -> Fate {
        let (Some(user), Some(backup)) = (item.owner(), &self.backup) else {
            return Fate::Kept("no backup target".to_owned());
        };
        match backup(user.clone()).await {
            Ok(id) => info!(volume = item.name, backup = id, "backed up and verified"),
            Err(why) => return Fate::Failed(format!("there is no backup: {why}")),
        }
        let occupant = self.occupant(&user).await;
        let Some(occupant) = occupant.filter(|one| used(one) == item.used) else {
            return Fate::Kept("it was used meanwhile".to_owned());
        };
        let Some(channel) = &occupant.channel else {
            return Fate::Kept("its last use is not known".to_owned());
        };
        // Atomic: who comes before that is busy, and who comes after has a new container,
        // which the Engine does not take the volume from.
        let removal = self.engine.wait_removed(&occupant.row.id);
        match channel.retire(Duration::ZERO).await {
            Ok(true) => {}
            Ok(false) => return Fate::Kept("it was used meanwhile".to_owned()),
            Err(error) => return Fate::Failed(error.to_string()),
        }
        match timeout(REMOVAL, removal).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return Fate::Failed(error.to_string()),
            Err(_) => return Fate::Failed("its container does not end".to_owned()),
        }
        // Of two volumes the other would be the workspace then, whatever is in it.
        match self.manager.keeper(&user).volume().await {
            Ok(Some((name, true))) if name == item.name => {}
            Ok(_) => return Fate::Kept("a restore runs, or was broken off".to_owned()),
            Err(error) => return Fate::Failed(error.to_string()),
        }
        match self.engine.remove_volume(&item.name).await {
            Err(EngineError::InUse { .. }) => Fate::Kept("a container uses it".to_owned()),
            done => removed(done),
        }
    }
}

fn removed(done: Result<(), EngineError>) -> Fate {
    match done {
        Ok(()) => Fate::Removed,
        Err(error) => Fate::Failed(error.to_string()),
    }
}
