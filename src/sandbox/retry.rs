//! A call whose channel broke: which container may be asked again, and when it is unknown what an
//! attempt did. The answer says that a change was not made only if no container can have made it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use casemate_protocol::failure::Code;

use crate::channel::CallError;
use crate::provision::{SandboxError, Uncertainty};

/// Between two tries after a channel broke.
pub(super) const RETRY_INTERVAL: Duration = Duration::from_millis(50);

/// Where a call may be repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RetryPolicy {
    /// Anywhere: it changes nothing.
    Anywhere,
    /// Anywhere: it is a change that has the same effect when it is repeated.
    Overwrite,
    /// Only where PID 1 knows its id: a change that is made once.
    SameContainer,
}

/// One call through its attempts.
#[derive(Debug)]
pub(super) struct RetryState {
    policy: RetryPolicy,
    /// Containers that it was sent to, and that may have done it.
    sent: BTreeSet<Arc<str>>,
}

impl RetryState {
    pub(super) fn new(policy: RetryPolicy) -> Self {
        Self {
            policy,
            sent: BTreeSet::new(),
        }
    }

    /// Whether it may be sent to `container`.
    ///
    /// # Errors
    /// [`SandboxError::Uncertain`]: it was sent to another one before.
    pub(super) fn may_go_to(&self, container: &str) -> Result<(), SandboxError> {
        let elsewhere = !self.sent.is_empty() && !self.sent.contains(container);
        if elsewhere && self.policy == RetryPolicy::SameContainer {
            return Err(self.uncertain(Uncertainty::Replaced));
        }
        Ok(())
    }

    /// `container` answered it with `error`. Whether to try again.
    pub(super) fn failed(&mut self, container: Arc<str>, error: &CallError) -> bool {
        match error {
            // Not accepted there: that says nothing of an earlier try.
            CallError::Failed(failure) if failure.code() == Code::Ending => true,
            // It knows the id: this is what became of an earlier try there, too.
            CallError::Failed(_) => {
                self.sent.remove(&container);
                false
            }
            CallError::Lost(_) => {
                self.sent.insert(container);
                true
            }
            CallError::Deadline(_) => {
                self.sent.insert(container);
                false
            }
        }
    }

    /// The last word, `after` the beginning, instead of `error`: an error that says
    /// that nothing was done, or lets one think so, is only true of a change that no
    /// container may have made.
    pub(super) fn give_up(&self, error: SandboxError, after: Duration) -> SandboxError {
        if self.sent.is_empty() {
            return error;
        }
        if self.policy == RetryPolicy::Anywhere {
            return match error {
                SandboxError::NotReady(_) | SandboxError::Channel(_) => {
                    SandboxError::Deadline(after)
                }
                error => error,
            };
        }
        self.uncertain(match error {
            SandboxError::Ending => Uncertainty::Ending,
            SandboxError::NotReady(_) | SandboxError::Deadline(_) => Uncertainty::Silent(after),
            SandboxError::Failed(failure) if failure.code() != Code::Ending => {
                Uncertainty::Replaced
            }
            _ => Uncertainty::Unreachable,
        })
    }

    /// The last word when the server ends while the call is under way.
    pub(super) fn abandon(&self) -> SandboxError {
        match self.policy {
            RetryPolicy::Anywhere => SandboxError::Ending,
            RetryPolicy::Overwrite | RetryPolicy::SameContainer => {
                self.uncertain(Uncertainty::Ending)
            }
        }
    }

    fn uncertain(&self, why: Uncertainty) -> SandboxError {
        SandboxError::Uncertain {
            why,
            repeatable: self.policy != RetryPolicy::SameContainer,
        }
    }
}

#[cfg(test)]
mod tests {
    use casemate_protocol::{Failure, FailureExt as _};

    use super::*;
    use crate::engine::EngineError;
    use crate::provision::SandboxLimit;

    const AFTER: Duration = Duration::from_secs(30);

    fn lost() -> CallError {
        CallError::Lost(Box::new(tonic::Status::unavailable("gone")))
    }

    fn refused(code: Code) -> CallError {
        CallError::Failed(Failure::new(code, ""))
    }

    fn doubt(told: &SandboxError) -> Option<(Uncertainty, bool)> {
        match told {
            SandboxError::Uncertain { why, repeatable } => Some((*why, *repeatable)),
            _ => None,
        }
    }

    #[test]
    fn a_change_that_is_made_once_goes_to_no_other_container_and_the_rest_does() {
        for (policy, goes) in [
            (RetryPolicy::SameContainer, false),
            (RetryPolicy::Overwrite, true),
            (RetryPolicy::Anywhere, true),
        ] {
            let mut retry = RetryState::new(policy);
            assert!(retry.may_go_to("a").is_ok());
            assert!(retry.failed("a".into(), &lost()));
            assert!(retry.may_go_to("a").is_ok());
            assert_eq!(retry.may_go_to("b").is_ok(), goes);
            // That the container is ending by now says nothing of the first try.
            assert!(retry.failed("a".into(), &refused(Code::Ending)));
            assert_eq!(retry.may_go_to("b").is_ok(), goes);
        }
    }

    #[test]
    fn what_was_never_accepted_goes_to_the_next_container() {
        let mut retry = RetryState::new(RetryPolicy::SameContainer);
        assert!(retry.failed("a".into(), &refused(Code::Ending)));
        assert!(retry.may_go_to("b").is_ok());
        assert!(!retry.failed("b".into(), &refused(Code::NoSpace)));
    }

    /// All errors that a call can end with.
    fn errors() -> Vec<SandboxError> {
        let engine = EngineError::NotRunning { id: String::new() };
        let says = |code| SandboxError::Failed(Failure::new(code, ""));
        vec![
            SandboxError::NotReady(AFTER),
            SandboxError::Deadline(AFTER),
            SandboxError::ImagePreparing,
            SandboxError::Full {
                limit: SandboxLimit::Instance(1),
            },
            SandboxError::Ending,
            engine.into(),
            says(Code::NoSpace),
            says(Code::Ending),
        ]
    }

    #[test]
    fn of_a_change_that_may_have_been_made_no_error_says_otherwise() {
        for (policy, repeatable) in [
            (RetryPolicy::SameContainer, false),
            (RetryPolicy::Overwrite, true),
        ] {
            let mut retry = RetryState::new(policy);
            for error in errors() {
                assert!(doubt(&retry.give_up(error, AFTER)).is_none(), "never sent");
            }
            retry.failed("a".into(), &lost());
            for error in errors() {
                let told = retry.give_up(error, AFTER);
                assert_eq!(
                    doubt(&told).map(|doubt| doubt.1),
                    Some(repeatable),
                    "{told}"
                );
            }
            assert!(doubt(&retry.abandon()).is_some());
        }
    }

    #[test]
    fn the_container_that_it_was_sent_to_knows_what_became_of_it_and_another_does_not() {
        let no_space = || SandboxError::Failed(Failure::new(Code::NoSpace, ""));
        for (answers, certain) in [("a", true), ("b", false)] {
            let mut retry = RetryState::new(RetryPolicy::Overwrite);
            retry.failed("a".into(), &lost());
            retry.failed(answers.into(), &refused(Code::NoSpace));
            let told = retry.give_up(no_space(), AFTER);
            assert_eq!(doubt(&told).is_none(), certain, "{told}");
        }
    }

    #[test]
    fn the_doubt_has_its_reason() {
        let mut change = RetryState::new(RetryPolicy::SameContainer);
        assert!(!change.failed("a".into(), &CallError::Deadline(AFTER)));
        let why = |error| doubt(&change.give_up(error, AFTER)).map(|doubt| doubt.0);
        let [not_ready, deadline, .., engine, _, _] = &errors()[..] else {
            panic!("errors");
        };
        assert_eq!(why(not_ready.clone()), Some(Uncertainty::Silent(AFTER)));
        assert_eq!(why(deadline.clone()), Some(Uncertainty::Silent(AFTER)));
        assert_eq!(why(engine.clone()), Some(Uncertainty::Unreachable));
        assert_eq!(why(SandboxError::Ending), Some(Uncertainty::Ending));
    }

    #[test]
    fn a_read_is_never_in_doubt() {
        let mut read = RetryState::new(RetryPolicy::Anywhere);
        read.failed("a".into(), &lost());
        for error in errors() {
            let told = read.give_up(error, AFTER);
            assert!(doubt(&told).is_none(), "{told}");
            assert!(!matches!(told, SandboxError::NotReady(_)), "{told}");
        }
    }
}
