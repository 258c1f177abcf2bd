//! Starts the owners of one user's containers.

use std::future::Future;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, info_span};

use super::egress::{SandboxEgress, ServerEgress};
use super::lease::{OwnerHandle, PendingNotice};
use super::owner::Owner;
use super::port_history::PortHistory;
use super::unused::UnusedWorkspaces;
use crate::audit::Audit;
use crate::provision::{Provisioner, Status};

/// Requests that wait for one owner: all calls of a user that may run at once
/// ask for a lease, and nothing else is queued here.
const REQUEST_BUFFER: usize = 256;

/// Starts owners of one user's containers.
#[derive(Debug)]
pub(super) struct OwnerSpawner {
    pub provisioner: Provisioner,
    pub egress: Arc<ServerEgress>,
    pub audit: Audit,
    pub unused: UnusedWorkspaces,
    pub ports: PortHistory,
    pub ending: CancellationToken,
    pub ended: CancellationToken,
}

impl OwnerSpawner {
    /// An owner without a container yet.
    pub fn spawn_owner(&self) -> OwnerHandle {
        // The owner outlives the call that comes first: its span is no part of that call's.
        let spec = &self.provisioner.spec;
        let (user, name) = (spec.identity.workspace_id(), spec.name.as_str());
        let span = info_span!(parent: None, "sandbox", %user, name);
        let (requests, receiver) = mpsc::channel(REQUEST_BUFFER);
        let (status_sender, status) = watch::channel(Status::Absent);
        let notice = PendingNotice::default();
        let egress = SandboxEgress::new(&self.egress, &self.provisioner.spec.identity);
        let provisioner = self.provisioner.clone();
        let owner = Owner::new(provisioner, status_sender, notice.clone(), egress);
        let owner = owner.removing(self.audit.clone(), self.unused.clone());
        let owner = owner.noting_ends_in(self.ports.clone());
        let run = owner.run(receiver, self.ending.clone(), self.ended.clone());
        self.provisioner.context.tasks.spawn(run.instrument(span));
        OwnerHandle {
            requests,
            status,
            notice,
            ending: self.ending.clone(),
        }
    }

    /// Runs this until it ends or the server does.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let task = until(self.ended.clone(), task);
        self.provisioner.context.tasks.spawn(task);
    }
}

/// Runs `task` until the server has `ended`.
pub(super) async fn until(ended: CancellationToken, task: impl Future<Output = ()>) {
    tokio::select! {
        () = task => {}
        () = ended.cancelled() => {}
    }
}
