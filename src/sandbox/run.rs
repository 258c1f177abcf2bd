//! Commands whose standard streams are passed on unchanged, at the pace of the slower side, for
//! `casemate exec`, which needs every byte.
//!
//! Unlike a command with a result ([`Command`](super::Command)), such a command ends with its
//! caller, cannot be gone on with, and has no time-out unless one is asked for. It uses the
//! standing channel: its caller is a program that runs nothing else.

use std::fmt;
use std::sync::Arc;

use casemate_protocol::StartRequest;
use casemate_protocol::failure::Code;
use casemate_protocol::run_output::Output;
use tokio::time::{Instant, sleep};

use super::command::LostCommand;
use super::exec::count;
use super::handle::{Containers, Sandbox};
use super::retry::RETRY_INTERVAL;
use super::wait::Wait;
use super::warm_pool::Slot;
use crate::channel::{CallError, Channel, CommandInput, CommandOutput};
use crate::meter::Meter;
use crate::provision::{AdmissionPermit, LEASE_TIMEOUT, Reason, SandboxError};

/// A command that runs. Dropped, it ends with all it started.
pub struct Run {
    input: Option<CommandInput>,
    output: CommandOutput,
    control: RunControl,
    meter: Meter,
    sent: Instant,
    _seat: Arc<Slot>,
    _turn: AdmissionPermit,
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Run").field(&self.control.id).finish()
    }
}

/// Signals and ends a command that runs.
#[derive(Debug, Clone)]
pub struct RunControl {
    channel: Channel,
    id: String,
}

impl RunControl {
    /// Sends a signal to the command's own process and its process group, as a terminal does.
    ///
    /// # Errors
    /// Those of every call.
    pub async fn signal(&self, signal: i32) -> Result<(), CallError> {
        self.channel.signal(&self.id, signal).await
    }

    /// Ends the command with all it started; the outcome follows.
    ///
    /// # Errors
    /// Those of every call.
    pub async fn kill(&self) -> Result<(), CallError> {
        self.channel.kill(&self.id).await
    }
}

impl Run {
    /// The command's standard input; once.
    pub fn take_input(&mut self) -> Option<CommandInput> {
        self.input.take()
    }

    /// Signals and ends it while it runs.
    pub fn control(&self) -> RunControl {
        self.control.clone()
    }

    /// The next output, and last the outcome. Can be dropped and called again.
    ///
    /// # Errors
    /// The sandbox is gone, or the way to it, and with it the command.
    pub async fn next(&mut self) -> Result<Output, LostCommand> {
        match self.output.next().await {
            Ok(output) => {
                if let Output::Finished(finished) = &output {
                    count(&self.meter, finished);
                }
                Ok(output)
            }
            Err(_) => {
                let words = self.control.channel.exit_report().await;
                Err(LostCommand {
                    reason: words.map(|words| Reason::from_exit_code(Some(words.exit_code))),
                    accepted: true,
                    after: self.sent.elapsed(),
                })
            }
        }
    }
}

impl Sandbox {
    /// Runs a command whose streams are the caller's. Returns when it was accepted.
    ///
    /// # Errors
    /// When it was not accepted; [`SandboxError::Deadline`] when that is not known: it ends then.
    pub async fn run(&self, mut request: StartRequest) -> Result<Run, SandboxError> {
        let deadline = Instant::now() + LEASE_TIMEOUT;
        let mut wait = Wait::new(&self.meter);
        let told = |ahead| self.waits(ahead);
        let turn = async {
            let turn = self.turn(deadline, told).await?;
            let slot = match &self.containers {
                Containers::Lasting(handle) => Slot::shared(handle.clone()),
                Containers::Fresh(pool) => pool.fresh(deadline, told).await?,
            };
            Ok((turn, slot))
        };
        let turn = self.unless_ending(turn).await;
        let (turn, slot) = turn.inspect_err(|error| wait.refused(error))?;
        loop {
            let lease = slot.handle.lease(deadline, told).await;
            let lease = lease.inspect_err(|error| wait.refused(error))?;
            wait.over();
            self.last_container.set(&lease.container);
            request.has_network = lease.denials.has_network();
            let channel = lease.channel;
            let sent = Instant::now();
            let error = match self.run_over(&channel, &request).await? {
                Ok((input, output)) => {
                    return Ok(Run {
                        input: Some(input),
                        output,
                        control: RunControl {
                            channel,
                            id: request.id,
                        },
                        meter: self.meter.clone(),
                        sent,
                        _seat: slot,
                        _turn: turn,
                    });
                }
                Err(not_accepted) => not_accepted,
            };
            if Instant::now() + RETRY_INTERVAL >= deadline {
                return Err(error);
            }
            sleep(RETRY_INTERVAL).await;
        }
    }

    /// Inside: it was certainly not accepted, and the next container may have it.
    async fn run_over(
        &self,
        channel: &Channel,
        request: &StartRequest,
    ) -> Result<Result<(CommandInput, CommandOutput), SandboxError>, SandboxError> {
        let sent = Instant::now();
        let error = match channel.run(request.clone()).await {
            Ok(streams) => return Ok(Ok(streams)),
            Err(CallError::Failed(failure)) if failure.code() == Code::Ending => {
                return Ok(Err(SandboxError::Failed(failure)));
            }
            Err(CallError::Failed(failure)) => return Err(SandboxError::Failed(failure)),
            Err(error) => SandboxError::from_call(error, sent.elapsed()),
        };
        let words = channel.exit_report().await;
        if words.is_some_and(|words| !words.accepted.contains(&request.id)) {
            return Ok(Err(error));
        }
        Err(error)
    }
}
