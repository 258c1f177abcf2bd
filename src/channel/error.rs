use std::time::Duration;

use casemate_protocol::failure::Code as FailureCode;
use casemate_protocol::{Failure, FailureExt as _, PROTOCOL};
use tonic::{Code, Status};

/// Why a call that a newer server makes fails in a container that an older one created.
const UNKNOWN_CALL: &str =
    "this sandbox was started by an older server; it can do this once it was idle and ended";

/// A channel that could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    /// PID 1 did not answer.
    #[error("PID 1 of the container did not answer in {after:?}")]
    Silent { after: Duration },
    /// PID 1 speaks another major version of the protocol.
    #[error("PID 1 of the container speaks protocol {theirs}, this server {PROTOCOL}")]
    Incompatible {
        /// The version it speaks.
        theirs: u32,
    },
    /// PID 1 does not report that the kernel refuses all forbidden calls. Such a container is never
    /// used.
    #[error("the container's kernel does not refuse these calls: {missing}")]
    Unconfined {
        /// The unreported rules, by their names in casemate-seccomp.
        missing: String,
        /// PID 1 ends itself.
        retired: bool,
    },
    /// The kernel does not keep the user's code from PID 1, so nothing that PID 1 says would be true.
    /// Such a container is never used.
    #[error(
        "the container's kernel does not protect {missing} from the user's code; {}",
        remedy(*.separate)
    )]
    Unshielded {
        /// What is not protected, by its names in casemate-protocol.
        missing: String,
        /// PID 1 has another real user than the commands.
        separate: bool,
        /// PID 1 ends itself.
        retired: bool,
    },
    /// HTTP/2 over the stream failed.
    #[error("the stream to PID 1 broke while it was opened")]
    Http(#[from] hyper::Error),
    /// PID 1 did not answer the request to end.
    #[error("PID 1 did not answer the request to end")]
    Retire(#[source] Box<CallError>),
    /// The first call failed.
    #[error("the first call to PID 1 failed")]
    Call(#[from] Status),
}

/// What the operator can do where PID 1 is not protected.
fn remedy(separate: bool) -> &'static str {
    if separate {
        "the runtime must be gVisor's: install a newer runsc on the Engine's host, that of September \
         2026 has all of it"
    } else {
        "for gVisor set CASEMATE_PROFILE=high, or make runc the runtime"
    }
}

/// A call to PID 1 that failed.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// PID 1 reports why the call failed.
    #[error("PID 1 says {}: {}", .0.code().as_str_name(), .0.text())]
    Failed(Failure),
    /// The channel broke before the answer: it is unknown whether the call happened.
    #[error("the channel to PID 1 broke")]
    Lost(#[source] Box<Status>),
    /// No answer in time.
    #[error("PID 1 did not answer in {0:?}")]
    Deadline(Duration),
}

impl From<Status> for CallError {
    fn from(status: Status) -> Self {
        match Failure::from_status(&status) {
            Some(failure) => Self::Failed(failure),
            // Nothing happened, and repeating it changes nothing.
            None if status.code() == Code::Unimplemented => {
                Self::Failed(Failure::new(FailureCode::Other, UNKNOWN_CALL))
            }
            None => Self::Lost(Box::new(status)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_an_older_sandbox_does_not_know_has_failed_and_is_not_lost() {
        let unknown = CallError::from(Status::unimplemented(""));
        assert!(
            matches!(&unknown, CallError::Failed(failure) if failure.text() == UNKNOWN_CALL),
            "{unknown}"
        );
        let gone = CallError::from(Status::unavailable("gone"));
        assert!(matches!(gone, CallError::Lost(_)), "{gone}");
    }
}
