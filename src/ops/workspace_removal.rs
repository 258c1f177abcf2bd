//! All that one user has in the instance, taken away: the containers, and the files with them.

use serde::Serialize;
use thiserror::Error;

use super::gc::hold::{self, HoldError};
use super::removal::AuditedRemoval;
use crate::audit::{Audit, AuditWriteError};
use crate::engine::{Engine, EngineError, labels};
use crate::identity::{Instance, User};
use crate::provision::{SandboxError, removal_order, survey_of};

/// A removal that was requested.
#[derive(Debug)]
pub struct WorkspaceRemoval {
    /// Where it is.
    pub engine: Engine,
    /// Where each removal is recorded.
    pub audit: Audit,
    /// Of which servers.
    pub instance: Instance,
    /// Whose.
    pub user: User,
    /// The requester, for the record.
    pub reason: &'static str,
}

/// The removed containers and volumes.
#[derive(Debug, Serialize)]
pub struct RemovedResources {
    /// Whose.
    pub user: String,
    /// The issuer that vouches for the user.
    pub issuer: String,
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
    /// Ends the user's containers, and with `files` removes the volumes. With `force` even while
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
        let (engine, user) = (&self.engine, &self.user);
        if files {
            hold::check(engine, &self.instance, user).await?;
        }
        let mut removed = RemovedResources {
            user: user.subject.as_str().to_owned(),
            issuer: user.issuer.as_str().to_owned(),
            containers: Vec::new(),
            volumes: Vec::new(),
        };
        for sandbox in survey_of(engine, &self.instance, user).await? {
            let recorded = self.record("container", &sandbox.row.id).await?;
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
            hold::check(engine, &self.instance, user).await?;
            let theirs = labels::user_filter(&self.instance, user);
            let volumes = engine.list_volumes(&theirs).await?;
            for volume in removal_order(&self.instance, user, volumes) {
                let recorded = self.record("volume", &volume.name).await?;
                let gone = engine.remove_volume(&volume.name).await;
                recorded.done(gone).await?;
                removed.volumes.push(volume.name);
            }
        }
        Ok(removed)
    }

    async fn record(
        &self,
        what: &'static str,
        name: &str,
    ) -> Result<AuditedRemoval, AuditWriteError> {
        AuditedRemoval::begin(&self.audit, what, name, Some(&self.user), self.reason).await
    }
}
