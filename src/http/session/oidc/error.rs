//! Why somebody is not signed in at the issuer.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use thiserror::Error;
use tracing::{debug, warn};

use super::issuer::IssuerError;
use crate::http::auth::RETRY_AFTER;

/// Why somebody is not signed in. The texts are for people.
#[derive(Debug, Error)]
pub enum SignInError {
    #[error("This server has no sign-in at an issuer.")]
    None,
    #[error("The sign-in was not begun in this browser, or more than 10 minutes ago.")]
    NotBegun,
    #[error("The answer belongs to another sign-in.")]
    State,
    #[error("The answer is from another issuer.")]
    Issuer,
    #[error("The issuer refused: {0}.")]
    Refused(String),
    #[error("The issuer cannot be asked now.")]
    Unavailable(#[from] IssuerError),
    #[error("The issuer's keys cannot be fetched now.")]
    NoKeys,
    #[error("The issuer did not accept the code.")]
    Code,
    #[error("The issuer's answer is not accepted: {0}.")]
    Token(String),
    #[error("The server has no random numbers.")]
    Random,
}

impl IntoResponse for SignInError {
    fn into_response(self) -> Response {
        let status = match &self {
            Self::None => StatusCode::NOT_FOUND,
            Self::Unavailable(error @ (IssuerError::Recent | IssuerError::Busy)) => {
                debug!(%error, "the issuer is not asked for a sign-in");
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::Unavailable(error) => {
                let error = error as &dyn std::error::Error;
                warn!(error, "the issuer cannot be asked for a sign-in");
                StatusCode::SERVICE_UNAVAILABLE
            }
            // Each failed fetch is in the log already.
            Self::NoKeys => StatusCode::SERVICE_UNAVAILABLE,
            Self::Random => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::BAD_REQUEST,
        };
        let text = format!("{self}\nNobody was signed in. Open the page again to try once more.\n");
        let headers = [
            (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
            (header::CACHE_CONTROL, "no-store"),
            (header::REFERRER_POLICY, "no-referrer"),
        ];
        let mut response = (status, headers, text).into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            let headers = response.headers_mut();
            headers.insert(header::RETRY_AFTER, RETRY_AFTER);
        }
        response
    }
}
