//! The workspace that is removed when a user is at the limit and asks for another: an empty one that is
//! neither in use nor held.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::{Mutex, oneshot};
use tokio::time::{Instant, sleep_until};
use tracing::{debug, info, warn};

use crate::audit::{Audit, AuditedRemoval};
use crate::engine::{EngineError, VolumeSummary, labels};
use crate::identity::{SandboxName, WorkspaceId};
use crate::provision::{Provisioner, SandboxError, held, owner, workspaces};
use crate::snapshot::{Snapshots, WorkspaceLook};

/// Workspaces of a user that are looked at together: each look is a helper container.
const LOOK_LIMIT: usize = 4;

/// How long a call waits for the search: the rest of its time is for its own sandbox.
const SEARCH_TIME_LIMIT: Duration = Duration::from_secs(20);

/// How long a workspace that has to stay is not looked at again.
const KEPT_TTL: Duration = Duration::from_secs(600);

/// The search for a workspace of one user that can go. One at a time; it remembers the volumes that
/// have to stay, with the time of that look: they had files, or a look did not tell what they have.
/// So a user whose workspaces cannot be looked at does not cause looks with every call. Cheap to
/// clone.
#[derive(Debug, Clone, Default)]
pub(super) struct UnusedWorkspaces(Arc<Mutex<HashMap<String, Instant>>>);

/// A workspace that may go.
struct Candidate {
    workspace: WorkspaceId,
    volume: VolumeSummary,
    snapshots: Snapshots,
}

impl UnusedWorkspaces {
    /// Removes a workspace of the user that has a name, is empty, is not held, and has no container:
    /// of the oldest ones the one that was unused for longest. `false`: none was found before
    /// `caller` gave up.
    ///
    /// # Errors
    /// The Engine's.
    pub async fn remove_one<T>(
        &self,
        provisioner: &Provisioner,
        audit: &Audit,
        caller: &mut oneshot::Sender<T>,
    ) -> Result<bool, SandboxError> {
        let mut kept = tokio::select! {
            biased;
            () = caller.closed() => return Ok(false),
            kept = self.0.lock() => kept,
        };
        kept.retain(|_, looked| looked.elapsed() < KEPT_TTL);
        let end = Instant::now() + SEARCH_TIME_LIMIT;
        let mut candidates = candidates(provisioner).await?;
        candidates.retain(|candidate| !kept.contains_key(&candidate.volume.name));
        candidates.sort_by_key(|candidate| candidate.volume.created_at());
        for some in candidates.chunks(LOOK_LIMIT) {
            // No look is broken off: its helper container would stay for a while.
            let _permit = tokio::select! {
                biased;
                () = caller.closed() => break,
                () = sleep_until(end) => break,
                permit = provisioner.context.searches.acquire() => permit,
            };
            let looks = join_all(some.iter().map(|candidate| candidate.snapshots.look())).await;
            let mut empty = Vec::new();
            for (candidate, look) in some.iter().zip(looks) {
                match look {
                    // One whose last use is not known counts as used now.
                    Ok(look) if look.is_empty && look.used.is_some() => {
                        empty.push((look, candidate));
                    }
                    Ok(_) => {
                        kept.insert(candidate.volume.name.clone(), Instant::now());
                    }
                    Err(error) => {
                        kept.insert(candidate.volume.name.clone(), Instant::now());
                        let error = &error as &dyn std::error::Error;
                        debug!(volume = candidate.volume.name, error, "not looked at");
                    }
                }
            }
            empty.sort_by_key(|(look, _)| look.used);
            for (look, candidate) in empty {
                if candidate.remove(provisioner, audit, look).await? {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }
}

/// Those that are neither in use nor held.
async fn candidates(provisioner: &Provisioner) -> Result<Vec<Candidate>, SandboxError> {
    let (context, identity) = (&provisioner.context, &provisioner.spec.identity);
    let instance = &context.config.instance;
    let ours = [(labels::INSTANCE, instance.as_str())];
    let volumes = context.engine.list_volumes(&ours).await?;
    let theirs = labels::user_filter(instance, &identity.user);
    let containers = context.engine.list_containers(&theirs).await?;
    let in_use: BTreeSet<_> = containers
        .iter()
        .filter_map(|row| owner(&row.labels))
        .collect();
    let held = held(&volumes);
    let may_go = |workspace: &WorkspaceId| {
        let name = SandboxName::new(instance, workspace);
        workspace.user == identity.user
            && workspace.name.is_some()
            && !in_use.contains(workspace)
            && !held.contains(name.as_str())
    };
    let all = workspaces(instance, &volumes).into_iter();
    let candidate = |(workspace, volume): (WorkspaceId, &VolumeSummary)| {
        let identity = identity.clone().in_workspace(workspace.name.clone());
        Candidate {
            snapshots: Snapshots::new(Provisioner::new(context, &identity)),
            volume: volume.clone(),
            workspace,
        }
    };
    Ok(all
        .filter(|(workspace, _)| may_go(workspace))
        .map(candidate)
        .collect())
}

impl Candidate {
    /// Removes the volume, if it still is as in `look`. The Engine refuses while a container has it.
    async fn remove(
        &self,
        provisioner: &Provisioner,
        audit: &Audit,
        look: WorkspaceLook,
    ) -> Result<bool, SandboxError> {
        let volume = self.volume.name.as_str();
        let is_alone =
            matches!(self.snapshots.volume().await?, Some((name, true)) if name == volume);
        if !is_alone || self.snapshots.look().await? != look || self.snapshots.is_in_use().await? {
            return Ok(false);
        }
        let reason = "empty and unused, and its user needs another";
        let begun = AuditedRemoval::begin(audit, "volume", volume, Some(&self.workspace), reason);
        let recorded = match begun.await {
            Ok(recorded) => recorded,
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                warn!(
                    volume,
                    error, "not removed, because it could not be recorded"
                );
                return Ok(false);
            }
        };
        let removed = provisioner.engine().remove_volume(volume).await;
        match recorded.done(removed).await {
            Ok(()) => {
                info!(volume, user = %self.workspace, "removed an empty workspace for another");
                Ok(true)
            }
            Err(EngineError::InUse { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}
