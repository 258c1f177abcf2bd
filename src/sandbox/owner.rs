//! The owner: the one task that changes a sandbox's state.
//!
//! It holds one wait for the container's removal, which is how the exit code of
//! a container that removes itself is known, and one channel to PID 1.

use std::sync::Arc;
use std::time::Duration;

use casemate_protocol::exit;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::egress::SandboxEgress;
use super::lease::{Lease, PendingNotice, Request};
use super::port_history::PortHistory;
use super::unused::UnusedWorkspaces;
use crate::audit::Audit;
use crate::engine::{EndedContainer, State};
use crate::provision::{
    Notice, Priority, Provisioner, REMOVAL_TIMEOUT, Reason, Removal, Running, SandboxError, Status,
    UNRESPONSIVE_TIMEOUT, connect_to,
};

/// Between two tries.
const OPEN_RETRY_INTERVAL: Duration = Duration::from_millis(300);

/// Takes the answer for a call that waits for its container.
type LeaseReply = oneshot::Sender<Result<Lease, SandboxError>>;

/// The state of one sandbox.
pub(super) struct Owner {
    pub(super) provisioner: Provisioner,
    pub(super) status: watch::Sender<Status>,
    running: Option<Running>,
    notice: PendingNotice,
    egress: SandboxEgress,
    last_end: Option<(Arc<str>, Reason)>,
    audit: Audit,
    unused: UnusedWorkspaces,
    ports: PortHistory,
}

impl Owner {
    pub(super) fn new(
        provisioner: Provisioner,
        status: watch::Sender<Status>,
        notice: PendingNotice,
        egress: SandboxEgress,
    ) -> Self {
        Self {
            provisioner,
            status,
            running: None,
            notice,
            egress,
            last_end: None,
            audit: Audit::off(),
            unused: UnusedWorkspaces::default(),
            ports: PortHistory::default(),
        }
    }

    /// The same, which notes in `ports` when its container ends.
    pub(super) fn noting_ends_in(self, ports: PortHistory) -> Self {
        Self { ports, ..self }
    }

    /// The same, which records in `audit` the workspace that it removes for its own.
    pub(super) fn removing(self, audit: Audit, unused: UnusedWorkspaces) -> Self {
        Self {
            audit,
            unused,
            ..self
        }
    }

    /// Serves requests until the server is `ending` or the last handle is dropped. Until it has
    /// `ended`, calls end what they run in the container. A long-lived container stays: another
    /// server may use it, and it ends itself when idle.
    pub(super) async fn run(
        mut self,
        mut requests: mpsc::Receiver<Request>,
        ending: CancellationToken,
        ended: CancellationToken,
    ) {
        self.serve_all(&mut requests, &ending).await;
        if self.running.is_some() {
            tokio::select! {
                () = ended.cancelled() => {}
                () = async { while requests.recv().await.is_some() {} } => {}
            }
        }
        if !self.provisioner.spec.is_long_lived() {
            self.retire().await;
        }
        if let Some(running) = &self.running {
            self.provisioner.context.capacity.left(&running.container);
        }
    }

    async fn serve_all(
        &mut self,
        requests: &mut mpsc::Receiver<Request>,
        ending: &CancellationToken,
    ) {
        loop {
            let request = tokio::select! {
                () = ending.cancelled() => return,
                end = gone(self.running.as_mut()) => {
                    self.forget(Reason::of(end), end.exit_code);
                    continue;
                }
                request = requests.recv() => match request {
                    Some(request) => request,
                    None => return,
                },
            };
            // Making a container can take long; at shutdown no call may use a new one.
            tokio::select! {
                () = ending.cancelled() => return,
                () = self.serve(request, requests) => {}
            }
        }
    }

    async fn serve(&mut self, request: Request, requests: &mut mpsc::Receiver<Request>) {
        match request {
            Request::Warm => match self.ready(None).await {
                // Calls have priority over a spare.
                Ok(())
                | Err(SandboxError::Full { .. } | SandboxError::TooManyWorkspaces { .. }) => {}
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    warn!(error, "could not warm the sandbox");
                }
            },
            Request::Lease(reply) if reply.is_closed() => {}
            Request::Lease(mut reply) => {
                let lease = self.lease(&mut reply).await;
                // The search for a workspace that can go stops with its caller: it says nothing of
                // the other requests.
                let is_full = matches!(lease, Err(SandboxError::TooManyWorkspaces { .. }));
                let is_broken_off = is_full && reply.is_closed();
                if let Err(error) = &lease
                    && !is_broken_off
                {
                    // The requests that came in the meantime would only fail in the same way.
                    while let Ok(Request::Lease(other)) = requests.try_recv() {
                        let _ = other.send(Err(error.clone()));
                    }
                }
                let _ = reply.send(lease);
            }
        }
    }

    async fn lease(&mut self, caller: &mut LeaseReply) -> Result<Lease, SandboxError> {
        self.ready(Some(caller)).await?;
        let running = self.running.as_ref().ok_or(SandboxError::Ending)?;
        Ok(Lease {
            channel: running.channel.clone(),
            container: running.container.clone(),
            last_end: self.last_end.clone(),
            denials: self.egress.denials().clone(),
        })
    }

    /// Makes sure that a container runs and its PID 1 answers: for a call, or as a spare.
    async fn ready(&mut self, caller: Option<&mut LeaseReply>) -> Result<(), SandboxError> {
        if let Some(running) = &self.running {
            if running.channel.is_open() {
                return Ok(());
            }
            self.reconnect().await?;
        }
        if self.running.is_none() {
            let name = self.provisioner.spec.next_name();
            let start = Instant::now();
            let made = self.bring_up(&name, caller).await;
            if made.is_ok() {
                self.provisioner
                    .engine()
                    .meter()
                    .brought_up(start.elapsed());
            }
            self.status.send_replace(match made {
                Ok(_) => Status::Running,
                Err(_) => Status::Absent,
            });
            let (running, notice) = made?;
            if let Some(notice) = notice {
                self.notice.put(notice);
            }
            if running.workspace_is_new {
                self.notice.workspace_is_new();
            }
            let capacity = &self.provisioner.context.capacity;
            capacity.occupied(&running.container, &running.channel);
            let context = &self.provisioner.context;
            self.egress.carry(context, &running).await;
            self.running = Some(running);
        }
        Ok(())
    }

    /// Makes the container, or finds it. For a call whose user has too many workspaces, one that is
    /// empty and unused goes first.
    async fn bring_up(
        &self,
        name: &str,
        caller: Option<&mut LeaseReply>,
    ) -> Result<(Running, Option<Notice>), SandboxError> {
        let priority = match caller {
            Some(_) => Priority::Call,
            None => Priority::Spare,
        };
        let bring_up = || self.provisioner.bring_up(name, priority, &self.status);
        let made = bring_up().await;
        let is_full = matches!(made, Err(SandboxError::TooManyWorkspaces { .. }));
        let Some(caller) = caller.filter(|_| is_full) else {
            return made;
        };
        match self
            .unused
            .remove_one(&self.provisioner, &self.audit, caller)
            .await?
        {
            true => bring_up().await,
            false => made,
        }
    }

    /// The channel has broken: opens another, or finds that the container is gone.
    async fn reconnect(&mut self) -> Result<(), SandboxError> {
        let Some(running) = &mut self.running else {
            return Ok(());
        };
        let give_up = Instant::now() + UNRESPONSIVE_TIMEOUT;
        while running.channel.last_words_now().is_none() {
            let error = match connect_to(self.provisioner.engine(), &running.container).await {
                Ok(channel) => {
                    let capacity = &self.provisioner.context.capacity;
                    capacity.occupied(&running.container, &channel);
                    running.channel = channel;
                    let context = &self.provisioner.context;
                    self.egress.carry(context, running).await;
                    self.provisioner.engine().meter().reconnected();
                    return Ok(());
                }
                Err(error) => error,
            };
            if !error.may_be_an_end() {
                return Err(error);
            }
            let found = self
                .provisioner
                .engine()
                .inspect(&running.container)
                .await?;
            match found.map(|found| found.state) {
                None | Some(State::Exited | State::Dead | State::Removing) => break,
                Some(State::Running) => {}
                Some(_) => return Err(error),
            }
            if Instant::now() > give_up {
                warn!(
                    container = &*running.container,
                    "PID 1 does not answer: removing"
                );
                self.provisioner.rename_stuck(&running.container).await?;
                self.forget(Reason::Unresponsive, None);
                return Ok(());
            }
            tokio::time::sleep(OPEN_RETRY_INTERVAL).await;
        }
        let said = running
            .channel
            .last_words_now()
            .map(|words| words.exit_code);
        if said == Some(exit::STUCK) {
            // The kernel keeps it until the last of its processes is gone.
            self.provisioner.rename_stuck(&running.container).await?;
            self.forget(Reason::Stuck, said);
            return Ok(());
        }
        let seen = timeout(REMOVAL_TIMEOUT, gone(Some(running)))
            .await
            .unwrap_or_default();
        let end = EndedContainer {
            exit_code: seen.exit_code.or(said),
            ..seen
        };
        self.forget(Reason::of(end), end.exit_code);
        Ok(())
    }

    /// Ends the container at once, with all that runs in it.
    async fn retire(&mut self) {
        let Some(running) = self.running.take() else {
            return;
        };
        debug!(container = &*running.container, "container retired");
        self.egress.stop();
        self.provisioner.context.capacity.left(&running.container);
        if let Err(error) = running.channel.retire_at_once().await {
            debug!(
                error = &error as &dyn std::error::Error,
                "PID 1 did not retire: removing"
            );
            if let Err(error) = self.provisioner.engine().remove(&running.container).await {
                let error = &error as &dyn std::error::Error;
                warn!(error, "it ends itself when its channel is gone");
            }
        }
    }

    fn forget(&mut self, reason: Reason, exit_code: Option<i64>) {
        if let Some(running) = self.running.take() {
            self.egress.stop();
            let (container, reason_said) = (&*running.container, reason.sentence());
            let meaning = exit_code.and_then(exit::meaning_of);
            let exit = meaning.map(|meaning| meaning.name);
            if meaning.is_some_and(|meaning| meaning.at_start) {
                warn!(
                    container,
                    reason = reason_said,
                    exit_code,
                    exit,
                    "container failed"
                );
            } else {
                info!(
                    container,
                    reason = reason_said,
                    exit_code,
                    exit,
                    "container ended"
                );
            }
            self.ports.container_ended(container);
            self.provisioner.engine().meter().ended(reason.word());
            self.provisioner.context.capacity.left(&running.container);
            self.last_end = Some((running.container, reason));
            self.notice.put(Notice::Restarted(reason));
            self.status.send_replace(Status::Absent);
        }
    }
}

/// Resolves when the container is gone, with how it ended. Never without a container.
async fn gone(running: Option<&mut Running>) -> EndedContainer {
    let Some(running) = running else {
        return std::future::pending().await;
    };
    let known = running.removal.wait_for(Removal::is_known).await;
    // An error: the task that waits has ended with the runtime.
    known.map(|known| known.end()).unwrap_or_default()
}
