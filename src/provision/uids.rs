//! A uid for each user: the kernel counts much by uid over all containers (inotify, epoll, pipes,
//! signals, descriptors in flight), and one user's code at such a limit would be in the way of all.
//!
//! A user's uid is a label of the user's volume ([`labels::UID`]), and for its volumes to come: the
//! lowest number that no volume of the *Engine* has, whatever instance it is of, for they share one
//! kernel. Two servers may look for one at the same moment, and a label cannot be changed, so a
//! number is claimed before a volume says it:
//!
//! ```text
//!  list ─► lowest free n ─► make the volume casemate-uid-n ─► list again ─► make the user's volume
//!              ▲            └ has another's claim ┐        └ has n ┐        └► still our claim?
//!              └──────────────────────────────────┴────────────────┘            └► claim goes
//! ```
//!
//! The Engine makes a volume of one name once, so one claim of n is there at a time. Who has it and
//! then sees no volume with n is alone: a volume that gets n later needs the claim. One that a
//! killed server has left keeps its number for [`STALE_CLAIM_TIMEOUT`], and then whoever looks takes it away. A
//! server that was stopped for so long finds its claim gone, and makes its new volume again.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;
use tracing::{Instrument as _, debug, info};

use super::context::ServerContext;
use super::error::SandboxError;
use super::provisioner::Provisioner;
use crate::config::Uids;
use crate::engine::{
    Capabilities, ContainerSpec, Engine, EngineError, UidRange, VolumeSummary, Workspace, labels,
};

/// What names of claims begin with. No sandbox's volume is named so: its name ends in a hash.
const CLAIM_PREFIX: &str = "casemate-uid-";

/// A claim takes about a second; one that is this old is from a server that was killed.
const STALE_CLAIM_TIMEOUT: Duration = Duration::from_secs(10 * 60);

/// The uids that users have on an Engine with these settings.
pub fn uid_range(settings: &Uids, engine: &Capabilities) -> UidRange {
    let mapped = engine.rootless || engine.user_namespaces;
    UidRange::new(settings.first(mapped), settings.count)
}

/// Numbers that this server is about to use: its own users do not try the same one.
#[derive(Debug, Clone, Default)]
pub struct UidsInUse(Arc<Mutex<BTreeSet<u32>>>);

impl UidsInUse {
    /// The lowest of `uids` that is neither among `taken` nor among these.
    fn reserve(&self, uids: UidRange, taken: &BTreeSet<u32>) -> Option<UidReservation> {
        let mut ours = self.0.lock().unwrap_or_else(PoisonError::into_inner);
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
        let mut ours = self.of.0.lock().unwrap_or_else(PoisonError::into_inner);
        ours.remove(&self.uid);
    }
}

/// The volume that shows a claim to all servers.
#[derive(Debug, Clone)]
struct ClaimVolume {
    engine: Engine,
    uid: u32,
    /// Tells this claim from all others of its number.
    token: String,
}

impl ClaimVolume {
    fn name(&self) -> String {
        format!("{CLAIM_PREFIX}{}", self.uid)
    }

    /// Makes it. `false`: the number is another's.
    async fn make(&self) -> Result<bool, EngineError> {
        let uid = self.uid.to_string();
        let labels = [(labels::UID, uid.as_str()), (labels::CLAIM, &self.token)];
        match self.engine.mark(&self.name(), &labels).await {
            Err(EngineError::Foreign { .. }) => Ok(false),
            made => made.map(|()| true),
        }
    }

    /// Whether nobody took it away, as one of a server that was killed.
    async fn holds(&self) -> Result<bool, EngineError> {
        let found = self.engine.inspect_volume(&self.name()).await?;
        let own = |row: VolumeSummary| row.labels.get(labels::CLAIM) == Some(&self.token);
        Ok(found.is_some_and(own))
    }

    async fn release(self) {
        let released = match self.holds().await {
            Ok(true) => self.engine.remove_volume(&self.name()).await,
            other => other.map(drop),
        };
        if let Err(error) = released {
            let error = &error as &dyn std::error::Error;
            debug!(uid = self.uid, error, "its claim goes later");
        }
    }
}

/// A uid that nobody else gets as long as this is there. Released in the background when it is
/// dropped.
#[derive(Debug)]
struct UidClaim {
    volume: ClaimVolume,
    /// The Engine may still be making a volume with the uid, also for a caller that is gone: the
    /// claim stays until it is stale.
    is_asked_for: bool,
    _reserved: UidReservation,
    tasks: TaskTracker,
}

impl Drop for UidClaim {
    fn drop(&mut self) {
        if self.is_asked_for {
            return;
        }
        if let Ok(runtime) = Handle::try_current() {
            let release = self.volume.clone().release().in_current_span();
            self.tasks.spawn_on(release, &runtime);
        }
    }
}

impl ServerContext {
    /// The uids that users have here.
    pub async fn uids(&self) -> Result<UidRange, EngineError> {
        let capabilities = self.engine.capabilities().await?;
        Ok(uid_range(&self.config.uids, &capabilities))
    }
}

impl Provisioner {
    /// Makes the volume of `spec`, with `more` labels, and gives it to its user; then `spec` says
    /// who that is. It has the uid `own`, or one that nobody has; where users have none, it says
    /// none. Another server of the same user may be faster, and then it is as that one made it.
    ///
    /// # Errors
    /// [`SandboxError::NoUid`], and the Engine's.
    pub async fn make_volume(
        &self,
        spec: &mut ContainerSpec,
        more: &[(&str, String)],
        own: Option<u32>,
    ) -> Result<(), SandboxError> {
        let Workspace::Volume(volume) = spec.workspace.clone() else {
            return Ok(());
        };
        loop {
            let mut claim = match own {
                Some(_) => None,
                None => self.claim_uid().await?,
            };
            let uid = own.or(claim.as_ref().map(|claim| claim.volume.uid));
            let label = uid.map(|uid| (labels::UID, uid.to_string()));
            let made_for = [(labels::MADE_FOR, spec.made_for.clone())];
            let all: Vec<_> = more.iter().cloned().chain(made_for).chain(label).collect();
            if let Some(claim) = &mut claim {
                claim.is_asked_for = true;
            }
            let driver = &spec.volume_driver;
            let made = self
                .engine
                .ensure_volume(&volume, &spec.labels, &all, driver);
            let made = made.await?;
            spec.run_as = made.run_as();
            if let Some(claim) = &mut claim {
                let still_holds = claim.volume.holds().await?;
                claim.is_asked_for = false;
                // Another server may have made it meanwhile, and then it is that server's.
                let is_ours = made.labels.get(labels::MADE_FOR) == Some(&spec.made_for);
                if is_ours && !still_holds {
                    // It is empty, and somebody else may have its number.
                    self.engine.remove_volume(&volume).await?;
                    continue;
                }
            }
            return self.give_to_user(spec).await;
        }
    }

    /// The uid of the user's workspace, where its next volume is to have the same; `None` where it
    /// has none of its own, or one that the settings do not name any more.
    pub async fn uid_to_keep(&self) -> Result<Option<u32>, SandboxError> {
        let (uids, volumes) = (self.context.uids().await?, self.volumes().await?);
        Ok(volumes.uid.filter(|uid| uids.contains(*uid)))
    }

    /// Gives an empty volume to its user. It runs to its end even if the caller gives up: the
    /// container of a step that was cut off would keep the volume in use.
    pub async fn give_to_user(&self, spec: &ContainerSpec) -> Result<(), SandboxError> {
        let (engine, spec) = (self.engine.clone(), spec.clone());
        let give = async move { engine.give_to_user(&spec).await };
        let given = self.context.tasks.spawn(give.in_current_span()).await;
        // Dropped with the runtime.
        given.map_err(|_| SandboxError::Ending)?.map_err(Into::into)
    }

    /// The uid of a volume that is about to be made; `None` where all users share one.
    async fn claim_uid(&self) -> Result<Option<UidClaim>, SandboxError> {
        let uids = self.context.uids().await?;
        if uids.count() == 0 {
            return Ok(None);
        }
        let mut passed_over = BTreeSet::new();
        loop {
            let rows = self.engine.volumes_with_uid().await?;
            self.remove_stale(&rows).await;
            let mut taken: BTreeSet<u32> = rows.iter().filter_map(VolumeSummary::uid).collect();
            taken.extend(&passed_over);
            let Some(reserved) = self.context.uids_in_use.reserve(uids, &taken) else {
                let count = uids.count();
                return Err(SandboxError::NoUid { count });
            };
            let uid = reserved.uid;
            if let Some(claim) = self.claim(reserved).await? {
                return Ok(Some(claim));
            }
            // Also where a volume has the name of its claim and no label, which no listing shows.
            passed_over.insert(uid);
        }
    }

    /// `None`: somebody else has the number, or is about to.
    async fn claim(&self, reserved: UidReservation) -> Result<Option<UidClaim>, EngineError> {
        let volume = ClaimVolume {
            engine: self.engine.clone(),
            uid: reserved.uid,
            token: uuid::Uuid::new_v4().simple().to_string(),
        };
        if !volume.make().await? {
            return Ok(None);
        }
        let claim = UidClaim {
            volume,
            is_asked_for: false,
            _reserved: reserved,
            tasks: self.context.tasks.clone(),
        };
        // Since the first listing another server may have claimed it, used it and released it.
        let rows = self.engine.volumes_with_uid().await?;
        let has_it = |row: &VolumeSummary| !is_claim(row) && row.uid() == Some(claim.volume.uid);
        Ok((!rows.iter().any(has_it)).then_some(claim))
    }

    /// Removes the claims of servers that were killed: their numbers are free the next time.
    async fn remove_stale(&self, rows: &[VolumeSummary]) {
        let now = SystemTime::now();
        for row in rows.iter().filter(|row| is_stale(row, now)) {
            let volume = row.name.as_str();
            match self.engine.remove_volume(volume).await {
                Ok(()) => info!(volume, "removed the claim of a server that was killed"),
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    debug!(volume, error, "a stale claim stays");
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
