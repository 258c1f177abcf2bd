//! Out: the whole workspace as an archive.

use std::time::Duration;

use casemate_protocol::backup_end::Consistency as Said;
use casemate_protocol::{BackupEnd, LeftOut};

use super::helper::{HelperContainer, HelperPurpose};
use super::{STALL_TIMEOUT, Snapshots};
use crate::channel::{Backup, Channel, Piece};
use crate::engine::{ContainerSummary, State};
use crate::provision::{SandboxError, broken_off, connect_to};

/// Whether a copy shows one point in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consistency {
    /// The user's processes were stopped.
    Stopped,
    /// Something ran, and nothing changed during the copy.
    Checked,
    /// Something changed during the copy.
    Changed,
}

/// How a workspace was while it was copied.
#[derive(Debug, Clone, PartialEq)]
pub struct SnapshotReport {
    /// Whether it is consistent.
    pub consistency: Consistency,
    /// How long the user's processes were stopped.
    pub stopped: Duration,
    /// How many were.
    pub processes: u32,
    /// Entries that were not copied.
    pub left_out: LeftOut,
}

/// A piece of an export.
pub type ExportPart = Piece<SnapshotReport>;

/// A copy on its way.
#[derive(Debug)]
pub struct Export {
    backup: Backup,
    /// Keeps the connection.
    _channel: Option<Channel>,
    helper: Option<HelperContainer>,
    snapshots: Snapshots,
    /// Containers on the workspace, other than where it is read.
    others: Vec<String>,
}

impl Snapshots {
    /// Begins a copy: in the user's own container where one runs, because only there the
    /// user's processes can be stopped.
    ///
    /// # Errors
    /// Those of every call.
    pub async fn copy(&self) -> Result<Export, SandboxError> {
        let provisioner = &self.provisioner;
        let rows = self.running().await?;
        let own = rows
            .iter()
            .find(|row| row.name == provisioner.spec.lasting_name());
        if let Some(own) = own.filter(|_| provisioner.spec.is_long_lived())
            && let Ok(channel) = connect_to(provisioner.engine(), &own.id).await
        {
            // One that ends just now says so, and then a helper container does it.
            if let Ok(backup) = channel.backup(false, STALL_TIMEOUT).await {
                return Ok(Export {
                    backup,
                    _channel: Some(channel),
                    helper: None,
                    snapshots: self.clone(),
                    others: Vec::new(),
                });
            }
        }
        let (workspace, run_as) = self.provisioner.workspace().await?;
        let helper = self
            .start_helper(HelperPurpose::Backup, workspace, run_as)
            .await?;
        let others = self.running().await?;
        // A restore fills another volume and does not disturb.
        let others = others.into_iter().filter(|row| !self.is_restore(row));
        let mut others: Vec<_> = others.map(|row| row.id).collect();
        others.retain(|id| *id != helper.id);
        match helper.backup(!others.is_empty()).await {
            Ok(backup) => Ok(Export {
                backup,
                _channel: None,
                helper: Some(helper),
                snapshots: self.clone(),
                others,
            }),
            Err(error) => {
                helper.close().await;
                Err(error)
            }
        }
    }
}

impl Export {
    /// The next piece; none after the end.
    ///
    /// # Errors
    /// [`SandboxError::BrokenOff`] when the container ended in the middle;
    /// [`SandboxError::Failed`] with what could not be read.
    pub async fn next(&mut self) -> Result<ExportPart, SandboxError> {
        let end = match self.backup.next(STALL_TIMEOUT).await.map_err(broken_off)? {
            Piece::Data(data) => return Ok(ExportPart::Data(data)),
            Piece::End(end) => end,
        };
        let mut report = report(end);
        if report.consistency == Consistency::Stopped && self.others_came().await? {
            report.consistency = Consistency::Checked;
        }
        Ok(ExportPart::End(report))
    }

    /// Whether a container of the user's has begun to run beside a helper container.
    async fn others_came(&self) -> Result<bool, SandboxError> {
        let Some(helper) = &self.helper else {
            return Ok(false);
        };
        let running = self.snapshots.running().await?;
        let known = |id: &String| *id == helper.id || self.others.contains(id);
        let mut running = running.iter().filter(|row| !self.snapshots.is_restore(row));
        Ok(running.any(|row| !known(&row.id)))
    }

    /// Ends what was needed for it.
    pub async fn close(self) {
        if let Some(helper) = self.helper {
            helper.close().await;
        }
    }
}

impl Snapshots {
    /// The containers of this workspace that run or are about to.
    pub(super) async fn running(&self) -> Result<Vec<ContainerSummary>, SandboxError> {
        let mut rows = self.not_over().await?;
        rows.retain(|row| !row.gives_an_owner());
        Ok(rows)
    }

    /// As [`Self::running`], with containers that give a volume its owner and never run.
    pub(super) async fn not_over(&self) -> Result<Vec<ContainerSummary>, SandboxError> {
        let labels = self.provisioner.spec.labels();
        let whose = labels.user_filter();
        let mut rows = self.provisioner.engine().list_containers(&whose).await?;
        let is_over = |row: &ContainerSummary| matches!(row.state, State::Exited | State::Dead);
        rows.retain(|row| labels.is_same_owner(&row.labels) && !is_over(row));
        Ok(rows)
    }
}

fn report(end: BackupEnd) -> SnapshotReport {
    SnapshotReport {
        consistency: match end.consistency() {
            Said::Stopped => Consistency::Stopped,
            Said::Checked => Consistency::Checked,
            Said::Changed | Said::Unspecified => Consistency::Changed,
        },
        stopped: Duration::from_millis(end.stopped_ms),
        processes: end.processes,
        left_out: end.left_out.unwrap_or_default(),
    }
}
