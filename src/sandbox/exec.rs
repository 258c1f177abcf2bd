//! A command of a caller: its turn, its container, its outcome.

use casemate_protocol::{Captured, Finished, Outcome};
use tokio::time::Instant;

use super::command::{Command, ExecOutcome, ExecReport, WaitOptions};
use super::execution::Execution;
use super::handle::{Answer, Containers, Sandbox};
use super::lease::OwnerHandle;
use super::wait::Wait;
use super::warm_pool::{CommandLocation, Slot};
use crate::meter::Meter;
use crate::provision::{LEASE_TIMEOUT, SandboxError};

impl Sandbox {
    /// Runs a command, or resumes one.
    ///
    /// # Errors
    /// When it was certainly not run: no sandbox, no shell, a wrong `cwd`; and
    /// `UNKNOWN_COMMAND` for an id that this user's sandbox does not know.
    pub async fn exec(
        &self,
        command: Command,
        follow: WaitOptions<'_>,
    ) -> Result<Answer<ExecReport>, SandboxError> {
        let deadline = Instant::now() + LEASE_TIMEOUT;
        let mut wait = Wait::new(&self.meter);
        let turn = async {
            let admitted = self.turn(deadline, |ahead| follow.waits(ahead)).await?;
            let location = match &self.containers {
                Containers::Lasting(handle) => CommandLocation::In(Slot::shared(handle.clone())),
                Containers::Fresh(pool) => pool.slot(&command, deadline, &follow).await?,
            };
            Ok::<_, SandboxError>((admitted, location))
        };
        let (_admitted, location) = tokio::select! {
            turn = turn => turn.inspect_err(|error| wait.refused(error))?,
            () = follow.cancel.cancelled() => return Err(SandboxError::Cancelled),
            () = self.ending.cancelled() => return Err(SandboxError::Ending),
        };
        let logged = self.commands.call(&command);
        let slot = match location {
            CommandLocation::In(slot) => slot,
            CommandLocation::Over(executed) => {
                let executed = Ok(executed);
                logged.end(&executed);
                return executed.map(|executed| self.answer(executed));
            }
        };
        let executed = self.exec_in(&slot.handle, command, follow, wait).await;
        logged.end(&executed);
        if let Ok(executed) = &executed
            && let ExecOutcome::Finished(finished) = &executed.outcome
        {
            count(&self.meter, finished);
        }
        let Containers::Fresh(pool) = &self.containers else {
            return Ok(self.answer(executed?));
        };
        let executed = executed.map(|mut executed| {
            pool.settle(slot, &mut executed);
            self.answer(executed)
        });
        // The next command finds one ready.
        pool.spare().warm();
        executed
    }

    async fn exec_in(
        &self,
        handle: &OwnerHandle,
        command: Command,
        follow: WaitOptions<'_>,
        wait: Wait,
    ) -> Result<ExecReport, SandboxError> {
        let mut execution = Execution::new(handle, command, &follow).waiting(wait);
        let executed = tokio::select! {
            executed = execution.run() => executed,
            () = follow.cancel.cancelled() => execution.cancel(SandboxError::Cancelled).await,
            () = self.ending.cancelled() => execution.cancel(SandboxError::Ending).await,
        };
        if let Some(container) = execution.container() {
            self.last_container.set(container);
        }
        let outcome = executed?;
        let network = execution.network(outcome.is_over()).await;
        Ok(ExecReport { outcome, network })
    }
}

/// Counted each time that the outcome is returned: a caller may ask again for a finished command.
pub(super) fn count(meter: &Meter, finished: &Finished) {
    match finished.outcome() {
        Outcome::TimedOut => meter.killed("timeout"),
        Outcome::Cancelled => meter.killed("cancelled"),
        _ => {}
    }
    meter.oom_killed(finished.oom_kills);
    let total = |stream: &Option<Captured>| stream.as_ref().map_or(0, |stream| stream.total);
    meter.output(total(&finished.stdout), total(&finished.stderr));
}
