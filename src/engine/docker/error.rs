//! What a Docker Engine and bollard say of a failed call, as an [`EngineError`].

use std::time::Duration;

use bollard::errors::Error as BollardError;

use super::{permission, podman_status, remedies};
use crate::engine::error::{Cause, EngineError, shorten};

/// Go's texts of ENOSPC and EDQUOT, which are part of the Engine's message with status 500.
const FULL: [&str; 2] = ["no space left on device", "disk quota exceeded"];

impl EngineError {
    /// A refusal in the Engine's words, cut to a bounded length.
    pub(super) fn refused(call: &'static str, status: u16, message: &str) -> Self {
        let status = podman_status::status_in_dockers_words(status, message);
        let full = FULL.iter().any(|words| message.contains(words));
        let message = shorten(message);
        if full {
            return Self::Full { call, message };
        }
        Self::Refused {
            call,
            status,
            message,
        }
    }

    /// The Engine does not have this image, because of `reason`.
    pub(super) fn image_missing(image: &str, reason: impl Into<String>) -> Self {
        Self::ImageMissing {
            image: image.to_owned(),
            reason: reason.into(),
            remedy: remedies::how_to_get(image),
        }
    }

    /// No connection to the Engine at `address`, because of `source`.
    pub(super) fn unreachable(address: &str, source: impl Into<Cause>) -> Self {
        let (address, source) = (address.to_owned(), source.into());
        if permission::is_denied(&*source) {
            let remedy = permission::remedy(&address);
            return Self::Forbidden { address, remedy };
        }
        Self::Unavailable {
            address,
            remedy: remedies::START,
            source,
        }
    }

    /// Converts an error of bollard.
    pub(super) fn from_bollard(
        call: &'static str,
        address: &str,
        after: Duration,
        error: BollardError,
    ) -> Self {
        match error {
            BollardError::DockerResponseServerError {
                status_code,
                message,
            } => Self::refused(call, status_code, &message),
            // An error in the middle of an answer that began as a success: a pull.
            BollardError::DockerStreamError { error } => Self::refused(call, 500, &error),
            BollardError::RequestTimeoutError => Self::Deadline { call, after },
            BollardError::HyperLegacyError { .. }
            | BollardError::HyperResponseError { .. }
            | BollardError::IOError { .. }
            | BollardError::SocketNotFoundError(_) => Self::unreachable(address, error),
            other => Self::Answer {
                call,
                source: Box::new(other),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_for_want_of_disk_space_is_told_from_the_others() {
        let of = |message| EngineError::refused("create", 500, message);
        for message in [
            "mkdir /var/lib/docker/overlay2/1-init: no space left on device\n",
            "write /var/lib/docker/containers/1/.tmp-config.v2.json2: disk quota exceeded",
        ] {
            assert!(matches!(of(message), EngineError::Full { .. }), "{message}");
        }
        let other = of("quota size requested but no quota support");
        assert_eq!(other.status(), Some(500));
    }
}
