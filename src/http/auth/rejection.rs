//! Why a request is not served, and the answer that says so.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use thiserror::Error;

use super::challenge::Challenge;
use crate::http::failure::failure;
use crate::identity::{IdentityError, Scope};

/// After how many seconds a client may try again when the issuer's keys cannot be had.
const RETRY_AFTER: &str = "10";

/// Why a request is not served. The texts are for the caller and for the log: none has a part of a
/// credential in it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AuthRejection {
    /// No Bearer token.
    #[error("a Bearer token is needed")]
    Missing,
    /// A token that is not good.
    #[error("the token is not accepted: {0}")]
    Invalid(&'static str),
    /// A good token that is not good for this.
    #[error("the token lacks the scope {}", .0.as_str())]
    Lacks(Scope),
    /// `X-Casemate-User` from somebody who is a user.
    #[error("X-Casemate-User is for the tokens of delegates")]
    NotADelegate,
    /// A delegate does not say whom it speaks for.
    #[error("a delegate names its user in X-Casemate-User, once")]
    WhichUser,
    /// A delegate names somebody who cannot be.
    #[error("X-Casemate-User: {0}")]
    BadUser(#[from] IdentityError),
    /// A delegate names somebody in bytes that are no text.
    #[error("X-Casemate-User is not valid UTF-8")]
    UserNotUtf8,
    /// Nobody can be authenticated: the keys are not to be had.
    #[error("the keys of the tokens' issuer cannot be had now; try again later")]
    NoKeys,
}

impl AuthRejection {
    fn status(&self) -> StatusCode {
        match self {
            Self::Missing | Self::Invalid(_) => StatusCode::UNAUTHORIZED,
            Self::Lacks(_) | Self::NotADelegate => StatusCode::FORBIDDEN,
            Self::WhichUser | Self::BadUser(_) | Self::UserNotUtf8 => StatusCode::BAD_REQUEST,
            Self::NoKeys => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// For programs; the first and the second are RFC 6750's (section 3.1).
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "invalid_token",
            Self::Lacks(_) => "insufficient_scope",
            Self::Missing => "unauthorized",
            Self::NotADelegate => "forbidden",
            Self::WhichUser | Self::BadUser(_) | Self::UserNotUtf8 => "invalid_request",
            Self::NoKeys => "unavailable",
        }
    }

    /// The answer; one that asks for a credential, or for another, says which.
    pub(super) fn into_response(self, challenge: &Challenge) -> Response {
        let body = failure(self.code(), &self.to_string());
        let mut response = (self.status(), body).into_response();
        let headers = response.headers_mut();
        if let Some(value) = challenge.to_value(&self) {
            headers.insert(header::WWW_AUTHENTICATE, value);
        }
        if self == Self::NoKeys {
            headers.insert(
                header::RETRY_AFTER,
                header::HeaderValue::from_static(RETRY_AFTER),
            );
        }
        response
    }
}
