//! One command: started, awaited or interrupted, with its output.

use std::sync::Arc;
use std::time::Duration;

use casemate_protocol::{
    Captured, Failure, FailureExt as _, Finished, StartRequest, failure::Code,
};

use super::Commands;
use crate::capture::Stream;
use crate::pid1::command::{Command, Interruption};
use crate::pid1::lifecycle::ActivityGuard;
use crate::pid1::outcome::{CommandEnd, not_started};
use crate::pid1::process::Process;
use crate::supervisor::{ExitDetails, RunRequest};

/// How long background processes have to make room: TERM's grace and some passes of killing.
const EVICTION_TIMEOUT: Duration = Duration::from_secs(1);

impl Commands {
    /// Runs an accepted command to its result, and keeps the processes that it leaves.
    pub(super) async fn run(
        self: Arc<Self>,
        command: Arc<Command>,
        request: StartRequest,
        busy: ActivityGuard,
    ) {
        let finished = match self.execute(&command, &request).await {
            Ok((finished, process)) => {
                if process.is_empty() {
                    drop(busy);
                } else {
                    self.background().push(command.clone());
                    let (this, command) = (self.clone(), command.clone());
                    tokio::spawn(async move {
                        this.keep(process, &command, busy).await;
                        this.background()
                            .retain(|kept| !Arc::ptr_eq(kept, &command));
                    });
                }
                finished
            }
            Err(failure) => not_started(failure),
        };
        if let Some(caller) = command.caller() {
            // It may not have started at all.
            caller.leave();
        }
        command.finish(finished);
        self.table().finished(&command.id);
        self.end_if_stuck();
    }

    async fn execute(
        self: &Arc<Self>,
        command: &Arc<Command>,
        request: &StartRequest,
    ) -> Result<(Finished, Process), Failure> {
        let oom_before = self.oom_kills();
        let resort = self.supervisors.reaper().resort();
        let resorts_before = resort.taken();
        let (mut process, ended, interruption) = self.run_order(command, request).await?;
        let hit = resort.taken() > resorts_before && !process.is_orphaned();
        let end = CommandEnd {
            ended,
            interruption,
            doomed: command.is_doomed() || hit,
            oom_kills: self.oom_kills().saturating_sub(oom_before),
        };
        let survivors = self.survivors(&mut process).await;
        let (stdout, stderr) = command.cut();
        let is_whole = |it: &Captured| it.omitted == 0 && it.overwritten == 0;
        let shown_whole = is_whole(&stdout) && is_whole(&stderr);
        command.spill.close(&self.pool, shown_whole).await;
        let finished = Finished {
            outcome: end.outcome().into(),
            exit_code: end.exit_code(),
            signal: ended.signal.unwrap_or_default(),
            stdout: Some(stdout),
            stderr: Some(stderr),
            duration_ms: command.duration_ms(),
            usage: Some(end.usage()),
            survivors,
            oom_kills: u32::try_from(end.oom_kills).unwrap_or(u32::MAX),
            failure: None,
            // Those of an attached command would be lost.
            notices: match command.caller() {
                Some(_) => Vec::new(),
                None => self.take_notices(),
            },
            output_path: command.spill.path(),
            by_operator: interruption == Some(Interruption::Operator),
        };
        Ok((finished, process))
    }

    /// Runs the command, and runs it once more after a failure to start that can be remedied.
    async fn run_order(
        self: &Arc<Self>,
        command: &Arc<Command>,
        request: &StartRequest,
    ) -> Result<(Process, ExitDetails, Option<Interruption>), Failure> {
        let order = self.shell.order(request)?;
        let attached = command.caller().is_some();
        let deadline = match request.timeout_ms {
            0 if attached => Duration::MAX,
            milliseconds => Duration::from_millis(milliseconds),
        };
        if attached {
            // Now, as a second attempt would not have the standard input of the first.
            self.workspace.unlock();
        }
        match self.attempt(command, &order, deadline).await {
            Err(failure) if failure.code() == Code::TooManyProcesses => {
                // Background processes make room, once.
                self.room.notify_waiters();
                tokio::time::sleep(EVICTION_TIMEOUT).await;
                self.attempt(command, &order, deadline).await
            }
            // Its own user had locked the workspace's top.
            Err(failure)
                if failure.code() == Code::BadCwd && !attached && self.workspace.unlock() =>
            {
                self.attempt(command, &order, deadline).await
            }
            ran => ran,
        }
    }

    /// How many processes of a command that ended still run.
    async fn survivors(&self, process: &mut Process) -> u32 {
        match self.supervisors.reaper().resort().stuck() {
            0 => process.left().await,
            // Processes that outlive the last resort have lost their supervisor.
            stuck => stuck,
        }
    }

    /// Runs the order to its end, or to its interruption, with all its output.
    async fn attempt(
        self: &Arc<Self>,
        command: &Arc<Command>,
        order: &RunRequest,
        deadline: Duration,
    ) -> Result<(Process, ExitDetails, Option<Interruption>), Failure> {
        if self.cgroup.is_full() {
            let detail = "the sandbox has as many processes as it may have";
            return Err(Failure::new(Code::TooManyProcesses, detail));
        }
        let (mut process, streams) = Process::new(&self.supervisors, command.input())?;
        command.placed(process.supervisor);
        let readers = [
            self.pipes.read(command, Stream::Stdout, streams.stdout),
            self.pipes.read(command, Stream::Stderr, streams.stderr),
        ];
        let mut stdin = streams.stdin;
        let run = async {
            process.order(order).await;
            command.runs_as(process.main());
            // While the command starts there is time for the next one's supervisor.
            self.supervisors.prepare();
            tokio::select! {
                biased;
                () = process.ended() => {}
                never = command.feed(&mut stdin) => match never {},
            }
        };
        let interruption = tokio::select! {
            () = run => None,
            interruption = command.interrupted(deadline) => {
                self.end_tree(&mut process, Some(command)).await;
                Some(interruption)
            }
        };
        command.runs_as(None);
        // Not before: a command that is being ended must not see an end of input that was not sent.
        drop(stdin);
        let guards = self.pipes.drain(&mut process, command, readers).await;
        let ended = match interruption {
            // After an error there may be another attempt: its output has the same caller.
            None => process.verdict().await?,
            Some(_) => process.ended_after_kill().await,
        };
        if let Some(caller) = command.caller() {
            caller.leave();
        }
        drop(guards);
        Ok((process, ended, interruption))
    }
}
