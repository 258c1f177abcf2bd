//! A workspace as a whole: copied out, and put back in place of another.
//!
//! ```text
//!  copy   the user's container, where one runs ── else a helper ──► archive, how it stood
//!  stage  mark, new volume, helper ─► fill ─► read it back ─► commit, or abandon
//! ```
//!
//! A helper container is a container of ours on one volume: as hardened as the user's, but without
//! a largest file, never adopted, and no command runs in it. It ends 30 s after its
//! server is gone. It counts against the limit of sandboxes, but does not wait for capacity:
//! only one server makes backups.

mod cleanup;
mod error;
mod evict;
mod export;
mod helper;
mod import;
mod last_use;
mod shared;

#[cfg(test)]
mod tests;

use std::time::Duration;

pub use crate::channel::Piece;
pub use error::StageError;
pub use export::{Consistency, Export, ExportPart, SnapshotReport};
pub use import::{Import, StagedVolume};
pub use last_use::WorkspaceLook;
pub use shared::{SharedStage, SharedStageError, make_head, shared_user};

use crate::engine::Engine;
use crate::identity::WorkspaceId;
use crate::provision::{Provisioner, SandboxError};

/// How long a stream may be silent, or a chunk not be taken: PID 1 looks at millions of entries in
/// silence, and hashing a hole of a terabyte takes this long. Pings find a dead connection.
const STALL_TIMEOUT: Duration = Duration::from_secs(15 * 60);

/// One workspace as a whole.
#[derive(Debug, Clone)]
pub struct Snapshots {
    provisioner: Provisioner,
    workspace: WorkspaceId,
}

impl Snapshots {
    /// Of the workspace whose containers `provisioner` makes. Does not reach for the Engine.
    pub fn new(provisioner: Provisioner) -> Self {
        Self {
            workspace: provisioner.spec.identity.workspace_id(),
            provisioner,
        }
    }

    /// Which workspace.
    pub fn workspace(&self) -> &WorkspaceId {
        &self.workspace
    }

    /// What tells workspaces apart in names.
    pub fn user_part(&self) -> &str {
        self.provisioner.spec.name.user_part()
    }

    /// The name of its sandbox.
    pub fn sandbox_name(&self) -> &str {
        self.provisioner.spec.name.as_str()
    }

    /// The Engine that has it.
    pub fn engine(&self) -> &Engine {
        self.provisioner.engine()
    }

    /// Whether the workspace is a directory of the host, and no volume.
    pub fn is_bound(&self) -> bool {
        self.provisioner.spec.is_bound()
    }

    /// The volume that is the workspace, and whether the user has no other: a restore that
    /// runs, or was killed, has one. `None` where there is no volume.
    ///
    /// # Errors
    /// The Engine's.
    pub async fn volume(&self) -> Result<Option<(String, bool)>, SandboxError> {
        let volumes = self.provisioner.volumes.list().await?;
        let is_there = !self.is_bound()
            && self
                .provisioner
                .engine()
                .has_volume(&volumes.current)
                .await?;
        let is_alone = volumes.old.is_empty() && volumes.pending.is_empty();
        let is_alone = is_alone && volumes.marks.is_empty();
        Ok(is_there.then_some((volumes.current, is_alone)))
    }

    /// Whether the workspace is a volume that has not the uid which a new one would have: one from
    /// before users had uids, or of another range than the settings name now.
    ///
    /// # Errors
    /// The Engine's.
    pub async fn has_old_uid(&self) -> Result<bool, SandboxError> {
        if self.volume().await?.is_none() {
            return Ok(false);
        }
        let uids = self.provisioner.context.uids().await?;
        let uid = self.provisioner.volumes.list().await?.uid;
        Ok(match uids.count() {
            0 => uid.is_some(),
            _ => uid.is_none_or(|uid| !uids.contains(uid)),
        })
    }

    /// Whether there is a workspace: one of a directory of the host always is.
    ///
    /// # Errors
    /// The Engine's.
    pub async fn exists(&self) -> Result<bool, SandboxError> {
        Ok(self.is_bound() || self.volume().await?.is_some())
    }
}
