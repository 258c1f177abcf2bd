//! Supervisors, started ahead of the command they are for: one always waits for
//! its order, which takes a third off the time of a short command.

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::process::Stdio;
use std::sync::{Mutex, PoisonError};

use casemate_protocol::INIT_PATH;
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::Pid;
use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tokio::sync::oneshot;

use super::reaper::{Reaper, TreeReaped};
use super::reports::Reports;
use super::start_failure::{MissingResource, SpawnFailure};
use crate::shield::Account;

/// A supervisor that waits for its order.
#[derive(Debug)]
pub struct Supervisor {
    /// Its process id.
    pub pid: Pid,
    /// Resolves when it and everything below it is gone.
    pub gone: oneshot::Receiver<TreeReaped>,
    /// Takes the order and gives the reports.
    pub reports: Reports,
    /// What its command will read and write.
    pub streams: Streams,
}

/// What a command's standard input is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// Nothing, or what its order has.
    Ordered,
    /// A pipe.
    Piped,
}

/// PID 1's ends of a command's pipes.
#[derive(Debug)]
pub struct Streams {
    /// Its standard input, with [`Input::Piped`].
    pub stdin: Option<pipe::Sender>,
    /// Its standard output.
    pub stdout: pipe::Receiver,
    /// Its standard error.
    pub stderr: pipe::Receiver,
}

/// Where supervisors come from.
#[derive(Debug)]
pub struct Supervisors {
    reaper: Reaper,
    /// Whom commands run as, where PID 1 has another real user.
    account: Option<Account>,
    /// Processes and threads that this user may have.
    processes: u64,
    /// One that waits. More would only help bursts, and each costs a process.
    ready: Mutex<Option<Supervisor>>,
}

impl Supervisors {
    /// None waits yet.
    pub fn new(reaper: Reaper, account: Option<Account>, processes: u64) -> Self {
        Self {
            reaper,
            account,
            processes,
            ready: Mutex::new(None),
        }
    }

    /// The reaper that waits for them.
    pub fn reaper(&self) -> &Reaper {
        &self.reaper
    }

    /// The one that waits, or a new one: those that wait have no pipe to read.
    ///
    /// # Errors
    /// What could not be had for a new one.
    pub fn take(&self, input: Input) -> Result<Supervisor, SpawnFailure> {
        if input == Input::Piped {
            return self.spawn(input);
        }
        let ready = self.lock().take();
        match ready {
            Some(mut ready) => {
                // User code may have killed it, or its child.
                if ready.reports.is_waiting() {
                    Ok(ready)
                } else {
                    self.spawn(input)
                }
            }
            None => self.spawn(input),
        }
    }

    /// Sees to it that one waits. At the limit of processes none does.
    pub fn prepare(&self) {
        let mut ready = self.lock();
        if ready.is_none() {
            *ready = self.spawn(Input::Ordered).ok();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Supervisor>> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn shield(&self) -> Vec<String> {
        let account = self.account.map(Account::text);
        let with_limit = |account| vec![account, self.processes.to_string()];
        account.map(with_limit).unwrap_or_default()
    }

    /// Nothing is awaited in here: the control socket is open to inheritance for
    /// this one `spawn` only.
    fn spawn(&self, input: Input) -> Result<Supervisor, SpawnFailure> {
        let socket = MissingResource::Socket.missing();
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().map_err(&socket)?;
        let theirs = OwnedFd::from(theirs);
        let (stdin_reader, stdin) = match input {
            Input::Ordered => (Stdio::null(), None),
            Input::Piped => self::input().map(|(reader, sender)| (reader.into(), Some(sender)))?,
        };
        let (stdout, stdout_writer) = output()?;
        let (stderr, stderr_writer) = output()?;
        // In the container this binary is always at the same path; it cannot
        // look its own up in /proc, being non-dumpable.
        let mut command = std::process::Command::new(INIT_PATH);
        command
            .arg("supervise")
            .arg(theirs.as_raw_fd().to_string())
            .args(self.shield())
            .env_clear()
            .stdin(stdin_reader)
            .stdout(stdout_writer)
            .stderr(stderr_writer);
        fcntl_setfd(&theirs, FdFlags::empty()).map_err(|errno| socket(errno.into()))?;
        // Watched before there is a process: one that cannot be is never started.
        ours.set_nonblocking(true).map_err(&socket)?;
        let reports = UnixStream::from_std(ours).map_err(MissingResource::Watch.missing())?;
        let child = command
            .spawn()
            .map_err(MissingResource::Process.missing())?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let pid = pid
            .ok_or_else(|| MissingResource::Process.missing()(io::Error::other("no process id")))?;
        Ok(Supervisor {
            pid,
            gone: self.reaper.supervisor(pid),
            reports: Reports::new(reports),
            streams: Streams {
                stdin,
                stdout,
                stderr,
            },
        })
    }
}

fn input() -> Result<(OwnedFd, pipe::Sender), SpawnFailure> {
    let pipe = pipe_with(PipeFlags::CLOEXEC);
    let (reader, writer) = pipe.map_err(|errno| MissingResource::Pipe.missing()(errno.into()))?;
    let writer = pipe::Sender::from_owned_fd(writer).map_err(MissingResource::Watch.missing())?;
    Ok((reader, writer))
}

fn output() -> Result<(pipe::Receiver, OwnedFd), SpawnFailure> {
    let pipe = pipe_with(PipeFlags::CLOEXEC);
    let (reader, writer) = pipe.map_err(|errno| MissingResource::Pipe.missing()(errno.into()))?;
    let reader = pipe::Receiver::from_owned_fd(reader).map_err(MissingResource::Watch.missing())?;
    Ok((reader, writer))
}
