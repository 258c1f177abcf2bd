//! Where calls run: the handle to the owner of one container.

use std::convert::Infallible;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::egress::SandboxDenials;
use crate::channel::Channel;
use crate::provision::{LEASE_TIMEOUT, Notice, Reason, SandboxError, Status};

/// The right to use the container as it is now.
#[derive(Debug)]
pub(super) struct Lease {
    pub channel: Channel,
    pub container: Arc<str>,
    /// The container before this one, and why it is gone.
    pub last_end: Option<(Arc<str>, Reason)>,
    /// What the container was refused.
    pub denials: SandboxDenials,
}

/// A request to the owner.
#[derive(Debug)]
pub(super) enum Request {
    Lease(oneshot::Sender<Result<Lease, SandboxError>>),
    Warm,
}

/// The notice for the next result. The owner sets it; a result takes it, so that an error in
/// between does not lose it.
#[derive(Debug, Clone, Default)]
pub(super) struct PendingNotice(Arc<Mutex<Option<Notice>>>);

impl PendingNotice {
    /// Of several notices the first stays: that the container is new.
    pub fn put(&self, notice: Notice) {
        let mut slot = self.0.lock();
        slot.get_or_insert(notice);
    }

    /// A user who had a container before had a workspace too, and it is gone with its files.
    pub fn workspace_is_new(&self) {
        let mut slot = self.0.lock();
        if let Some(Notice::Restarted(reason)) = *slot {
            *slot = Some(Notice::Emptied(reason));
        }
    }

    /// Returned once.
    pub fn take(&self) -> Option<Notice> {
        self.0.lock().take()
    }
}

/// A handle to one owner. Cheap to clone. When the last one is dropped the owner
/// ends, and with it a container that no other server may use.
#[derive(Debug, Clone)]
pub(super) struct OwnerHandle {
    pub requests: mpsc::Sender<Request>,
    pub status: watch::Receiver<Status>,
    pub notice: PendingNotice,
    /// Cancelled when the server ends.
    pub ending: CancellationToken,
}

impl OwnerHandle {
    /// Makes the container ready without a call. Returns at once.
    pub fn warm(&self) {
        // A full queue has calls in it that warm the sandbox too.
        let _ = self.requests.try_send(Request::Warm);
    }

    /// Waits for the container to be ready, until `deadline` or for [`LEASE_TIMEOUT`]. `told` is
    /// how many are ahead where there is no room for it.
    pub async fn lease(
        &self,
        deadline: Instant,
        told: impl Fn(usize),
    ) -> Result<Lease, SandboxError> {
        let start = Instant::now();
        let deadline = deadline.min(start + LEASE_TIMEOUT);
        let asked = async {
            let (reply, answer) = oneshot::channel();
            let sent = self.requests.send(Request::Lease(reply)).await;
            sent.map_err(|_| SandboxError::Ending)?;
            answer.await.map_err(|_| SandboxError::Ending)?
        };
        tokio::select! {
            () = self.ending.cancelled() => Err(SandboxError::Ending),
            never = self.tell_queued(told) => match never {},
            answer = timeout_at(deadline, asked) => answer.unwrap_or_else(|_| {
                Err(match *self.status.borrow() {
                    Status::Preparing => SandboxError::ImagePreparing,
                    Status::Queued { limit, .. } => SandboxError::Full { limit },
                    _ => SandboxError::NotReady(start.elapsed()),
                })
            }),
        }
    }

    async fn tell_queued(&self, told: impl Fn(usize)) -> Infallible {
        let mut status = self.status.clone();
        loop {
            if let Status::Queued { ahead, .. } = *status.borrow_and_update() {
                told(ahead);
            }
            if status.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }
}
