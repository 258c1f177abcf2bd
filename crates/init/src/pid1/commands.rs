//! All commands of the container: accepted once, run, kept.

mod run;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use casemate_protocol::{
    CancelRequest, Failure, FailureExt as _, RunningCommand, StartRequest, exit, failure::Code,
};
use tokio::sync::Notify;

use super::background::reason_to_end;
use super::bounds::{MAX_OUTPUT_CHARS, check};
use super::cgroup::Cgroup;
use super::command::Command;
use super::ending::{Ending, end_tree};
use super::lifecycle::{ActivityGuard, Lifecycle};
use super::memory_watch::MemoryWatch;
use super::pipes::Pipes;
use super::process::Process;
use super::shell::Shell;
use super::supervisors::Supervisors;
use super::table::Table;
use crate::files::{Pool, Workspace};
use crate::procfs;
use crate::tree;

/// Notices that wait for a result. More of them would only repeat.
const MAX_NOTICES: usize = 8;

/// How long commands and what they left may run on.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// What was left in the background, after the user's last call.
    pub background: Duration,
    /// A command whose watcher's connection broke.
    pub lost_channel: Duration,
}

/// The commands of this PID 1.
#[derive(Debug)]
pub struct Commands {
    lifecycle: Arc<Lifecycle>,
    times: Times,
    cgroup: Cgroup,
    memory_watch: Arc<MemoryWatch>,
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
        (cgroup, memory_watch): (Cgroup, Arc<MemoryWatch>),
        supervisors: Supervisors,
        shell: Shell,
        workspace: Arc<Workspace>,
        pool: Arc<Pool>,
        times: Times,
    ) -> Self {
        Self {
            lifecycle,
            times,
            cgroup,
            memory_watch,
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
        let command = Command::new(request.id.clone(), chars)
            .tagged(request.tag.clone())
            .kept_for(self.times.lost_channel)
            .running(&request.script);
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

    /// Ends a command for an operator, or the processes that it left in the background.
    ///
    /// # Errors
    /// `UNKNOWN_COMMAND`: it does not run, and has left none.
    pub fn stop(&self, id: &str) -> Result<(), Failure> {
        let has_id = |command: &&Arc<Command>| command.id == id;
        let running = self.table().running().find(has_id).cloned();
        let found = running.or_else(|| self.background().iter().find(has_id).cloned());
        let unknown = || Failure::new(Code::UnknownCommand, "no such command runs");
        found.ok_or_else(unknown)?.stop();
        Ok(())
    }

    /// Ids of the commands that were accepted, as many as are remembered.
    pub fn accepted(&self) -> Vec<String> {
        self.table().accepted()
    }

    /// How often a process was killed for memory, by the kernel or in its place.
    fn oom_kills(&self) -> u64 {
        self.cgroup.oom_kills() + self.memory_watch.kills()
    }

    fn background(&self) -> MutexGuard<'_, Vec<Arc<Command>>> {
        let background = self.background.lock();
        background.unwrap_or_else(PoisonError::into_inner)
    }

    /// The running commands, oldest first, and how many processes each has.
    pub fn listed(&self, with_scripts: bool) -> Vec<RunningCommand> {
        let seen = procfs::processes().ok();
        let size = |root| seen.as_ref().map_or(1, |all| tree::size_in(all, root));
        let of = |command: &Arc<Command>, background| {
            let processes = command.supervisor().map_or(0, size);
            command.listed(background, processes, with_scripts)
        };
        let mut listed: Vec<_> = self.table().running().map(|c| of(c, false)).collect();
        listed.extend(self.background().iter().map(|c| of(c, true)));
        listed.sort_by_key(|command| std::cmp::Reverse(command.running_ms));
        listed
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
    async fn keep(&self, mut process: Process, command: &Command, busy: ActivityGuard) {
        let (room, stopped) = (self.room.notified(), command.stopped());
        let (lifecycle, ttl) = (&self.lifecycle, self.times.background);
        let why = reason_to_end(&mut process, lifecycle, self.cgroup, ttl, room, stopped).await;
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
