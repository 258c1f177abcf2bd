//! All commands of the container: accepted once, run, kept.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use casemate_protocol::{
    Failure, FailureExt as _, Finished, MAX_ENV, MAX_SCRIPT, MAX_STDIN, StartRequest, failure::Code,
};
use tokio::net::unix::pipe;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};

use super::background;
use super::cgroup::oom_kills;
use super::command::{Command, End, Interruption, Stream, not_started};
use super::ending::{Ending, end_tree};
use super::life::{Busy, Life};
use super::process::Process;
use super::shell::Shell;
use super::supervisors::{Output, Supervisors};
use crate::files::Pool;
use crate::supervisor::{Ended, Order};
use crate::tree;

/// Commands that run at once. Each has a supervisor, and the container's limit
/// of processes is met before.
const MAX_RUNNING: usize = 128;

/// Results kept for a server that lost its connection.
const KEPT: usize = 64;

/// Results kept at most, when none of them reached anybody.
const KEPT_UNDELIVERED: usize = 256;

/// How long a result is kept.
const KEPT_FOR: Duration = Duration::from_secs(600);

/// Ids remembered, so that none is run twice and `Ending` can name them: more
/// than can be unanswered at any server.
const REMEMBERED_IDS: usize = 4096;

/// After a command has ended, what was written before is read within this time,
/// also when a child holds the pipe open.
const DRAIN: Duration = Duration::from_millis(100);

/// How long output is drained that is known to end.
const DRAIN_TO_END: Duration = Duration::from_secs(1);

/// How long a command's own supervisor takes to say that nothing is left.
const ALONE: Duration = Duration::from_millis(20);

/// How long what runs in the background gets to make room: TERM's grace and some
/// passes of killing.
const MAKING_ROOM: Duration = Duration::from_secs(1);

/// Notices that wait for a result. They say the same from some number on.
const MAX_NOTICES: usize = 8;

/// Bytes a pipe holds, unless user code enlarges it; read at a time.
const PIPE: usize = 64 * 1024;

/// The commands of this PID 1.
#[derive(Debug)]
pub struct Commands {
    pub(super) life: Arc<Life>,
    pub(super) background_ttl: Duration,
    supervisors: Supervisors,
    shell: Shell,
    pool: Arc<Pool>,
    table: Mutex<Table>,
    /// Told with the next result.
    notices: Mutex<Vec<String>>,
    /// What runs in the background is to make room.
    room: Notify,
    /// What is read from pipes passes through here: one thread, one buffer.
    scratch: Mutex<Box<[u8]>>,
}

#[derive(Debug, Default)]
struct Table {
    commands: HashMap<String, Arc<Command>>,
    running: usize,
    /// In the order they finished.
    finished: VecDeque<(String, Instant)>,
    /// In the order they were accepted.
    accepted: VecDeque<String>,
    remembered: HashSet<String>,
}

impl Commands {
    /// None yet.
    pub fn new(
        life: Arc<Life>,
        supervisors: Supervisors,
        shell: Shell,
        pool: Arc<Pool>,
        background_ttl: Duration,
    ) -> Self {
        Self {
            life,
            background_ttl,
            supervisors,
            shell,
            pool,
            table: Mutex::default(),
            notices: Mutex::default(),
            room: Notify::new(),
            scratch: Mutex::new(vec![0; PIPE].into_boxed_slice()),
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
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
        let busy = self.life.enter()?;
        let chars = usize::try_from(request.output_chars)
            .unwrap_or(0)
            .min(MAX_OUTPUT_CHARS);
        let command = Arc::new(Command::new(request.id.clone(), chars));
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
        let mut table = self.table();
        table.forget_old();
        let unknown = || Failure::new(Code::UnknownCommand, "no such command is known");
        table.commands.get(id).cloned().ok_or_else(unknown)
    }

    /// Ids of the commands that were accepted, as many as are remembered.
    pub fn accepted(&self) -> Vec<String> {
        self.table().accepted.iter().cloned().collect()
    }

    async fn run(self: Arc<Self>, command: Arc<Command>, request: StartRequest, busy: Busy) {
        let finished = match self.execute(&command, &request).await {
            Ok((finished, process)) => {
                if process.is_empty() {
                    drop(busy);
                } else {
                    tokio::spawn(background::keep(process, self.clone(), busy));
                }
                finished
            }
            Err(failure) => not_started(failure),
        };
        command.finish(finished);
        self.table().finished(&command.id);
    }

    async fn execute(
        self: &Arc<Self>,
        command: &Arc<Command>,
        request: &StartRequest,
    ) -> Result<(Finished, Process), Failure> {
        let oom_before = oom_kills();
        let order = self.shell.order(request)?;
        let deadline = Duration::from_millis(request.timeout_ms);
        let ran = match self.attempt(command, &order, deadline).await {
            Err(failure) if failure.code() == Code::TooManyProcesses => {
                // What runs in the background makes room, once.
                self.room.notify_waiters();
                tokio::time::sleep(MAKING_ROOM).await;
                self.attempt(command, &order, deadline).await
            }
            ran => ran,
        };
        let (process, ended, interruption) = ran?;
        let end = End {
            ended,
            interruption,
            doomed: command.is_doomed(),
            oom_kills: oom_kills().saturating_sub(oom_before),
        };
        let survivors = if process.is_empty() {
            0
        } else {
            tree::descendants(process.supervisor).map_or(1, |tree| tree.len())
        };
        let (stdout, stderr) = command.cut();
        let shown_whole = stdout.omitted + stderr.omitted == 0;
        command.spill.close(&self.pool, shown_whole).await;
        let finished = Finished {
            outcome: end.outcome().into(),
            exit_code: end.exit_code(),
            signal: ended.signal.unwrap_or_default(),
            stdout: Some(stdout),
            stderr: Some(stderr),
            duration_ms: command.duration_ms(),
            usage: Some(end.usage()),
            survivors: u32::try_from(survivors).unwrap_or(u32::MAX),
            oom_kills: u32::try_from(end.oom_kills).unwrap_or(u32::MAX),
            failure: None,
            notices: self.take_notices(),
            output_path: command.spill.path(),
        };
        Ok((finished, process))
    }

    /// Runs the order to its end, or to its interruption, with all its output.
    async fn attempt(
        self: &Arc<Self>,
        command: &Arc<Command>,
        order: &Order,
        deadline: Duration,
    ) -> Result<(Process, Ended, Option<Interruption>), Failure> {
        let (mut process, output) = Process::new(&self.supervisors)?;
        let readers = self.read_output(command, output);
        let run = async {
            process.order(order).await;
            // While the command starts there is time for the next one's supervisor.
            self.supervisors.prepare();
            process.ended().await
        };
        let (ended, interruption) = tokio::select! {
            ended = run => (ended?, None),
            interruption = command.interrupted(deadline) => {
                self.end_tree(&mut process, Some(command)).await;
                (process.ended_after_kill().await, Some(interruption))
            }
        };
        self.drain(&mut process, command, readers).await;
        Ok((process, ended, interruption))
    }

    /// Resolves when what runs in the background is to make room.
    pub(super) async fn wants_room(&self) {
        self.room.notified().await;
    }

    /// Tells this with the next result.
    pub(super) fn notice(&self, notice: String) {
        let mut notices = self.notices.lock().unwrap_or_else(PoisonError::into_inner);
        if notices.len() < MAX_NOTICES {
            notices.push(notice);
        }
    }

    fn take_notices(&self) -> Vec<String> {
        std::mem::take(&mut *self.notices.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Ends everything that `process` started; the last resort hits the other
    /// commands too, and they will say so.
    pub(super) async fn end_tree(&self, process: &mut Process, command: Option<&Arc<Command>>) {
        let doom_others = || {
            let table = self.table();
            let others = table.commands.values().filter(|other| !other.is_finished());
            for other in others {
                if !command.is_some_and(|this| Arc::ptr_eq(this, other)) {
                    other.doom();
                }
            }
        };
        if end_tree(process, doom_others).await == Ending::LastResort {
            crate::complain("a command outran its end: everything was killed");
        }
    }

    fn read_output(self: &Arc<Self>, command: &Arc<Command>, output: Output) -> [Reader; 2] {
        [
            (Stream::Stdout, output.stdout),
            (Stream::Stderr, output.stderr),
        ]
        .map(|(stream, pipe)| {
            let pipe = Arc::new(pipe);
            let (this, command, source) = (self.clone(), command.clone(), pipe.clone());
            let task = tokio::spawn(async move { this.read(&command, stream, &source).await });
            Reader { stream, pipe, task }
        })
    }

    /// Reads until the end, also after the outcome is known: who still writes
    /// then must not die of a closed pipe.
    async fn read(&self, command: &Command, stream: Stream, pipe: &pipe::Receiver) {
        while pipe.readable().await.is_ok() {
            let spilled = {
                let mut scratch = self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
                match pipe.try_read(&mut scratch) {
                    Ok(0) => return,
                    Ok(count) => {
                        command.push(stream, &scratch[..count]);
                        command.spill.push(&scratch[..count])
                    }
                    Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => continue,
                    Err(_) => return,
                }
            };
            match spilled {
                Some(chunk) => command.spill.write(&self.pool, chunk).await,
                // A flood must not keep the others from their turn.
                None => tokio::task::yield_now().await,
            }
        }
    }

    /// Waits for the output to be complete: to its end where nothing is left
    /// that could write, else for a short while. What was written before the
    /// command ended is in the pipes then, and is read in any case.
    async fn drain(&self, process: &mut Process, command: &Command, readers: [Reader; 2]) {
        let patience = match timeout(ALONE, process.emptied()).await {
            Ok(()) => DRAIN_TO_END,
            Err(_) => DRAIN,
        };
        let end = Instant::now() + patience;
        for Reader { stream, pipe, task } in readers {
            if timeout_at(end, task).await.is_err() {
                self.read_what_is_there(command, stream, &pipe).await;
            }
        }
    }

    async fn read_what_is_there(&self, command: &Command, stream: Stream, pipe: &pipe::Receiver) {
        let mut left = rustix::pipe::fcntl_getpipe_size(pipe).unwrap_or(PIPE);
        while left > 0 {
            let spilled = {
                let mut scratch = self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
                let Ok(count @ 1..) = rustix::io::read(pipe, &mut **scratch) else {
                    return;
                };
                left = left.saturating_sub(count);
                command.push(stream, &scratch[..count]);
                command.spill.push(&scratch[..count])
            };
            if let Some(chunk) = spilled {
                command.spill.write(&self.pool, chunk).await;
            }
        }
    }
}

/// One stream of a command while it is read.
struct Reader {
    stream: Stream,
    pipe: Arc<pipe::Receiver>,
    task: JoinHandle<()>,
}

/// Characters of output that a request may ask to be kept.
const MAX_OUTPUT_CHARS: usize = 100_000;

fn check(request: &StartRequest) -> Result<(), Failure> {
    let env: usize = request
        .env
        .iter()
        .map(|var| var.name.len() + var.value.len() + 2)
        .sum();
    let has_nul = request.script.contains(&0)
        || request.cwd.contains('\0')
        || request.env.iter().any(|var| var.value.contains(&0));
    let bad_name = |name: &str| name.is_empty() || name.contains(['=', '\0']);
    let problem = if request.id.len() != 32 || !request.id.bytes().all(|b| b.is_ascii_hexdigit()) {
        "the id is not 32 hexadecimal digits"
    } else if request.script.len() > MAX_SCRIPT {
        "the script is too long"
    } else if request.stdin.len() > MAX_STDIN {
        "the standard input is too long"
    } else if env > MAX_ENV {
        "the environment is too long"
    } else if has_nul {
        "a NUL byte in script, cwd or environment"
    } else if request.env.iter().any(|var| bad_name(&var.name)) {
        "an empty name, or one with = or NUL, in the environment"
    } else {
        return Ok(());
    };
    Err(Failure::new(Code::Invalid, problem))
}

impl Table {
    /// The command with this id; `None` for one that was never accepted.
    fn known(&self, id: &str) -> Result<Option<Arc<Command>>, Failure> {
        match self.commands.get(id) {
            Some(known) => Ok(Some(known.clone())),
            // Never twice.
            None if self.remembered.contains(id) => {
                let detail = "it was run, and its result is no longer kept";
                Err(Failure::new(Code::UnknownCommand, detail))
            }
            None => Ok(None),
        }
    }

    fn accept(&mut self, command: &Arc<Command>) -> Result<(), Failure> {
        if self.running >= MAX_RUNNING {
            let detail = format!("{MAX_RUNNING} commands run already");
            return Err(Failure::new(Code::TooManyCommands, detail));
        }
        self.running += 1;
        self.commands.insert(command.id.clone(), command.clone());
        self.accepted.push_back(command.id.clone());
        self.remembered.insert(command.id.clone());
        if self.accepted.len() > REMEMBERED_IDS
            && let Some(oldest) = self.accepted.pop_front()
        {
            self.remembered.remove(&oldest);
        }
        Ok(())
    }

    fn finished(&mut self, id: &str) {
        self.running -= 1;
        self.finished.push_back((id.to_owned(), Instant::now()));
        self.forget_old();
    }

    /// Results beyond the bounds go, those first that reached somebody.
    fn forget_old(&mut self) {
        while let Some((id, _)) = self
            .finished
            .front()
            .filter(|(_, at)| at.elapsed() > KEPT_FOR)
        {
            self.commands.remove(id);
            self.finished.pop_front();
        }
        while self.finished.len() > KEPT {
            let delivered = self.finished.iter().position(|(id, _)| {
                let command = self.commands.get(id);
                command.is_none_or(|command| command.delivered.load(Ordering::Relaxed))
            });
            let oldest = (self.finished.len() > KEPT_UNDELIVERED).then_some(0);
            let Some((id, _)) = delivered.or(oldest).and_then(|at| self.finished.remove(at)) else {
                break;
            };
            self.commands.remove(&id);
        }
    }
}
