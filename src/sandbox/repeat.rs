//! What becomes of a call whose channel broke: which container may be asked again,
//! and when nobody can say any more what the first try did.

use std::sync::Arc;
use std::time::Duration;

use casemate_protocol::failure::Code;

use super::SandboxError;
use crate::channel::CallError;

/// Where a call may be repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeat {
    /// It changes nothing, or leaves the same however often it is done.
    Anywhere,
    /// Only where PID 1 knows its id.
    SameContainer,
}

/// Why it is unknown whether a change was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Uncertainty {
    /// Its container is gone.
    Replaced,
    /// Its container did not answer in this time.
    Silent(Duration),
    /// The server is ending and does not wait for the answer.
    Ending,
}

/// One call through its tries.
#[derive(Debug)]
pub(super) struct Tries {
    repeat: Repeat,
    /// Where it was sent without an answer.
    sent: Option<Arc<str>>,
}

impl Tries {
    pub(super) fn new(repeat: Repeat) -> Self {
        Self { repeat, sent: None }
    }

    /// Whether it may be sent to `container`.
    ///
    /// # Errors
    /// [`SandboxError::Uncertain`]: it was sent to another one before.
    pub(super) fn may_go_to(&self, container: &str) -> Result<(), SandboxError> {
        match &self.sent {
            Some(before) if **before != *container && self.repeat == Repeat::SameContainer => {
                Err(SandboxError::Uncertain(Uncertainty::Replaced))
            }
            _ => Ok(()),
        }
    }

    /// `container` answered it with `error`. Whether to try again.
    pub(super) fn failed(&mut self, container: Arc<str>, error: &CallError) -> bool {
        match error {
            // Not accepted there: that says nothing of an earlier try.
            CallError::Failed(failure) => failure.code() == Code::Ending,
            CallError::Lost(_) => {
                self.sent = Some(container);
                true
            }
            CallError::Deadline(_) => {
                self.sent = Some(container);
                false
            }
        }
    }

    /// The last word, `after` the beginning, instead of `error`: an error that says
    /// that nothing was done is only true of a call that was never sent.
    pub(super) fn give_up(&self, error: SandboxError, after: Duration) -> SandboxError {
        if self.sent.is_none() {
            return error;
        }
        match (self.repeat, &error) {
            (Repeat::SameContainer, SandboxError::Failed(failure))
                if failure.code() != Code::Ending =>
            {
                error
            }
            (Repeat::SameContainer, SandboxError::Ending) => self.abandon(),
            (Repeat::SameContainer, _) => SandboxError::Uncertain(Uncertainty::Silent(after)),
            // Those say that nothing was done, and an overwrite may have been.
            (Repeat::Anywhere, SandboxError::NotReady(_) | SandboxError::Channel(_)) => {
                SandboxError::Deadline(after)
            }
            (Repeat::Anywhere, _) => error,
        }
    }

    /// The last word when the server ends while the call is under way.
    pub(super) fn abandon(&self) -> SandboxError {
        match self.repeat {
            Repeat::Anywhere => SandboxError::Ending,
            Repeat::SameContainer => SandboxError::Uncertain(Uncertainty::Ending),
        }
    }
}

#[cfg(test)]
mod tests {
    use casemate_protocol::{Failure, FailureExt as _};

    use super::*;

    const AFTER: Duration = Duration::from_secs(30);

    fn lost() -> CallError {
        CallError::Lost(Box::new(tonic::Status::unavailable("gone")))
    }

    fn refused(code: Code) -> CallError {
        CallError::Failed(Failure::new(code, ""))
    }

    #[test]
    fn a_change_that_was_sent_goes_to_no_other_container_and_the_rest_does() {
        for (repeat, goes) in [(Repeat::SameContainer, false), (Repeat::Anywhere, true)] {
            let mut tries = Tries::new(repeat);
            assert!(tries.may_go_to("a").is_ok());
            assert!(tries.failed("a".into(), &lost()));
            assert!(tries.may_go_to("a").is_ok());
            assert_eq!(tries.may_go_to("b").is_ok(), goes);
            // That the container is ending by now says nothing of the first try.
            assert!(tries.failed("a".into(), &refused(Code::Ending)));
            assert_eq!(tries.may_go_to("b").is_ok(), goes);
        }
    }

    #[test]
    fn what_was_never_accepted_goes_to_the_next_container() {
        let mut tries = Tries::new(Repeat::SameContainer);
        assert!(tries.failed("a".into(), &refused(Code::Ending)));
        assert!(tries.may_go_to("b").is_ok());
        assert!(!tries.failed("b".into(), &refused(Code::NoSpace)));
    }

    #[test]
    fn only_of_a_call_that_was_sent_the_end_is_uncertain() {
        let not_ready = || SandboxError::NotReady(AFTER);
        let mut change = Tries::new(Repeat::SameContainer);
        let told = change.give_up(not_ready(), AFTER);
        assert!(matches!(told, SandboxError::NotReady(_)), "{told}");
        assert!(!change.failed("a".into(), &CallError::Deadline(AFTER)));
        let told = change.give_up(not_ready(), AFTER);
        let silent = Uncertainty::Silent(AFTER);
        assert!(
            matches!(told, SandboxError::Uncertain(why) if why == silent),
            "{told}"
        );
        let says = |code| SandboxError::Failed(Failure::new(code, ""));
        let told = change.give_up(says(Code::NoSpace), AFTER);
        assert!(
            matches!(told, SandboxError::Failed(_)),
            "PID 1 knows: {told}"
        );
        let told = change.give_up(says(Code::Ending), AFTER);
        assert!(matches!(told, SandboxError::Uncertain(_)), "{told}");
        let told = change.give_up(SandboxError::Ending, AFTER);
        let ending = Uncertainty::Ending;
        assert!(
            matches!(told, SandboxError::Uncertain(why) if why == ending),
            "{told}"
        );

        let mut read = Tries::new(Repeat::Anywhere);
        read.failed("a".into(), &lost());
        let told = read.give_up(not_ready(), AFTER);
        assert!(matches!(told, SandboxError::Deadline(_)), "{told}");
    }
}
