//! When a workspace was used last: its PID 1 says it, which a look does not change.

use std::time::{Duration, SystemTime};

use tokio::time::{Instant, sleep, timeout};

use super::Gc;
use crate::identity::User;
use crate::ops::removal::REMOVAL;
use crate::sandbox::Occupant;

/// How long a container may take to be made, the image included.
const READY: Duration = Duration::from_secs(60);

/// Between two looks whether it is.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

impl Gc {
    /// `None` where it is not known: then it counts as used now. Makes the container, where
    /// there is none, and has it end again.
    pub(super) async fn last_use(&self, user: &User) -> Option<SystemTime> {
        let occupant = self.occupant(user).await?;
        let used = used(&occupant);
        if let Some(channel) = &occupant.channel {
            let removal = self.engine.wait_removed(&occupant.row.id);
            // One that works stays, and is found to be in use the next time.
            if matches!(channel.retire(Duration::ZERO).await, Ok(true)) {
                let _ = timeout(REMOVAL, removal).await;
            }
        }
        used
    }

    /// The container of this user, with what its PID 1 says.
    pub(super) async fn occupant(&self, user: &User) -> Option<Occupant> {
        let sandbox = self.manager.sandbox(user);
        let end = Instant::now() + READY;
        while Instant::now() < end {
            // Again and again: one that is about to end is no more in a moment.
            sandbox.warm();
            let occupants = self.manager.look(user).await.ok()?;
            // Before it has read the workspace it does not know.
            let knows = |one: &Occupant| used(one).is_some();
            if let Some(occupant) = occupants.into_iter().find(knows) {
                return Some(occupant);
            }
            sleep(LOOK_AGAIN).await;
        }
        None
    }
}

/// By what its PID 1 said.
pub(super) fn used(occupant: &Occupant) -> Option<SystemTime> {
    let at = occupant.stats.as_ref()?.last_used_ms;
    let at = u64::try_from(at).ok().filter(|at| *at > 0)?;
    Some(SystemTime::UNIX_EPOCH + Duration::from_millis(at))
}
