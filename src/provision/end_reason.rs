//! Why a container ended, and what its user is told about it.

use casemate_protocol::exit;

use crate::engine::{EndCause, EndedContainer};

/// Why a container ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Nothing ran for the idle timeout.
    Idle,
    /// A server or the operator asked it to end.
    Retired,
    /// PID 1 was killed: from the host, or for memory.
    Killed,
    /// PID 1 has a bug.
    Crashed,
    /// It no longer answered and was removed.
    Unresponsive,
    /// No server was connected to it for too long.
    Orphaned,
    /// What a command had started could not be ended.
    Stuck,
    /// Its programs held too much of the host's kernel memory.
    Uncharged,
    /// The network reached what it must not.
    Reachable,
    /// The engine ended it.
    ByEngine(EndCause),
    /// It was removed, or it is unknown how it ended.
    Gone,
}

impl Reason {
    /// By what the engine says. Its own reason explains the exit code: PID 1 only knows that it was
    /// asked to end.
    pub fn of(end: EndedContainer) -> Self {
        end.cause
            .map_or_else(|| Self::from_exit_code(end.exit_code), Self::ByEngine)
    }

    /// By the exit code of PID 1; `None` where it is unknown.
    pub fn from_exit_code(code: Option<i64>) -> Self {
        match code {
            Some(exit::IDLE_TIMEOUT) => Self::Idle,
            Some(exit::RETIRED) => Self::Retired,
            Some(
                exit::PANIC
                | exit::NOT_SERVING
                | exit::UNFILTERED
                | exit::NO_WORKSPACE
                | exit::NOT_OWNER
                | exit::USAGE,
            ) => Self::Crashed,
            Some(exit::STUCK) => Self::Stuck,
            Some(exit::UNCHARGED) => Self::Uncharged,
            Some(exit::REACHABLE) => Self::Reachable,
            Some(exit::ORPHANED) => Self::Orphaned,
            Some(exit::KILLED) => Self::Killed,
            _ => Self::Gone,
        }
    }

    /// One word, for the metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Retired => "retired",
            Self::Killed => "killed",
            Self::Crashed => "crashed",
            Self::Unresponsive => "unresponsive",
            Self::Orphaned => "orphaned",
            Self::Stuck => "stuck",
            Self::Uncharged => "uncharged",
            Self::Reachable => "reachable",
            Self::ByEngine(cause) => cause.word(),
            Self::Gone => "gone",
        }
    }

    /// One sentence for the user.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Idle => "the sandbox had ended itself after being idle",
            Self::Retired => {
                "the sandbox was asked to end, for newer settings, for room or by the operator"
            }
            Self::Killed => "the sandbox was killed from outside or for memory",
            Self::Crashed => "the sandbox's PID 1 crashed",
            Self::Unresponsive => "the sandbox no longer answered and was removed",
            Self::Orphaned => "the sandbox had ended itself after losing its server",
            Self::Stuck => "the sandbox was replaced because processes in it could not be ended",
            Self::Uncharged => {
                "the sandbox was stopped because its programs held more than 20,000 file locks or \
                 30,000 connections"
            }
            Self::Reachable => {
                "the sandbox had ended itself because the cluster's network no longer kept it from \
                 reaching what it must not"
            }
            Self::ByEngine(cause) => cause.sentence(),
            Self::Gone => "the sandbox was removed from outside",
        }
    }
}

/// What a replacement takes away.
pub const LOST: &str = "running processes and everything outside /workspace, such as /tmp";

/// What a replacement keeps.
pub const KEPT: &str = "/workspace";

/// What a replacement loses and keeps when the workspace was removed too.
pub const EMPTIED: (&str, &str) = (
    "everything, including all files in /workspace, which was removed from outside",
    "nothing",
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_tells_the_reason() {
        assert_eq!(Reason::from_exit_code(Some(76)), Reason::Idle);
        assert_eq!(Reason::from_exit_code(Some(75)), Reason::Retired);
        assert_eq!(Reason::from_exit_code(Some(70)), Reason::Crashed);
        assert_eq!(Reason::from_exit_code(Some(72)), Reason::Crashed);
        assert_eq!(Reason::from_exit_code(Some(77)), Reason::Stuck);
        assert_eq!(Reason::from_exit_code(Some(79)), Reason::Uncharged);
        assert_eq!(Reason::from_exit_code(Some(81)), Reason::Reachable);
        assert_eq!(Reason::from_exit_code(Some(137)), Reason::Killed);
        assert_eq!(Reason::from_exit_code(Some(1)), Reason::Gone);
        assert_eq!(Reason::from_exit_code(None), Reason::Gone);
    }

    #[test]
    fn the_engines_own_reason_counts_before_the_exit_code() {
        let mut end = EndedContainer::with_code(Some(exit::RETIRED));
        assert_eq!(Reason::of(end), Reason::Retired);
        end.cause = Some(EndCause::Drained);
        assert_eq!(Reason::of(end), Reason::ByEngine(EndCause::Drained));
        assert!(Reason::of(end).sentence().contains("EvictionByEvictionAPI"));
    }
}
