//! A workspace, or all that one user has in the instance, taken away: the containers, and the files
//! with them.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use thiserror::Error;

use super::gc::hold::{self, HoldError};
use crate::audit::{Audit, AuditWriteError, AuditedRemoval};
use crate::engine::{Engine, EngineError, VolumeSummary, labels};
use crate::identity::{Instance, User, WorkspaceId};
use crate::provision::{SandboxError, owner, removal_order, survey_of};

/// A removal that was requested.
#[derive(Debug)]
pub struct WorkspaceRemoval {
    /// Where it is.
    pub engine: Engine,
    /// Where each removal is recorded.
    pub audit: Audit,
    /// Of which servers.
    pub instance: Instance,
    /// Whose, and which.
    pub scope: RemovalScope,
    /// The requester, for the record.
    pub reason: &'static str,
}

/// The parts that are removed.
#[derive(Debug, Clone)]
pub enum RemovalScope {
    /// All workspaces of a user.
    User(User),
    /// One.
    Workspace(WorkspaceId),
}

impl RemovalScope {
    fn user(&self) -> &User {
        match self {
            Self::User(user) => user,
            Self::Workspace(workspace) => &workspace.user,
        }
    }

    fn has(&self, found: &WorkspaceId) -> bool {
        match self {
            Self::User(user) => found.user == *user,
            Self::Workspace(workspace) => found == workspace,
        }
    }
}

/// The removed containers and volumes.
#[derive(Debug, Serialize)]
pub struct RemovedResources {
    /// Whose.
    pub user: String,
    /// The issuer that vouches for the user.
    pub issuer: String,
    /// The workspace, if only one was to go and it has a name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workspace: Option<String>,
    /// Names of containers.
    pub containers: Vec<String>,
    /// Names of volumes.
    pub volumes: Vec<String>,
}

/// Why something stays.
#[derive(Debug, Error)]
pub enum WorkspaceRemovalError {
    /// Somebody keeps it, or that is not known.
    #[error(transparent)]
    Hold(#[from] HoldError),
    /// The container of this name runs something.
    #[error("{0} is busy; wait until it is idle, or use --force to end what runs")]
    Busy(String),
    /// A removal that cannot be recorded is not made.
    #[error("not removed, because it could not be recorded")]
    NotRecorded(#[from] AuditWriteError),
    /// A container could not be ended.
    #[error(transparent)]
    Container(#[from] SandboxError),
    /// The Engine's.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl WorkspaceRemoval {
    /// Ends the containers, and with `files` removes the volumes. With `force` even while
    /// commands run. If it is killed in between, or a volume is in use, what was removed is gone; of
    /// the files the current workspace is left, or nothing (`removal_order`).
    ///
    /// # Errors
    /// [`WorkspaceRemovalError`]. Earlier removals stay.
    pub async fn run(
        &self,
        force: bool,
        files: bool,
    ) -> Result<RemovedResources, WorkspaceRemovalError> {
        let (engine, user) = (&self.engine, self.scope.user());
        if files {
            self.check_holds().await?;
        }
        let mut removed = RemovedResources {
            user: user.subject.as_str().to_owned(),
            issuer: user.issuer.as_str().to_owned(),
            workspace: match &self.scope {
                RemovalScope::User(_) => None,
                RemovalScope::Workspace(one) => one.name_str().map(str::to_owned),
            },
            containers: Vec::new(),
            volumes: Vec::new(),
        };
        for sandbox in survey_of(engine, &self.instance, user).await? {
            let Some(workspace) = self.owner(&sandbox.row.labels) else {
                continue;
            };
            let recorded = self
                .record("container", &sandbox.row.id, &workspace)
                .await?;
            let ended = sandbox.end(engine, force).await;
            if matches!(ended, Ok(false)) {
                recorded.end("kept: it is busy".to_owned()).await;
                return Err(WorkspaceRemovalError::Busy(sandbox.row.name));
            }
            recorded.done(ended).await?;
            removed.containers.push(sandbox.row.name);
        }
        if files {
            // Again: ending the containers takes time, in which a hold may have been placed.
            self.check_holds().await?;
            for (workspace, volumes) in self.volumes().await? {
                for volume in removal_order(&self.instance, &workspace, volumes) {
                    let recorded = self.record("volume", &volume.name, &workspace).await?;
                    let gone = engine.remove_volume(&volume.name).await;
                    recorded.done(gone).await?;
                    removed.volumes.push(volume.name);
                }
            }
        }
        Ok(removed)
    }

    /// The workspace of something with these labels, if it is to go.
    fn owner(&self, labels: &BTreeMap<String, String>) -> Option<WorkspaceId> {
        owner(labels).filter(|found| self.scope.has(found))
    }

    /// Nothing of a user is removed while one of the workspaces is held.
    async fn check_holds(&self) -> Result<(), HoldError> {
        let mut all: BTreeSet<WorkspaceId> = match &self.scope {
            RemovalScope::User(user) => [user.clone().into()].into(),
            RemovalScope::Workspace(one) => [one.clone()].into(),
        };
        all.extend(self.volumes().await?.into_keys());
        for workspace in all {
            hold::check(&self.engine, &self.instance, &workspace).await?;
        }
        Ok(())
    }

    async fn volumes(&self) -> Result<BTreeMap<WorkspaceId, Vec<VolumeSummary>>, EngineError> {
        let theirs = labels::user_filter(&self.instance, self.scope.user());
        let mut of = BTreeMap::<_, Vec<_>>::new();
        for volume in self.engine.list_volumes(&theirs).await? {
            if let Some(workspace) = self.owner(&volume.labels) {
                of.entry(workspace).or_default().push(volume);
            }
        }
        Ok(of)
    }

    async fn record(
        &self,
        what: &'static str,
        name: &str,
        workspace: &WorkspaceId,
    ) -> Result<AuditedRemoval, AuditWriteError> {
        AuditedRemoval::begin(&self.audit, what, name, Some(workspace), self.reason).await
    }
}
