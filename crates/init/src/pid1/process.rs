//! A command as processes: its supervisor, and what that reports.

use std::time::Duration;

use casemate_protocol::Failure;
use prost::Message as _;
use rustix::process::Pid;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::evidence::{Evidence, killed};
use super::reaper::{Reaper, TreeReaped};
use super::reports::Reports;
use super::start_failure::{self, SpawnFailure};
use super::supervisors::{Input, Streams, Supervisors};
use crate::procfs;
use crate::supervisor::{ExitDetails, Fact, FinalStatus, ProcessIdentity, RunRequest};
use crate::tree;

/// How long the end of a command that was killed may take to be told.
const REPORT_TIMEOUT: Duration = Duration::from_millis(500);

/// How long a supervisor may take to say that nothing is left, where that seems so.
const CONFIRMATION_TIMEOUT: Duration = Duration::from_secs(1);

/// A supervisor that was started, and the evidence about its command.
#[derive(Debug)]
pub struct Process {
    /// The supervisor's id; what the command starts descends from it.
    pub supervisor: Pid,
    reaper: Reaper,
    reports: Reports,
    /// Resolves when the supervisor and everything below it is gone.
    gone: oneshot::Receiver<TreeReaped>,
    /// The command's end, should PID 1 inherit it.
    inherited: Option<(ProcessIdentity, oneshot::Receiver<FinalStatus>)>,
    evidence: Evidence,
    /// Its supervisor was killed, and PID 1 ended what it had.
    orphaned: bool,
}

impl Process {
    /// A supervisor with its child, without an order yet.
    ///
    /// # Errors
    /// The resource that is missing.
    pub fn new(supervisors: &Supervisors, input: Input) -> Result<(Self, Streams), SpawnFailure> {
        let supervisor = supervisors.take(input)?;
        let process = Self {
            supervisor: supervisor.pid,
            reaper: supervisors.reaper().clone(),
            reports: supervisor.reports,
            gone: supervisor.gone,
            inherited: None,
            evidence: Evidence::default(),
            orphaned: false,
        };
        Ok((process, supervisor.streams))
    }

    /// The command's own process, once it is known.
    pub fn main(&self) -> Option<Pid> {
        let started = self.evidence.started()?;
        Pid::from_raw(started.pid)
    }

    /// The group of all processes of the command that did not leave it. Its id cannot be another's while
    /// the command's own process is there.
    pub fn group(&self) -> Option<Pid> {
        self.main().filter(|_| !self.evidence.is_over())
    }

    /// Gives the child its order, once it is known: one whose id PID 1 does not know
    /// never runs anything. Takes long when user code has stopped it; fails when user code
    /// has killed it, and its end says so.
    pub async fn order(&mut self, order: &RunRequest) {
        while !self.evidence.is_ready() {
            self.advance().await;
        }
        if self.evidence.started().is_none() {
            return;
        }
        let order = order.encode_to_vec();
        let length = u32::try_from(order.len()).unwrap_or(u32::MAX).to_le_bytes();
        self.reports
            .send(&[&length, order.as_slice()].concat())
            .await;
    }

    /// Waits for the end of the command itself. Can be dropped and called again.
    pub async fn ended(&mut self) {
        while !self.evidence.is_over() {
            self.advance().await;
        }
    }

    /// The command's end after it was interrupted, as far as it is known.
    pub async fn ended_after_kill(&mut self) -> ExitDetails {
        let _ = timeout(REPORT_TIMEOUT, self.ended()).await;
        let verdict = self.evidence.verdict();
        let ended = verdict.and_then(|verdict| verdict.into_result().ok());
        ended.unwrap_or_else(killed)
    }

    /// How a command ended that is over.
    ///
    /// # Errors
    /// It did not run.
    pub async fn verdict(&mut self) -> Result<ExitDetails, Failure> {
        if self.evidence.seems_not_started() {
            self.confirm_emptied().await;
        }
        match self.evidence.verdict() {
            Some(verdict) => verdict.into_result().map_err(start_failure::not_started),
            None => Ok(killed()),
        }
    }

    /// Waits until nothing of the command is left. Can be dropped and called
    /// again.
    pub async fn emptied(&mut self) {
        while !self.evidence.is_empty() {
            self.advance().await;
        }
    }

    /// Whether nothing of the command is left, as the kernel confirms in a moment.
    async fn confirm_emptied(&mut self) -> bool {
        timeout(CONFIRMATION_TIMEOUT, self.emptied()).await.is_ok()
    }

    /// How many processes are left of a command that is over; at least 1 where any is.
    ///
    /// Processes that replace one another faster than they are read can escape a count, so only
    /// the kernel's word stands for none.
    pub async fn left(&mut self) -> u32 {
        if self.is_empty() {
            return 0;
        }
        let counted = self.root().map_or(0, tree::size);
        if counted > 0 || self.confirm_emptied().await {
            return counted;
        }
        u32::from(!self.has_only_its_dead())
    }

    /// Whether its supervisor has no child except the command's process, which has ended: it had
    /// no time yet to reap that.
    fn has_only_its_dead(&self) -> bool {
        let dead = |child| procfs::process(child).is_none_or(|process| process.dead);
        let children = self.root().map(tree::children);
        children.is_some_and(|children| {
            children.is_ok_and(|all| {
                all.iter()
                    .all(|&child| self.main() == Some(child) && dead(child))
            })
        })
    }

    /// Accepts one report, or what PID 1 knows itself when no more will come.
    async fn advance(&mut self) {
        match self.reports.next().await {
            Some(Fact::Empty(_)) => {
                if let Some(nothing_left) = self.reaper.nothing_left(self.supervisor) {
                    self.evidence.emptied(nothing_left);
                }
            }
            Some(fact) => {
                let is_end = matches!(fact, Fact::Ended(_));
                self.evidence.report(fact);
                match self.evidence.started() {
                    Some(_) if is_end => self.forget(),
                    Some(started) if self.inherited.is_none() && !self.evidence.is_over() => {
                        self.inherited = Some((started, self.reaper.command(started)));
                    }
                    _ => {}
                }
            }
            None if !self.evidence.is_over() => {
                // The supervisor was killed by user code. PID 1 inherited the command, ends
                // it, and knows what waitid said of it.
                self.orphaned = true;
                let last = match self.inherited.as_mut() {
                    Some((_, last)) => last.await.ok(),
                    None => None,
                };
                self.evidence.inherited(last);
            }
            None => {
                // An error: PID 1 is ending.
                let Ok(nothing_left) = (&mut self.gone).await else {
                    return std::future::pending().await;
                };
                self.evidence.emptied(nothing_left);
            }
        }
    }

    fn forget(&mut self) {
        if let Some((command, _)) = self.inherited.take() {
            self.reaper.forget(command);
        }
    }

    /// Whether its supervisor was killed, so that its own end was meant.
    pub fn is_orphaned(&self) -> bool {
        self.orphaned
    }

    /// Whether nothing of the command is known to be left.
    pub fn is_empty(&self) -> bool {
        self.evidence.is_empty()
    }

    /// The supervisor, while its id cannot be another's.
    pub fn root(&self) -> Option<Pid> {
        let supervisor = Some(self.supervisor);
        supervisor.filter(|&pid| self.reaper.supervises(pid))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.forget();
    }
}
