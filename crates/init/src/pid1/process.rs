//! A command as processes: its supervisor, and what that reports.

use std::io;
use std::time::Duration;

use casemate_protocol::{Failure, FailureExt as _, failure::Code};
use prost::Message as _;
use rustix::process::Pid;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::reaper::Reaper;
use super::reports::Reports;
use super::supervisors::{Output, Supervisors};
use crate::supervisor::{Ended, Fact, Failed, Order, Step};

/// How long the end of a command that was killed may take to be told.
const REPORT: Duration = Duration::from_millis(500);

/// A supervisor that was started, and what is known of its command.
#[derive(Debug)]
pub struct Process {
    /// The supervisor's id; what the command starts descends from it.
    pub supervisor: Pid,
    reaper: Reaper,
    reports: Reports,
    /// Resolves when the supervisor and everything below it is gone.
    gone: oneshot::Receiver<()>,
    /// The command's end, should PID 1 inherit it.
    inherited: Option<(Pid, oneshot::Receiver<Ended>)>,
    /// How the command ended, or why it could not be started.
    end: Option<Result<Ended, Failure>>,
    empty: bool,
    /// Its supervisor was killed, and PID 1 ended what it had.
    orphaned: bool,
}

impl Process {
    /// A supervisor with its child, without an order yet.
    ///
    /// # Errors
    /// `TOO_MANY_PROCESSES` at the limit; otherwise what the kernel says.
    pub fn new(supervisors: &Supervisors) -> Result<(Self, Output), Failure> {
        let supervisor = supervisors.take().map_err(|error| from_os(&error))?;
        let process = Self {
            supervisor: supervisor.pid,
            reaper: supervisors.reaper().clone(),
            reports: supervisor.reports,
            gone: supervisor.gone,
            inherited: None,
            end: None,
            empty: false,
            orphaned: false,
        };
        Ok((process, supervisor.output))
    }

    /// Gives the child its order. Takes long when user code has stopped it; fails
    /// when user code has killed it, and its end says so.
    pub async fn order(&mut self, order: &Order) {
        let order = order.encode_to_vec();
        let length = u32::try_from(order.len()).unwrap_or(u32::MAX).to_le_bytes();
        self.reports
            .send(&[&length, order.as_slice()].concat())
            .await;
    }

    /// Waits for the end of the command itself. Can be dropped and called again.
    ///
    /// # Errors
    /// Why it could not be started.
    pub async fn ended(&mut self) -> Result<Ended, Failure> {
        loop {
            if let Some(end) = &self.end {
                return end.clone();
            }
            if !self.advance().await {
                self.orphaned = true;
                self.end = Some(Ok(self.inherited_end().await));
            }
        }
    }

    /// The command's end after it was interrupted: whatever there is to know.
    pub async fn ended_after_kill(&mut self) -> Ended {
        let ended = timeout(REPORT, self.ended()).await;
        ended.ok().and_then(Result::ok).unwrap_or_else(killed)
    }

    /// Waits until nothing of the command is left. Can be dropped and called
    /// again.
    pub async fn emptied(&mut self) {
        while !self.empty {
            if !self.advance().await {
                // An error: the reaper told it before.
                let _ = (&mut self.gone).await;
                self.empty = true;
            }
        }
    }

    /// Takes in one report. `false` when no more will come.
    async fn advance(&mut self) -> bool {
        match self.reports.next().await {
            Some(Fact::Started(pid)) => {
                self.inherited = Pid::from_raw(pid).map(|pid| (pid, self.reaper.command(pid)));
            }
            Some(Fact::Failed(failed)) => self.end = Some(Err(from_step(&failed))),
            Some(Fact::Ended(ended)) => {
                // One that could not be started ends too: the first word counts.
                self.end.get_or_insert(Ok(ended));
                if let Some((pid, _)) = self.inherited.take() {
                    self.reaper.forget(pid);
                }
            }
            Some(Fact::Empty(_)) => self.empty = true,
            None => return false,
        }
        true
    }

    /// The supervisor was killed by user code. PID 1 inherited the command,
    /// ends it, and knows what `waitid` said of it. Of one whose pid was not told yet
    /// it knows that it was killed, perhaps before it ran.
    async fn inherited_end(&mut self) -> Ended {
        match self.inherited.as_mut() {
            Some((_, inherited)) => inherited.await.unwrap_or_else(|_| killed()),
            None => killed(),
        }
    }

    /// Whether its supervisor was killed, so that its own end was meant.
    pub fn is_orphaned(&self) -> bool {
        self.orphaned
    }

    /// Whether nothing of the command is known to be left.
    pub fn is_empty(&self) -> bool {
        self.empty
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some((pid, _)) = self.inherited.take() {
            self.reaper.forget(pid);
        }
    }
}

/// The end that PID 1 gives.
fn killed() -> Ended {
    Ended {
        signal: Some(libc::SIGKILL),
        ..Ended::default()
    }
}

fn from_step(failed: &Failed) -> Failure {
    let error = io::Error::from_raw_os_error(failed.errno);
    match (failed.step(), failed.errno) {
        (Step::Chdir, _) => Failure::new(Code::BadCwd, error.to_string()),
        (_, libc::E2BIG) => Failure::new(Code::Invalid, "arguments and environment are too long"),
        _ => from_os(&error),
    }
}

fn from_os(error: &io::Error) -> Failure {
    let code = match error.raw_os_error() {
        Some(libc::EAGAIN) => Code::TooManyProcesses,
        Some(libc::ENOSPC) => Code::NoSpace,
        _ => Code::Other,
    };
    Failure::new(code, error.to_string())
}
