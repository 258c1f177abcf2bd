//! Who a request is from.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::identity::{Principal, Scopes, User};

/// How requests are authenticated.
#[derive(Debug)]
pub enum Authenticator {
    /// Everybody who reaches the loopback address is this user.
    Nobody(User),
}

/// Why a request is not served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// No credential, or none that is good.
    Unauthorized,
}

impl Authenticator {
    /// The caller of this one request.
    ///
    /// # Errors
    /// Why it is refused.
    pub async fn authenticate(&self, _request: &Parts) -> Result<Principal, Refusal> {
        match self {
            Self::Nobody(user) => Ok(Principal {
                user: user.clone(),
                scopes: Scopes::ALL,
            }),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let challenge = [(header::WWW_AUTHENTICATE, "Bearer")];
        (StatusCode::UNAUTHORIZED, challenge).into_response()
    }
}

/// Puts the [`Principal`] into the request, or refuses it.
pub async fn require(
    State(authenticator): State<Arc<Authenticator>>,
    request: Request,
    next: Next,
) -> Response {
    let (mut parts, body) = request.into_parts();
    match authenticator.authenticate(&parts).await {
        Ok(principal) => {
            parts.extensions.insert(principal);
            next.run(Request::from_parts(parts, body)).await
        }
        Err(refusal) => refusal.into_response(),
    }
}
