//! Errors of the API server, as those of an Engine.

use std::fmt::Write as _;

use kube::Error;
use kube::core::Status;

use super::api_call::ApiCall;
use crate::engine::error::{Cause, EngineError, shorten};

/// What to do about a missing permission.
const ROLE: &str = "give its account the Role of docs/kubernetes.md";

/// Converts an error of kube-rs.
pub fn from_kube(call: ApiCall<'_>, url: &str, error: Error) -> EngineError {
    match error {
        Error::Api(status) => from_status(call, url, &status),
        Error::Auth(_) => EngineError::Unauthenticated {
            address: url.to_owned(),
            message: format!("they cannot be used: {}", chain(&error)),
        },
        Error::SerdeError(_)
        | Error::FromUtf8(_)
        | Error::HttpError(_)
        | Error::BuildRequest(_) => EngineError::Answer {
            call: call.name,
            source: Box::new(error),
        },
        other => unavailable(url, other),
    }
}

fn from_status(call: ApiCall<'_>, url: &str, status: &Status) -> EngineError {
    let message = first_line(&status.message);
    let name = || match call.object {
        "" => "the request".to_owned(),
        object => object.to_owned(),
    };
    match status.code {
        401 => EngineError::Unauthenticated {
            address: url.to_owned(),
            message,
        },
        403 if is_permission(&message) => EngineError::Forbidden {
            address: url.to_owned(),
            remedy: format!("{message}; {ROLE}"),
        },
        // Another object of its name.
        422 if message.contains("metadata.uid: Invalid value") => EngineError::Refused {
            call: call.name,
            status: 409,
            message,
        },
        // A quota, a limit range, Pod Security, a policy.
        403 | 422 => EngineError::NotAdmitted {
            name: name(),
            message,
        },
        _ if message.contains("admission webhook") => EngineError::NotAdmitted {
            name: name(),
            message,
        },
        429 | 503 | 504 => unavailable(url, message),
        status => EngineError::Refused {
            call: call.name,
            status,
            message,
        },
    }
}

/// `pods is forbidden: User "system:serviceaccount:a:b" cannot create resource "pods" …`. Quotas and
/// policies are refused with the same status and reason.
fn is_permission(message: &str) -> bool {
    message.contains("User \"") && message.contains(" cannot ")
}

pub fn unavailable(url: &str, source: impl Into<Cause>) -> EngineError {
    EngineError::Unavailable {
        address: url.to_owned(),
        remedy: "Retry in a moment; the cluster's operator knows whether its API server is up.",
        source: source.into(),
    }
}

/// The cluster's own words, for people: the first line, of bounded length.
pub fn first_line(text: &str) -> String {
    shorten(text.trim().lines().next().unwrap_or_default())
}

pub fn chain(error: &dyn std::error::Error) -> String {
    let (mut text, mut cause) = (error.to_string(), error.source());
    while let Some(next) = cause {
        // Writing to a String cannot fail.
        let _ = write!(text, ": {next}");
        cause = next.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(code: u16, message: &str) -> EngineError {
        let status = Status::failure(message, "").with_code(code).boxed();
        let call = ApiCall::update("create", "a");
        from_kube(call, "https://10.0.0.1", Error::Api(status))
    }

    #[test]
    fn a_missing_permission_is_told_from_a_quota_and_a_policy() {
        let quota =
            "pods \"a\" is forbidden: exceeded quota: small, requested: pods=1, used: pods=1";
        let security =
            "pods \"a\" is forbidden: violates PodSecurity \"restricted:latest\": runAsUser=0";
        let webhook = "admission webhook \"policy.example.com\" denied the request: no";
        for message in [quota, security, webhook] {
            let error = of(403, message);
            assert!(
                matches!(&error, EngineError::NotAdmitted { name, .. } if name == "a"),
                "{error:?}"
            );
            assert!(error.to_string().contains(message), "{error}");
        }
        let role = "pods is forbidden: User \"system:serviceaccount:a:b\" cannot create resource \"pods\" in API group \"\" in the namespace \"a\"";
        let error = of(403, role);
        assert!(matches!(error, EngineError::Forbidden { .. }), "{error:?}");
        assert!(error.to_string().contains("docs/kubernetes.md"));
        assert!(matches!(
            of(401, "Unauthorized"),
            EngineError::Unauthenticated { .. }
        ));
    }

    #[test]
    fn an_api_server_that_is_busy_or_gone_can_be_asked_again() {
        for code in [429, 503, 504] {
            assert!(of(code, "too many requests").is_retryable(), "{code}");
        }
        assert_eq!(of(404, "gone").status(), Some(404));
        assert_eq!(of(409, "exists").status(), Some(409));
        assert_eq!(of(410, "too old resource version").status(), Some(410));
        assert!(!of(500, "a bug\nits stack").to_string().contains("stack"));
    }
}
