//! Why a request is refused for its credential.

use axum::http::StatusCode;
use thiserror::Error;

use crate::config::GroupUnknown;
use crate::identity::{IdentityError, Scope};

/// Why a request is refused. The texts are for the caller and for the log: none contains a part of
/// a credential.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AuthRejection {
    /// No Bearer token.
    #[error("a Bearer token is needed")]
    Missing,
    /// A token that is not valid.
    #[error("the token is not accepted: {0}")]
    Invalid(&'static str),
    /// A valid token without the scope.
    #[error("the token lacks the scope {}", .0.as_str())]
    Lacks(Scope),
    /// `X-Casemate-User` with a credential of one user.
    #[error("X-Casemate-User is for the tokens of delegates")]
    NotADelegate,
    /// A delegate does not name its user.
    #[error("a delegate names its user in X-Casemate-User, once")]
    WhichUser,
    /// A delegate names an impossible user.
    #[error("X-Casemate-User: {0}")]
    BadUser(#[from] IdentityError),
    /// A delegate names a user in bytes that are not text.
    #[error("X-Casemate-User is not valid UTF-8")]
    UserNotUtf8,
    /// A request names an impossible workspace, or several: the header and what is wrong with it.
    #[error("{0}")]
    BadWorkspace(String),
    /// A valid token that does not show which group its user is in.
    #[error("{0}; the issuer must put that claim into access tokens for this server")]
    GroupUnknown(#[from] GroupUnknown),
    /// The keys cannot be fetched, so no token can be checked.
    #[error("the keys of the tokens' issuer cannot be fetched now; try again later")]
    NoKeys,
}

impl AuthRejection {
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::Missing | Self::Invalid(_) => StatusCode::UNAUTHORIZED,
            Self::Lacks(_) | Self::NotADelegate | Self::GroupUnknown(_) => StatusCode::FORBIDDEN,
            Self::WhichUser | Self::BadUser(_) | Self::UserNotUtf8 | Self::BadWorkspace(_) => {
                StatusCode::BAD_REQUEST
            }
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
            Self::GroupUnknown(_) => "group_unknown",
            Self::WhichUser | Self::BadUser(_) | Self::UserNotUtf8 | Self::BadWorkspace(_) => {
                "invalid_request"
            }
            Self::NoKeys => "unavailable",
        }
    }
}
