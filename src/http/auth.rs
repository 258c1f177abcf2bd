//! The user that a request is from.
//!
//! ```text
//! none     no credential: one user, loopback only          ─┐
//! tokens   digest in a file ─► its user, or the one it names ├─► Principal (user, scopes)
//! jwt      signature, iss, aud, exp ─► (iss, sub)           ─┘
//! X-Casemate-Workspace ─► which of the user's workspaces
//! ```
//!
//! Invariants:
//! - A credential is a Bearer token in the one `Authorization` header. The query is never used:
//!   URLs are logged, stored and passed on.
//! - It is removed from the request as soon as it was checked: no later layer can log it or pass it
//!   on. No type here shows one in its `Debug`.
//! - Users of different sources cannot be the same: those of `tokens` and of stdio have the issuer
//!   `local`, those of a delegate the name of its token, which is neither `local` nor a URL, those
//!   of `jwt` their issuer's URL.
//! - When in doubt, a request is refused.

mod bearer;
mod challenge;
mod error;
mod jwt;
mod metadata;
mod rejection;
mod scope;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
pub mod tokens;
mod workspace;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use thiserror::Error;
use tracing::debug;

pub use challenge::RETRY_AFTER;
pub use error::AuthError;
pub use jwt::Jwt;
pub use rejection::AuthRejection;
pub use scope::{require_files, require_tools};
pub use tokens::USER_HEADER;
pub use workspace::{WorkspaceNaming, workspace};

use crate::config::{Auth, Bind, Config};
use crate::identity::{Identity, Principal, Scopes};
use bearer::Bearer;
use challenge::Challenge;
use tokens::{Tokens, reject_user_header};

/// The user whose session came with a request of the page, in the request's extensions: a
/// credential as good as a token (see [`session`](super::session)).
#[derive(Debug, Clone)]
pub struct SessionPrincipal(pub Principal);

/// How requests are authenticated.
#[derive(Debug)]
pub enum Authenticator {
    /// Every caller on the loopback address is this user.
    Nobody(Identity),
    /// A caller has a token of the file.
    Tokens(Tokens),
    /// A caller has an access token of the issuer.
    Jwt(Box<Jwt>),
}

/// Requests need no credential, but other machines can reach the address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "with auth none every caller who reaches {0} is the one user, and that is not a loopback address; \
     listen on 127.0.0.1, or set CASEMATE_AUTH to tokens or jwt"
)]
pub struct ExposedAddress(SocketAddr);

/// Whether `address` may be listened on.
///
/// # Errors
/// Without authentication, when it is not loopback.
pub fn check(address: SocketAddr, auth: &Auth) -> Result<(), ExposedAddress> {
    // `::ffff:127.0.0.1` is loopback too, as the only mapped address.
    let loopback = address.ip().to_canonical().is_loopback();
    match auth {
        Auth::None if !loopback => Err(ExposedAddress(address)),
        Auth::None | Auth::Tokens(_) | Auth::Jwt(_) => Ok(()),
    }
}

impl Authenticator {
    /// By the settings. Blocks on the file of tokens or keys. Keys at a URL are fetched for the
    /// first request: the server starts even if its issuer is down.
    ///
    /// # Errors
    /// A file that cannot be used, no certificates to trust, a directory that all users would share,
    /// or groups by claims where callers have none.
    pub fn new(config: &Config) -> Result<Self, AuthError> {
        let one_user = config.http.auth == Auth::None;
        if matches!(config.bind, Some(Bind::Dir(_))) && !one_user {
            return Err(AuthError::OneDirectory);
        }
        let groups = &config.groups;
        let by_claims = groups.by_claims();
        Ok(match (&config.http.auth, by_claims) {
            (Auth::Jwt(settings), _) => {
                Self::Jwt(Box::new(Jwt::new(settings.clone(), groups.clone())?))
            }
            (_, Some(group)) => return Err(AuthError::ClaimsWithoutTokens(group.name.clone())),
            (Auth::None, None) => Self::Nobody(config.without_token(config.user.clone())),
            (Auth::Tokens(file), None) => Self::Tokens(Tokens::load(file, groups.clone())?),
        })
    }

    /// The caller of this one request.
    ///
    /// # Errors
    /// Why it is refused.
    pub async fn authenticate(&self, request: &Parts) -> Result<Principal, AuthRejection> {
        let headers = &request.headers;
        match self {
            Self::Nobody(identity) => {
                reject_user_header(headers)?;
                Ok(Principal {
                    identity: identity.clone(),
                    scopes: Scopes::ALL,
                })
            }
            Self::Tokens(tokens) => tokens.principal(&Bearer::of(headers)?, headers),
            Self::Jwt(jwt) => {
                let principal = jwt.principal(&Bearer::of(headers)?).await?;
                reject_user_header(headers)?;
                Ok(principal)
            }
        }
    }

    /// Whether a value of `Authorization` is a credential of this deployment, also one that is not
    /// good for everything.
    pub fn knows(&self, value: &HeaderValue) -> bool {
        let headers = HeaderMap::from_iter([(AUTHORIZATION, value.clone())]);
        let Ok(bearer) = Bearer::of(&headers) else {
            return false;
        };
        match self {
            Self::Nobody(_) => false,
            Self::Tokens(tokens) => tokens.knows(&bearer),
            Self::Jwt(jwt) => jwt.is_addressed_by(&bearer),
        }
    }

    fn challenge(&self, request: &Parts) -> Challenge {
        match self {
            Self::Nobody(_) | Self::Tokens(_) => Challenge::plain(),
            Self::Jwt(jwt) => Challenge::with_metadata(jwt.audience(), &request.headers),
        }
    }
}

/// The routes that need no credential: the metadata of the authorization server.
pub fn metadata(authenticator: &Authenticator) -> Router {
    match authenticator {
        Authenticator::Jwt(jwt) => metadata::routes(Some(jwt)),
        Authenticator::Nobody(_) | Authenticator::Tokens(_) => metadata::routes(None),
    }
}

/// The answer where the credential was in a body.
pub fn reject_body(rejection: &AuthRejection) -> Response {
    Challenge::plain().reject(rejection)
}

/// Puts the [`Principal`] into the request, or refuses it.
pub async fn require(
    State(authenticator): State<Arc<Authenticator>>,
    request: Request,
    next: Next,
) -> Response {
    let (mut parts, body) = request.into_parts();
    let challenge = authenticator.challenge(&parts);
    let session = parts.extensions.remove::<SessionPrincipal>();
    let authenticated = match session {
        Some(SessionPrincipal(principal)) => reject_user_header(&parts.headers).map(|()| principal),
        None => authenticator.authenticate(&parts).await,
    };
    match authenticated {
        Ok(principal) => {
            parts.headers.remove(AUTHORIZATION);
            parts.headers.remove(USER_HEADER);
            parts.extensions.insert(principal);
            parts.extensions.insert(challenge);
            next.run(Request::from_parts(parts, body)).await
        }
        Err(rejection) => {
            debug!(refusal = %rejection, path = ?parts.uri.path(), "refused");
            challenge.reject(&rejection)
        }
    }
}
