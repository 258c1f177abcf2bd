use prost::Message as _;
use tonic::{Code, Status};

use crate::{Failure, failure};

/// How a [`Failure`] travels: encoded in the details of a gRPC status.
pub trait FailureExt: Sized {
    /// A failure with the kernel's words or another detail for people.
    fn new(code: failure::Code, detail: impl Into<String>) -> Self;
    /// The detail, after the entry where it is about one.
    fn text(&self) -> String;
    /// The status that carries it.
    fn into_status(self) -> Status;
    /// The failure that `status` carries, if it carries one.
    fn from_status(status: &Status) -> Option<Self>;
}

impl FailureExt for Failure {
    fn new(code: failure::Code, detail: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            detail: detail.into(),
            ..Self::default()
        }
    }

    fn text(&self) -> String {
        match self.entry.as_str() {
            "" => self.detail.clone(),
            entry => format!("{entry}: {}", self.detail),
        }
    }

    fn into_status(self) -> Status {
        let message = self.code().as_str_name();
        Status::with_details(
            Code::FailedPrecondition,
            message,
            self.encode_to_vec().into(),
        )
    }

    fn from_status(status: &Status) -> Option<Self> {
        if status.code() != Code::FailedPrecondition || status.details().is_empty() {
            return None;
        }
        Self::decode(status.details()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_survives_the_status_that_carries_it() {
        let failure = Failure::new(failure::Code::NoSpace, "No space left on device");
        let status = failure.clone().into_status();
        assert_eq!(Failure::from_status(&status), Some(failure));
        assert_eq!(Failure::from_status(&Status::unavailable("gone")), None);
    }
}
