//! All commands of the container: accepted once, run, kept.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use casemate_protocol::{
    CancelRequest, Captured, Failure, Finished, RunningCommand, StartRequest, exit, failure::Code,
};
use tokio::sync::Notify;

use super::background::reason_to_end;
use super::bounds::{MAX_OUTPUT_CHARS, check};
use super::cgroup::Cgroup;
use super::command::{Command, Interruption};
use super::ending::{Ending, end_tree};
use super::lifecycle::{ActivityGuard, Lifecycle};
use super::outcome::{CommandEnd, not_started};
use super::pipes::Pipes;
use super::process::Process;
use super::shell::Shell;
use super::supervisors::Supervisors;
use super::table::Table;
use crate::capture::Stream;
use crate::files::{Pool, Workspace};
use crate::procfs;
use crate::supervisor::{ExitDetails, RunRequest};
use crate::tree;

/// How long background processes have to make room: TERM's grace and some passes of killing.
const EVICTION_TIMEOUT: Duration = Duration::from_secs(1);

/// Notices that wait for a result. More of them would only repeat.
const MAX_NOTICES: usize = 8;

/// The commands of this PID 1.
#[derive(Debug)]
pub struct Commands {
    lifecycle: Arc<Lifecycle>,
    background_ttl: Duration,
    cgroup: Cgroup,
    supervisors: Supervisors,
    shell: Shell,
    workspace: Arc<Workspace>,
    pool: Arc<Pool>,
    table: Mutex<Table>,
    /// Commands that exited and left processes running.
    background: Mutex<Vec<Arc<Command>>>,
    /// Sent with the next result.
    notices: Mutex<Vec<String>>,
    /// Notified when background processes must make room.
    room: Notify,
    pipes: Arc<Pipes>,
}

impl Commands {
    /// Without any command.
    pub fn new(
        lifecycle: Arc<Lifecycle>,
        cgroup: Cgroup,
        supervisors: Supervisors,
        shell: Shell,
        workspace: Arc<Workspace>,
        pool: Arc<Pool>,
        background_ttl: Duration,
    ) -> Self {
        Self {
            lifecycle,
            background_ttl,
            cgroup,
            supervisors,
            shell,
            pipes: Arc::new(Pipes::new(pool.clone())),
            workspace,
            pool,
            table: Mutex::default(),
            background: Mutex::default(),
            notices: Mutex::default(),
            room: Notify::new(),
        }
    }

    pub(super) fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Accepts a command and starts it, or finds the one with this id.
    ///
    /// # Errors
    /// `ENDING` and `TOO_MANY_COMMANDS` (it was not accepted), `INVALID`;
    /// `UNKNOWN_COMMAND`: it was run, and its result is no longer kept.
    pub fn start(self: &Arc<Self>, request: StartRequest) -> Result<Arc<Command>, Failure> {
        if let Some(known) = self.table().known(&request.id)? {
            return Ok(known);
        }
        check(&request)?;
        let chars = usize::try_from(request.output_chars)
            .unwrap_or(0)
            .min(MAX_OUTPUT_CHARS);
        let command = Command::new(request.id.clone(), chars).tagged(request.tag.clone());
        self.accept(command, request)
    }

    /// Accepts a command that was checked and is not known, and starts it.
    ///
    /// # Errors
    /// `ENDING` and `TOO_MANY_COMMANDS`.
    pub(super) fn accept(
        self: &Arc<Self>,
        command: Command,
        request: StartRequest,
    ) -> Result<Arc<Command>, Failure> {
        let busy = self.lifecycle.enter()?;
        let command = Arc::new(command);
        self.table().accept(&command)?;
        let (this, accepted) = (self.clone(), command.clone());
        tokio::spawn(async move { this.run(accepted, request, busy).await });
        Ok(command)
    }

    /// The command with this id.
    ///
    /// # Errors
    /// `UNKNOWN_COMMAND`: never accepted, or no longer kept.
    pub fn find(&self, id: &str) -> Result<Arc<Command>, Failure> {
        self.table().find(id)
    }

    /// Ends the commands of the request with this tag, or only counts them.
    pub fn cancel(&self, request: &CancelRequest) -> u32 {
        let table = self.table();
        let theirs = table
            .running()
            .filter(|command| command.is_for(&request.tag));
        let ended = theirs.map(|command| {
            if !request.count_only {
                command.kill();
            }
            1
        });
        ended.sum()
    }

    /// Ids of the commands that were accepted, as many as are remembered.
    pub fn accepted(&self) -> Vec<String> {
        self.table().accepted()
    }

    fn background(&self) -> MutexGuard<'_, Vec<Arc<Command>>> {
        let background = self.background.lock();
        background.unwrap_or_else(PoisonError::into_inner)
    }

    /// The running commands, oldest first, and how many processes each has.
    pub fn listed(&self) -> Vec<RunningCommand> {
        let seen = procfs::processes().ok();
        let size = |root| seen.as_ref().map_or(1, |all| tree::size_in(all, root));
        let of = |command: &Arc<Command>, background| RunningCommand {
            id: command.id.clone(),
            running_ms: command.duration_ms(),
            background,
            processes: command.supervisor().map_or(0, size),
        };
        let mut listed: Vec<_> = self.table().running().map(|c| of(c, false)).collect();
        listed.extend(self.background().iter().map(|c| of(c, true)));
        listed.sort_by_key(|command| std::cmp::Reverse(command.running_ms));
        listed
    }

    async fn run(
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
                        this.keep(process, busy).await;
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
        let oom_before = self.cgroup.oom_kills();
        let resort = self.supervisors.reaper().resort();
        let resorts_before = resort.taken();
        let (process, ended, interruption) = self.run_order(command, request).await?;
        let hit = resort.taken() > resorts_before && !process.is_orphaned();
        let end = CommandEnd {
            ended,
            interruption,
            doomed: command.is_doomed() || hit,
            oom_kills: self.cgroup.oom_kills().saturating_sub(oom_before),
        };
        let survivors = self.survivors(&process);
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
    fn survivors(&self, process: &Process) -> u32 {
        match self.supervisors.reaper().resort().stuck() {
            0 if process.is_empty() => 0,
            0 => process.root().map_or(0, tree::size),
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

    /// After the outcomes are sent: a container with processes that cannot be ended is of no use.
    fn end_if_stuck(&self) {
        let stuck = self.supervisors.reaper().resort().stuck() > 0;
        if stuck && self.table().running().next().is_none() {
            self.lifecycle.end(exit::STUCK);
        }
    }

    /// Keeps the sandbox while processes of `process` are left, and ends them when there is a
    /// reason to.
    async fn keep(&self, mut process: Process, busy: ActivityGuard) {
        let room = self.room.notified();
        let (lifecycle, ttl) = (&self.lifecycle, self.background_ttl);
        let why = reason_to_end(&mut process, lifecycle, self.cgroup, ttl, room).await;
        let Some(why) = why else { return };
        self.end_tree(&mut process, None).await;
        self.notice(format!(
            "processes that a command left in the background were ended: {why}"
        ));
        drop(busy);
        self.end_if_stuck();
    }

    /// Sends this with the next result.
    fn notice(&self, notice: String) {
        let mut notices = self.notices.lock().unwrap_or_else(PoisonError::into_inner);
        if notices.len() < MAX_NOTICES {
            notices.push(notice);
        }
    }

    fn take_notices(&self) -> Vec<String> {
        std::mem::take(&mut *self.notices.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Ends everything that `process` started. The last resort kills the other commands too, and
    /// their outcomes say so.
    async fn end_tree(&self, process: &mut Process, command: Option<&Arc<Command>>) {
        let doom_others = || {
            let table = self.table();
            for other in table.running() {
                if !command.is_some_and(|this| Arc::ptr_eq(this, other)) {
                    other.doom();
                }
            }
        };
        let resort = self.supervisors.reaper().resort();
        if end_tree(process, resort, doom_others).await == Ending::LastResort {
            crate::report_error(
                "a command's processes could not be killed one by one: all were killed",
            );
        }
    }
}
