//! What a command's end means: pure rules.

use casemate_protocol::{Failure, Finished, Outcome, Usage};

use super::command::Interruption;
use crate::supervisor::ExitDetails;

/// The outcome of a command that was accepted and could not be started.
pub fn not_started(failure: Failure) -> Finished {
    Finished {
        failure: Some(failure),
        ..Finished::default()
    }
}

/// How a command ended.
#[derive(Debug, Clone, Copy)]
pub struct CommandEnd {
    /// How its process ended.
    pub ended: ExitDetails,
    /// What interrupted it, if something did.
    pub interruption: Option<Interruption>,
    /// Whether it was hit by the last resort against another.
    pub doomed: bool,
    /// Kills for memory in the container while it ran.
    pub oom_kills: u64,
}

/// A shell reports a child that a signal killed as 128 + the signal.
const SHELL_SAYS_KILLED: i32 = 128 + libc::SIGKILL;

impl CommandEnd {
    /// What the result says. A pure rule, tested for its cases:
    /// `out_of_memory` only where the main process died of a KILL that was not
    /// ours (or its shell said 137) while the kernel killed for memory.
    pub fn outcome(&self) -> Outcome {
        match self.interruption {
            Some(Interruption::Deadline) => return Outcome::TimedOut,
            Some(Interruption::Cancelled | Interruption::Operator) => return Outcome::Cancelled,
            None => {}
        }
        let killed = self.ended.signal == Some(libc::SIGKILL);
        if killed && self.doomed {
            return Outcome::Lost;
        }
        if self.oom_kills > 0 && (killed || self.ended.code == Some(SHELL_SAYS_KILLED)) {
            return Outcome::OutOfMemory;
        }
        match self.ended.signal {
            Some(_) => Outcome::Signaled,
            None => Outcome::Exited,
        }
    }

    /// The exit code as a shell would say it.
    pub fn exit_code(&self) -> i32 {
        let signaled = || 128 + self.ended.signal.unwrap_or_default();
        self.ended.code.unwrap_or_else(signaled)
    }

    /// What it used.
    pub fn usage(&self) -> Usage {
        Usage {
            cpu_ms: self.ended.cpu_ms,
            max_rss_kib: self.ended.max_rss_kib,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(code: Option<i32>, signal: Option<i32>, oom_kills: u64) -> CommandEnd {
        CommandEnd {
            ended: ExitDetails {
                code,
                signal,
                ..ExitDetails::default()
            },
            interruption: None,
            doomed: false,
            oom_kills,
        }
    }

    #[test]
    fn memory_is_blamed_only_for_a_kill_while_the_kernel_counted_one() {
        assert_eq!(end(None, Some(9), 1).outcome(), Outcome::OutOfMemory);
        assert_eq!(end(Some(137), None, 1).outcome(), Outcome::OutOfMemory);
        assert_eq!(end(None, Some(9), 0).outcome(), Outcome::Signaled);
        assert_eq!(end(Some(137), None, 0).outcome(), Outcome::Exited);
        assert_eq!(end(Some(0), None, 3).outcome(), Outcome::Exited);
        assert_eq!(end(None, Some(11), 3).outcome(), Outcome::Signaled);
    }

    #[test]
    fn an_interruption_is_the_outcome_whatever_the_process_said() {
        for (interruption, outcome) in [
            (Interruption::Deadline, Outcome::TimedOut),
            (Interruption::Cancelled, Outcome::Cancelled),
            (Interruption::Operator, Outcome::Cancelled),
        ] {
            let end = CommandEnd {
                interruption: Some(interruption),
                ..end(Some(0), None, 1)
            };
            assert_eq!(end.outcome(), outcome);
        }
    }

    #[test]
    fn who_was_hit_by_the_last_resort_is_lost() {
        let hit = CommandEnd {
            doomed: true,
            ..end(None, Some(9), 0)
        };
        assert_eq!(hit.outcome(), Outcome::Lost);
        let survived = CommandEnd {
            doomed: true,
            ..end(Some(0), None, 0)
        };
        assert_eq!(survived.outcome(), Outcome::Exited);
    }

    #[test]
    fn a_signal_has_the_exit_code_a_shell_would_give() {
        assert_eq!(end(None, Some(15), 0).exit_code(), 143);
        assert_eq!(end(Some(3), None, 0).exit_code(), 3);
    }
}
