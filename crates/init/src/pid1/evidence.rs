//! Which reports about one command PID 1 accepts as true: pure rules.
//!
//! | statement | accepted |
//! |---|---|
//! | its process is there | the first time that the supervisor says so |
//! | it ended so | the first time, of that process, from a `waitid` of the supervisor or of PID 1 |
//! | nothing of it is left | by [`TreeReaped`], never by a report |
//! | it did not run | see [`Evidence::verdict`] |
//!
//! The supervisor cannot be traced, nor can its child while it holds the control socket; so
//! no report is user code's. The rules hold all the same for any that would be.

use super::reaper::TreeReaped;
use crate::procfs::ExecState;
use crate::supervisor::{ExitDetails, Fact, FinalStatus, ProcessIdentity, StartError, Step};

/// The accepted reports so far.
#[derive(Debug, Default)]
pub struct Evidence {
    started: Option<ProcessIdentity>,
    failed: Option<StartError>,
    last: Option<FinalStatus>,
    nothing_left: Option<TreeReaped>,
    /// No more reports will come: the supervisor is gone.
    silent: bool,
}

/// How a command ended. Only [`Evidence::verdict`] makes it.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict(ProcessFate);

#[derive(Debug, Clone, PartialEq)]
enum ProcessFate {
    Ended(ExitDetails),
    NotStarted(Cause),
}

/// Why a command did not run.
#[derive(Debug, Clone, PartialEq)]
pub enum Cause {
    /// A step of starting it failed.
    Failed(StartError),
    /// Its supervisor was killed before there was a process.
    SupervisorKilled,
    /// Its process ended without becoming the command, and said nothing of why: another
    /// process of the user's had hold of it.
    Prevented,
}

impl Verdict {
    /// How the command's process ended.
    ///
    /// # Errors
    /// It did not run, nor will it.
    pub fn into_result(self) -> Result<ExitDetails, Cause> {
        match self.0 {
            ProcessFate::Ended(ended) => Ok(ended),
            ProcessFate::NotStarted(cause) => Err(cause),
        }
    }
}

impl Evidence {
    /// Accepts a report. Earlier reports stay valid; an end counts only for a process that was
    /// reported.
    pub fn report(&mut self, fact: Fact) {
        match fact {
            Fact::Started(started) if self.started.is_none() && self.failed.is_none() => {
                self.started = Some(started);
            }
            // The child may be faster with its failure than the supervisor with its start.
            Fact::Failed(failed) if self.last.is_none() => {
                self.failed.get_or_insert(failed);
            }
            Fact::Ended(last) if self.started.is_some() => {
                self.last.get_or_insert(last);
            }
            Fact::Started(_) | Fact::Failed(_) | Fact::Ended(_) | Fact::Empty(_) => {}
        }
    }

    /// The supervisor is gone, and PID 1 knows how the command's process ended, if there
    /// was one.
    pub fn inherited(&mut self, last: Option<FinalStatus>) {
        self.silent = true;
        if self.last.is_none() {
            self.last = last;
        }
    }

    /// Nothing of the command is left.
    pub fn emptied(&mut self, nothing_left: TreeReaped) {
        self.nothing_left = Some(nothing_left);
    }

    /// The command's process.
    pub fn started(&self) -> Option<ProcessIdentity> {
        self.started
    }

    /// Whether there is a process that may be given its order, or never will be.
    pub fn is_ready(&self) -> bool {
        self.started.is_some() || self.failed.is_some() || self.silent
    }

    /// Whether the end of the command's process is known, or that it never had a process.
    pub fn is_over(&self) -> bool {
        let without_process = self.started.is_none() && self.failed.is_some();
        self.last.is_some() || without_process || self.silent
    }

    /// Whether it seems not to have run, which is only said when nothing is left.
    pub fn seems_not_started(&self) -> bool {
        self.last.is_some_and(|last| {
            let never = last.execed() == ExecState::Never && last.ended.code.is_some();
            let said = self.failed.is_some() || last.refusal.is_some();
            last.alone && last.execed() != ExecState::Yes && (never || said)
        })
    }

    /// Whether nothing of the command is left.
    pub fn is_empty(&self) -> bool {
        self.nothing_left.is_some()
    }

    /// What became of the command; `None` while it is not over.
    ///
    /// That it did not run is said of
    /// - one that never had a process,
    /// - one whose process never became another program, by the kernel's own note, ended
    ///   by itself and never left anything that could have. Why is believed of what was
    ///   said before anybody could trace it; later, of an errno with exit code 127.
    ///
    /// Where the kernel makes no such note, that code and that errno must do. Of all others
    /// it is said how their process ended.
    pub fn verdict(&self) -> Option<Verdict> {
        if !self.is_over() {
            return None;
        }
        let not_started = |cause| Some(Verdict(ProcessFate::NotStarted(cause)));
        let failed = self.failed.clone().map(Cause::Failed);
        let Some(last) = self.last else {
            return match (self.started, failed) {
                (None, failed) => not_started(failed.unwrap_or(Cause::SupervisorKilled)),
                // PID 1 ends what it inherits.
                (Some(_), _) => Some(Verdict(ProcessFate::Ended(killed()))),
            };
        };
        let ended = Some(Verdict(ProcessFate::Ended(last.ended)));
        if !self.is_empty() || !last.alone || last.execed() == ExecState::Yes {
            return ended;
        }
        let refusal = last
            .refusal
            .filter(|_| last.ended.code == Some(NOT_STARTED));
        let refused = refusal.map(|errno| {
            let step = Step::Exec.into();
            Cause::Failed(StartError { step, errno })
        });
        match failed.or(refused) {
            Some(cause) => not_started(cause),
            None if last.execed() == ExecState::Never && last.ended.code.is_some() => {
                not_started(Cause::Prevented)
            }
            None => ended,
        }
    }
}

/// What a child exits with that cannot become its command.
const NOT_STARTED: i32 = 127;

/// The end that PID 1 gives.
pub fn killed() -> ExitDetails {
    ExitDetails {
        signal: Some(libc::SIGKILL),
        ..ExitDetails::default()
    }
}

#[cfg(test)]
mod tests;
