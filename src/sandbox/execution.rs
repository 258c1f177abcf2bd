//! One command, while its channel may break and its container may be replaced.
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
use super::egress::{NetworkReport, SandboxDenials};
use super::lease::{Lease, OwnerHandle};
use super::retry::RETRY_INTERVAL;
use super::wait::Wait;
use crate::channel::{CallError, Channel, CommandEvents};
use crate::provision::{Reason, SandboxError};

/// After a command's own deadline, or its caller's wait, there is an answer within this
/// time, also when PID 1 is silent: killing a tree takes TERM's grace and some
/// passes. The caller may count on 5 s; the rest is for the answer's own way.
const OUTCOME_GRACE: Duration = Duration::from_secs(4);

/// How long the server tries to detach a command from a sandbox that is silent. PID 1 treats
/// silence of 90 s as the end of its server, and ends its commands then.
const DETACH_TIMEOUT: Duration = Duration::from_secs(120);

/// After a cancelled call, how long its command's end is waited for.
const CANCEL_GRACE: Duration = Duration::from_secs(2);

/// How far a command is on its way.
enum Phase {
    /// No container has it. With the wait of its caller, if one waits for a container.
    Unsent(Option<Wait>),
    /// A container may run it.
    Sent(Box<Attempt>),
}

/// The container that a command was sent to last.
struct Attempt {
    container: Arc<str>,
    channel: Channel,
    denials: SandboxDenials,
    /// When the command was sent first. A container that certainly did not accept it does not count.
    at: Instant,
    /// PID 1 said that it runs the command.
    accepted: bool,
}

/// One command on its way to an answer.
pub(super) struct Execution<'a> {
    handle: &'a OwnerHandle,
    command: Command,
    follow: &'a WaitOptions<'a>,
    phase: Phase,
}

impl<'a> Execution<'a> {
    /// Not sent yet.
    pub fn new(handle: &'a OwnerHandle, command: Command, follow: &'a WaitOptions<'a>) -> Self {
        Self {
            handle,
            command,
            follow,
            phase: Phase::Unsent(None),
        }
    }

    /// The same, for a caller whose `wait` has begun.
    pub fn waiting(self, wait: Wait) -> Self {
        let phase = Phase::Unsent(Some(wait));
        Self { phase, ..self }
    }

    /// Where it was sent last.
    pub fn container(&self) -> Option<&Arc<str>> {
        self.attempt().map(|attempt| &attempt.container)
    }

    /// What the network refused while the command ran. `is_over`: its outcome is known.
    pub async fn network(&self, is_over: bool) -> Option<Box<NetworkReport>> {
        let denials = &self.attempt()?.denials;
        let report = denials.during(self.id()).await;
        if is_over {
            denials.end(self.id());
        }
        report
    }

    fn attempt(&self) -> Option<&Attempt> {
        match &self.phase {
            Phase::Sent(attempt) => Some(attempt),
            Phase::Unsent(_) => None,
        }
    }

    /// It goes to this container. When it was sent first.
    fn send_to(&mut self, lease: Lease) -> Instant {
        let (at, accepted) = match &mut self.phase {
            Phase::Sent(attempt) => (attempt.at, attempt.accepted),
            Phase::Unsent(wait) => {
                if let Some(wait) = wait {
                    wait.over();
                }
                (Instant::now(), false)
            }
        };
        if let Command::Start(request) = &mut self.command {
            request.has_network = lease.denials.has_network();
            let timeout = Duration::from_millis(request.timeout_ms);
            lease.denials.begin(&request.id, timeout);
        }
        self.phase = Phase::Sent(Box::new(Attempt {
            container: lease.container,
            channel: lease.channel,
            denials: lease.denials,
            at,
            accepted,
        }));
        at
    }

    /// A command that is resumed was accepted before.
    fn is_accepted(&self) -> bool {
        !self.is_start() || self.attempt().is_some_and(|attempt| attempt.accepted)
    }

    fn accept(&mut self) {
        if let Phase::Sent(attempt) = &mut self.phase {
            attempt.accepted = true;
        }
    }

    /// Runs until its outcome is known, or until the caller's wait is over.
    pub async fn run(&mut self) -> Result<ExecOutcome, SandboxError> {
        loop {
            let lease = match self.lease().await {
                Ok(lease) => lease,
                Err(error) => {
                    if let Phase::Unsent(wait) = &mut self.phase {
                        if let Some(wait) = wait {
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
            if let Some(lost) = self.lost_with(&lease).await {
                return Ok(lost);
            }
            let channel = lease.channel.clone();
            let sent = self.send_to(lease);
            let over = sent + self.time() + OUTCOME_GRACE;
            let followed = timeout_at(over, self.follow(&channel, sent)).await;
            match followed.unwrap_or_else(|_| Err(CallError::Deadline(over - sent))) {
                Ok(executed) => return Ok(executed),
                Err(CallError::Failed(failure)) if failure.code() == Code::Ending => {
                    // It was not accepted, and the next container may have it.
                    self.phase = Phase::Unsent(None);
                }
                // PID 1 ran the command that was sent to it, and has forgotten it.
                Err(CallError::Failed(failure))
                    if failure.code() == Code::UnknownCommand && self.is_start() =>
                {
                    self.accept();
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

    /// When there must be an answer; counts from the moment when the command was sent first.
    fn deadline(&self) -> Option<Instant> {
        self.attempt()
            .map(|attempt| attempt.at + self.time() + OUTCOME_GRACE)
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
            if ended || !self.is_accepted() {
                return self.lost(None);
            }
            self.detach_later();
        }
        ExecOutcome::Silent {
            id: self.id().to_owned(),
            after: self.elapsed(),
        }
    }

    /// Since it was sent.
    fn elapsed(&self) -> Duration {
        self.attempt()
            .map_or(Duration::ZERO, |attempt| attempt.at.elapsed())
    }

    /// Detaches it as soon as PID 1 answers: PID 1 ends commands that are neither watched nor
    /// detached.
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
        ExecOutcome::Lost(LostCommand {
            reason,
            accepted: self.is_accepted(),
            after: self.elapsed(),
        })
    }

    /// Whether the command was lost with a container before this one.
    async fn lost_with(&mut self, lease: &Lease) -> Option<ExecOutcome> {
        let attempt = self.attempt()?;
        if attempt.container == lease.container {
            return None;
        }
        let exit_report = attempt.channel.exit_report().await;
        // What was accepted once is never sent again, whatever a report lacks.
        let is_sendable = !self.is_accepted();
        if is_sendable && exit_report.is_some_and(|words| !words.accepted.contains(self.id())) {
            self.phase = Phase::Unsent(None);
            return None;
        }
        let reason = match &lease.last_end {
            Some((container, reason)) if *container == attempt.container => *reason,
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
                Event::Accepted(_) => self.accept(),
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
        let (Some(attempt), Command::Start(request)) = (self.attempt(), &self.command) else {
            return Err(why);
        };
        let (channel, id) = (attempt.channel.clone(), request.id.clone());
        let end = async {
            channel.kill(&id).await?;
            self.outcome(&mut channel.watch(&id, 0).await?).await
        };
        match timeout(CANCEL_GRACE, end).await {
            Ok(Ok(finished)) => Ok(ExecOutcome::Finished(Box::new(finished))),
            // PID 1 ends commands that no server watches.
            _ => Err(why),
        }
    }
}
