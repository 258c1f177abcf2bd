//! A uid for each user: the kernel counts many resources by uid over all containers (inotify, epoll,
//! pipes, signals, descriptors in flight), and one user's code at such a limit would block all.
//!
//! A user's uid is a label of the user's volume ([`labels::UID`]). A new user gets the lowest number
//! that no volume of the *Engine* has, in any instance, because all may share one kernel. Two servers
//! may look for a number at the same moment, and a label cannot be changed, so a server claims the
//! number before it makes a volume with it:
//!
//! ```text
//!  list ─► lowest free n ─► make the mark casemate-uid-n ─► list again ─► make the user's volume
//!              ▲            └ has another's claim ┐      └ has n ┐        └► still our claim?
//!              └──────────────────────────────────┴──────────────┘            └► claim goes
//! ```
//!
//! The Engine makes a mark of one name once, so only one claim of n exists at a time. A server
//! that has the claim and then sees no volume with n is alone: a volume that gets n later needs the
//! claim. The claim of a killed server keeps its number for [`STALE_CLAIM_TIMEOUT`]; then the next
//! server that looks removes it. A server that was suspended for that long finds its claim gone,
//! and makes its new volume again.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;
use tracing::{Instrument as _, debug, info};

use super::error::SandboxError;
use crate::config::Uids;
use crate::engine::{Capabilities, Engine, EngineError, UidRange, VolumeSummary, labels};
use crate::identity::Instance;

/// What names of claims begin with. No sandbox's volume is named so: its name ends in a hash.
const CLAIM_PREFIX: &str = "casemate-uid-";

/// A claim takes about a second; one that is this old is from a server that was killed.
const STALE_CLAIM_TIMEOUT: Duration = Duration::from_secs(10 * 60);

/// The uids that users have on an Engine with these settings.
pub fn uid_range(settings: &Uids, engine: &Capabilities) -> UidRange {
    let mapped = engine.rootless || engine.user_namespaces;
    UidRange::new(settings.first(mapped), settings.count)
}

/// Numbers that this server is about to use, so that its own users do not try the same one.
#[derive(Debug, Clone, Default)]
pub struct UidsInUse(Arc<Mutex<BTreeSet<u32>>>);

impl UidsInUse {
    /// The lowest of `uids` that is neither among `taken` nor among these.
    fn reserve(&self, uids: UidRange, taken: &BTreeSet<u32>) -> Option<UidReservation> {
        let mut ours = self.0.lock();
        let mut free = uids.iter();
        let uid = free.find(|uid| !taken.contains(uid) && !ours.contains(uid))?;
        ours.insert(uid);
        let of = self.clone();
        Some(UidReservation { uid, of })
    }
}

#[derive(Debug)]
struct UidReservation {
    uid: u32,
    of: UidsInUse,
}

impl Drop for UidReservation {
    fn drop(&mut self) {
        let mut ours = self.of.0.lock();
        ours.remove(&self.uid);
    }
}

/// The mark that shows a claim to all servers.
#[derive(Debug, Clone)]
struct ClaimMark {
    engine: Engine,
    uid: u32,
    /// Tells this claim from all others of its number, and the instance that made it.
    token: String,
}

impl ClaimMark {
    fn name(&self) -> String {
        format!("{CLAIM_PREFIX}{}", self.uid)
    }

    /// Makes it. `false`: another server has the number.
    async fn make(&self) -> Result<bool, EngineError> {
        let uid = self.uid.to_string();
        let labels = [(labels::UID, uid.as_str()), (labels::CLAIM, &self.token)];
        match self.engine.mark(&self.name(), &labels).await {
            Err(EngineError::Foreign { .. }) => Ok(false),
            made => made.map(|()| true),
        }
    }

    /// Whether it still exists: another server may have removed it as stale.
    async fn holds(&self) -> Result<bool, EngineError> {
        let found = self.engine.find_mark(&self.name()).await?;
        let own = |row: VolumeSummary| row.labels.get(labels::CLAIM) == Some(&self.token);
        Ok(found.is_some_and(own))
    }

    async fn release(self) {
        let released = match self.holds().await {
            Ok(true) => self.engine.remove_mark(&self.name()).await,
            other => other.map(drop),
        };
        if let Err(error) = released {
            let error = &error as &dyn std::error::Error;
            debug!(uid = self.uid, error, "its claim goes later");
        }
    }
}

/// A uid that no other volume gets while this exists. Released in the background when it is
/// dropped.
#[derive(Debug)]
pub struct UidClaim {
    mark: ClaimMark,
    /// The Engine may still be making a volume with the uid, even for a caller that is gone: then
    /// the claim stays until it is stale.
    pub is_asked_for: bool,
    _reserved: UidReservation,
    tasks: TaskTracker,
}

impl UidClaim {
    pub fn uid(&self) -> u32 {
        self.mark.uid
    }

    /// Whether no other server took it away as a stale one.
    pub async fn holds(&self) -> Result<bool, EngineError> {
        self.mark.holds().await
    }
}

impl Drop for UidClaim {
    fn drop(&mut self) {
        if self.is_asked_for {
            return;
        }
        if let Ok(runtime) = Handle::try_current() {
            let release = self.mark.clone().release().in_current_span();
            self.tasks.spawn_on(release, &runtime);
        }
    }
}

/// Claims uids for volumes that are about to be made.
#[derive(Debug, Clone)]
pub struct UidClaims {
    pub engine: Engine,
    pub instance: Instance,
    pub in_use: UidsInUse,
    /// The releases of claims, for which the end of the server waits.
    pub tasks: TaskTracker,
}

impl UidClaims {
    /// One of `uids` for a volume that is about to be made; `None` where all users share one.
    ///
    /// # Errors
    /// [`SandboxError::NoUid`], and the Engine's.
    pub async fn claim(&self, uids: UidRange) -> Result<Option<UidClaim>, SandboxError> {
        if uids.count() == 0 {
            return Ok(None);
        }
        let mut passed_over = BTreeSet::new();
        loop {
            let rows = self.engine.volumes_with_uid().await?;
            self.remove_stale(&rows).await;
            let mut taken: BTreeSet<u32> = rows.iter().filter_map(VolumeSummary::uid).collect();
            taken.extend(&passed_over);
            let Some(reserved) = self.in_use.reserve(uids, &taken) else {
                let count = uids.count();
                return Err(SandboxError::NoUid { count });
            };
            let uid = reserved.uid;
            if let Some(claim) = self.claim_number(reserved).await? {
                return Ok(Some(claim));
            }
            // A mark may have the name of its claim without the label; no listing shows that.
            passed_over.insert(uid);
        }
    }

    /// `None`: another server has the number, or is about to.
    async fn claim_number(
        &self,
        reserved: UidReservation,
    ) -> Result<Option<UidClaim>, EngineError> {
        let mark = ClaimMark {
            engine: self.engine.clone(),
            uid: reserved.uid,
            token: format!("{}/{}", self.instance, uuid::Uuid::new_v4().simple()),
        };
        if !mark.make().await? {
            return Ok(None);
        }
        let claim = UidClaim {
            mark,
            is_asked_for: false,
            _reserved: reserved,
            tasks: self.tasks.clone(),
        };
        // Since the first listing another server may have claimed it, used it and released it.
        let rows = self.engine.volumes_with_uid().await?;
        let has_it = |row: &VolumeSummary| !is_claim(row) && row.uid() == Some(claim.mark.uid);
        Ok((!rows.iter().any(has_it)).then_some(claim))
    }

    /// Removes the claims of servers that were killed: their numbers are free the next time.
    async fn remove_stale(&self, rows: &[VolumeSummary]) {
        let now = SystemTime::now();
        for row in rows.iter().filter(|row| is_stale(row, now)) {
            let mark = row.name.as_str();
            match self.engine.remove_mark(mark).await {
                Ok(()) => info!(mark, "removed the claim of a server that was killed"),
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    debug!(mark, error, "a stale claim stays");
                }
            }
        }
    }
}

fn is_claim(row: &VolumeSummary) -> bool {
    row.labels.contains_key(labels::CLAIM)
}

/// A claim of an unknown age, or from a clock that is ahead, is not stale.
fn is_stale(row: &VolumeSummary, now: SystemTime) -> bool {
    let age = row.created_at().and_then(|at| now.duration_since(at).ok());
    is_claim(row)
        && row.name.starts_with(CLAIM_PREFIX)
        && age.is_some_and(|age| age >= STALE_CLAIM_TIMEOUT)
}

#[cfg(test)]
#[path = "uids_tests.rs"]
mod tests;
