//! One command through whatever happens to the channel and the container.
//!
//! ```text
//! lease ─► start ─► accepted ─► progress … ─┬─► finished
//!   ▲        │          │                    └─► the caller's patience ends ─► detach: running
//!   │        └── broke ─┴─ same container: start or watch again, the id is known there
//!   └─────────────────────  other container: run there only if the old one said
//!                           that it had not accepted it; else lost
//! ```

use std::sync::Arc;
use std::time::Duration;

use casemate_protocol::failure::Code;
use casemate_protocol::{Finished, command_event::Event};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::command::{Command, ExecOutcome, LostCommand, ProgressUpdate, WaitOptions};
use super::lease::{Lease, OwnerHandle};
use super::retry::RETRY_INTERVAL;
use super::wait::Wait;
use crate::channel::{CallError, Channel, CommandEvents};
use crate::provision::{Reason, SandboxError};

/// After a command's own deadline, or its caller's patience, there is an answer within
/// this time, also when PID 1 is silent: killing a tree takes TERM's grace and some
/// passes. The caller may count on 5 s; the rest is for the answer's own way.
const OUTCOME_GRACE: Duration = Duration::from_secs(4);

/// How long it is tried to detach a command from a sandbox that is silent. PID 1 takes
/// silence of 90 s for the end of its server, and ends its commands then.
const DETACH_TIMEOUT: Duration = Duration::from_secs(120);

/// After a cancelled call, how long its command's end is waited for.
const CANCEL_GRACE: Duration = Duration::from_secs(2);

/// Where a command is known to be.
struct Assignment {
    container: Arc<str>,
    channel: Channel,
}

/// One command on its way to an answer.
pub(super) struct Execution<'a> {
    handle: &'a OwnerHandle,
    command: Command,
    follow: &'a WaitOptions<'a>,
    /// Where it was sent last. It may have been accepted there.
    assignment: Option<Assignment>,
    /// PID 1 said that it runs it.
    accepted: bool,
    /// When it was sent first.
    sent: Option<Instant>,
    /// Of its caller; `None`: nobody waits for the container.
    wait: Option<Wait>,
}

impl<'a> Execution<'a> {
    /// Not sent yet.
    pub fn new(handle: &'a OwnerHandle, command: Command, follow: &'a WaitOptions<'a>) -> Self {
        Self {
            handle,
            accepted: matches!(command, Command::Resume { .. }),
            command,
            follow,
            assignment: None,
            sent: None,
            wait: None,
        }
    }

    /// The same, for a caller who waits since then.
    pub fn waiting(self, wait: Wait) -> Self {
        let wait = Some(wait);
        Self { wait, ..self }
    }

    /// Where it was sent last.
    pub fn container(&self) -> Option<&Arc<str>> {
        self.assignment
            .as_ref()
            .map(|assignment| &assignment.container)
    }

    /// Until its outcome is known, or for the caller's patience.
    pub async fn run(&mut self) -> Result<ExecOutcome, SandboxError> {
        loop {
            let lease = match self.lease().await {
                Ok(lease) => lease,
                Err(error) => {
                    if self.assignment.is_none() {
                        if let Some(mut wait) = self.wait.take() {
                            wait.refused(&error);
                        }
                        return Err(error);
                    }
                    if self.is_over() {
                        return Ok(self.given_up());
                    }
                    sleep(RETRY_INTERVAL).await;
                    continue;
                }
            };
            if let Some(mut wait) = self.wait.take() {
                wait.over();
            }
            if let Some(lost) = self.lost_with(&lease).await {
                return Ok(lost);
            }
            self.assignment = Some(Assignment {
                container: lease.container,
                channel: lease.channel.clone(),
            });
            let sent = *self.sent.get_or_insert_with(Instant::now);
            let over = sent + self.time() + OUTCOME_GRACE;
            let followed = timeout_at(over, self.follow(&lease.channel, sent)).await;
            match followed.unwrap_or_else(|_| Err(CallError::Deadline(over - sent))) {
                Ok(executed) => return Ok(executed),
                Err(CallError::Failed(failure)) if failure.code() == Code::Ending => {
                    // It was not accepted, and the next container may have it.
                    self.assignment = None;
                    self.sent = None;
                }
                // Of a command that was sent: it was run there and is forgotten.
                Err(CallError::Failed(failure))
                    if failure.code() == Code::UnknownCommand && self.is_start() =>
                {
                    self.accepted = true;
                    return Ok(self.lost(None));
                }
                Err(CallError::Failed(failure)) => return Err(SandboxError::Failed(failure)),
                Err(CallError::Lost(_) | CallError::Deadline(_)) if self.is_over() => {
                    return Ok(self.given_up());
                }
                Err(CallError::Lost(_) | CallError::Deadline(_)) => {}
            }
            sleep(RETRY_INTERVAL).await;
        }
    }

    /// A command that was sent already waits for the sandbox as long as its own
    /// outcome may take; one that was not gets the time of any call.
    async fn lease(&self) -> Result<Lease, SandboxError> {
        let forever = Instant::now() + Duration::from_secs(3600);
        let told = |ahead| self.follow.waits(ahead);
        self.handle
            .lease(self.deadline().unwrap_or(forever), told)
            .await
    }

    fn is_start(&self) -> bool {
        matches!(self.command, Command::Start(_))
    }

    fn id(&self) -> &str {
        match &self.command {
            Command::Start(request) => &request.id,
            Command::Resume { id, .. } => id,
        }
    }

    /// How long the call may take once the command was sent.
    fn time(&self) -> Duration {
        match &self.command {
            Command::Start(request) => self
                .follow
                .wait
                .min(Duration::from_millis(request.timeout_ms)),
            Command::Resume { .. } => self.follow.wait,
        }
    }

    /// When there must be an answer; counts from the first try.
    fn deadline(&self) -> Option<Instant> {
        self.sent.map(|sent| sent + self.time() + OUTCOME_GRACE)
    }

    fn is_over(&self) -> bool {
        self.deadline()
            .is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// The answer when the time is over and PID 1 is silent. A command that may still
    /// run, and whose result will be there, is not lost.
    fn given_up(&self) -> ExecOutcome {
        if let Command::Start(request) = &self.command {
            let ended = self.follow.wait >= Duration::from_millis(request.timeout_ms);
            if ended || !self.accepted {
                return self.lost(None);
            }
            self.detach_later();
        }
        ExecOutcome::Silent {
            id: self.id().to_owned(),
            after: self.sent.map_or(Duration::ZERO, |sent| sent.elapsed()),
        }
    }

    /// As soon as PID 1 answers: it ends what nobody watches and was not detached.
    fn detach_later(&self) {
        let (handle, id) = (self.handle.clone(), self.id().to_owned());
        tokio::spawn(async move {
            let end = Instant::now() + DETACH_TIMEOUT;
            while Instant::now() < end {
                if let Ok(lease) = handle.lease(end, |_| {}).await {
                    match lease.channel.detach(&id).await {
                        Ok(_) | Err(CallError::Failed(_)) => return,
                        Err(CallError::Lost(_) | CallError::Deadline(_)) => {}
                    }
                }
                tokio::select! {
                    () = sleep(RETRY_INTERVAL) => {}
                    () = handle.ending.cancelled() => return,
                }
            }
        });
    }

    fn lost(&self, reason: Option<Reason>) -> ExecOutcome {
        let after = self.sent.map_or(Duration::ZERO, |sent| sent.elapsed());
        ExecOutcome::Lost(LostCommand {
            reason,
            accepted: self.accepted,
            after,
        })
    }

    /// Whether the command went down with another container than this one.
    async fn lost_with(&mut self, lease: &Lease) -> Option<ExecOutcome> {
        let assignment = self.assignment.as_ref()?;
        if assignment.container == lease.container {
            return None;
        }
        let exit_report = assignment.channel.exit_report().await;
        if exit_report.is_some_and(|words| !words.accepted.contains(self.id())) {
            self.sent = None;
            return None;
        }
        let reason = match &lease.last_end {
            Some((container, reason)) if *container == assignment.container => *reason,
            _ => Reason::Gone,
        };
        Some(self.lost(Some(reason)))
    }

    /// Starts the command, or finds it, and follows it to its outcome or to the
    /// end of the caller's patience.
    async fn follow(&mut self, channel: &Channel, sent: Instant) -> Result<ExecOutcome, CallError> {
        let known = self.follow.progress.borrow().offset();
        let mut events = match &self.command {
            Command::Start(request) => channel.start(request.clone()).await?,
            Command::Resume { id, stop } => {
                if *stop {
                    channel.kill(id).await?;
                }
                channel.watch(id, known).await?
            }
        };
        let patience = sent + self.follow.wait;
        let finished = match timeout_at(patience, self.outcome(&mut events)).await {
            Ok(finished) => finished?,
            Err(_) => {
                let id = self.id().to_owned();
                let mut reply = channel.detach(&id).await?;
                match reply.finished.take() {
                    None => return Ok(ExecOutcome::Running(id, Box::new(reply))),
                    Some(finished) => finished,
                }
            }
        };
        match finished.failure {
            Some(failure) => Err(CallError::Failed(failure)),
            None => Ok(ExecOutcome::Finished(Box::new(finished))),
        }
    }

    async fn outcome(&mut self, events: &mut CommandEvents) -> Result<Finished, CallError> {
        loop {
            match events.next().await? {
                Event::Accepted(_) => self.accepted = true,
                Event::Progress(progress) => {
                    self.follow
                        .progress
                        .send_replace(ProgressUpdate::Output(progress));
                }
                Event::Finished(finished) => return Ok(finished),
            }
        }
    }

    /// Ends the command, and gives its outcome if that is soon known. One whose
    /// caller was told that it runs lives on.
    pub async fn cancel(&mut self, why: SandboxError) -> Result<ExecOutcome, SandboxError> {
        let (Some(assignment), Command::Start(request)) = (&self.assignment, &self.command) else {
            return Err(why);
        };
        let (channel, id) = (assignment.channel.clone(), request.id.clone());
        let end = async {
            channel.kill(&id).await?;
            self.outcome(&mut channel.watch(&id, 0).await?).await
        };
        match timeout(CANCEL_GRACE, end).await {
            Ok(Ok(finished)) => Ok(ExecOutcome::Finished(Box::new(finished))),
            // PID 1 ends what nobody watches.
            _ => Err(why),
        }
    }
}
