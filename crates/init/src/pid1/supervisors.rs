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

use super::reaper::Reaper;
use super::reports::Reports;

/// A supervisor that waits for its order.
#[derive(Debug)]
pub struct Supervisor {
    /// Its process id.
    pub pid: Pid,
    /// Resolves when it and everything below it is gone.
    pub gone: oneshot::Receiver<()>,
    /// Takes the order and gives the reports.
    pub reports: Reports,
    /// What its command will write to.
    pub output: Output,
}

/// The read ends of a command's output.
#[derive(Debug)]
pub struct Output {
    /// Its standard output.
    pub stdout: pipe::Receiver,
    /// Its standard error.
    pub stderr: pipe::Receiver,
}

/// Where supervisors come from.
#[derive(Debug)]
pub struct Supervisors {
    reaper: Reaper,
    /// One that waits. More would only help bursts, and each costs a process.
    ready: Mutex<Option<Supervisor>>,
}

impl Supervisors {
    /// None waits yet.
    pub fn new(reaper: Reaper) -> Self {
        Self {
            reaper,
            ready: Mutex::new(None),
        }
    }

    /// Who waits for them.
    pub fn reaper(&self) -> &Reaper {
        &self.reaper
    }

    /// The one that waits, or a new one.
    ///
    /// # Errors
    /// `EAGAIN` at the limit of processes.
    pub fn take(&self) -> io::Result<Supervisor> {
        let ready = self.lock().take();
        match ready {
            Some(mut ready) => {
                // User code may have killed it, or its child.
                if ready.reports.is_waiting() {
                    Ok(ready)
                } else {
                    self.spawn()
                }
            }
            None => self.spawn(),
        }
    }

    /// Sees to it that one waits. At the limit of processes none does.
    pub fn prepare(&self) {
        let mut ready = self.lock();
        if ready.is_none() {
            *ready = self.spawn().ok();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Supervisor>> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing is awaited in here: the control socket is open to inheritance for
    /// this one `spawn` only.
    fn spawn(&self) -> io::Result<Supervisor> {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
        let theirs = OwnedFd::from(theirs);
        let (stdout, stdout_writer) = output()?;
        let (stderr, stderr_writer) = output()?;
        // In the container this binary is always at the same path; it cannot
        // look its own up in /proc, being non-dumpable.
        let mut command = std::process::Command::new(INIT_PATH);
        command
            .arg("supervise")
            .arg(theirs.as_raw_fd().to_string())
            .env_clear()
            .stdin(Stdio::null())
            .stdout(stdout_writer)
            .stderr(stderr_writer);
        fcntl_setfd(&theirs, FdFlags::empty())?;
        let child = command.spawn()?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| io::Error::other("no process id"))?;
        let gone = self.reaper.supervisor(pid);
        ours.set_nonblocking(true)?;
        Ok(Supervisor {
            pid,
            gone,
            reports: Reports::new(UnixStream::from_std(ours)?),
            output: Output { stdout, stderr },
        })
    }
}

fn output() -> io::Result<(pipe::Receiver, OwnedFd)> {
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
    Ok((pipe::Receiver::from_owned_fd(reader)?, writer))
}
