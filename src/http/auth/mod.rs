//! Who a request is from.
//!
//! ```text
//! none     nobody asks: one user, loopback only            ─┐
//! tokens   digest in a file ─► its user, or the one it names ├─► Principal (user, scopes)
//! jwt      signature, iss, aud, exp ─► (iss, sub)           ─┘
//! ```
//!
//! Invariants:
//! - A credential is a Bearer token in the one `Authorization` header. The query is never looked
//!   at: URLs are logged, kept and passed on.
//! - It is taken off the request as soon as it was checked: nothing behind this can log it or hand
//!   it on. No type here shows one in its `Debug`.
//! - Users cannot be anybody else's: those of `tokens` and of stdio have the issuer `local`, those
//!   of a delegate the name of its token, which is neither `local` nor a URL, those of `jwt` their
//!   issuer's URL.
//! - What is in doubt is refused.

mod bearer;
mod challenge;
mod jwt;
mod metadata;
mod rejection;
mod reload;
mod scope;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
pub mod tokens;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName};
use axum::middleware::Next;
use axum::response::Response;
use thiserror::Error;
use tracing::debug;

pub use jwt::TlsError;
pub use metadata::routes as metadata;
pub use rejection::AuthRejection;
pub use reload::FileError;
pub use scope::{require_files, require_tools};

use crate::config::{Auth, Bind, Config};
use crate::identity::{Principal, Scopes, User};
use bearer::Bearer;
use challenge::Challenge;
use jwt::Jwt;
use tokens::Tokens;

/// In a request with a delegate's token: which of its users it is for.
pub const USER_HEADER: HeaderName = HeaderName::from_static("x-casemate-user");

/// How requests are authenticated.
#[derive(Debug)]
pub enum Authenticator {
    /// Everybody who reaches the loopback address is this user.
    Nobody(User),
    /// Whoever has a token of the file.
    Tokens(Tokens),
    /// Whoever has an access token of the issuer.
    Jwt(Box<Jwt>),
}

/// Why nobody can be authenticated.
#[derive(Debug, Error)]
pub enum AuthError {
    /// The file of the tokens or of the keys.
    #[error(transparent)]
    File(#[from] FileError),
    /// Many users, and one directory for all of them.
    #[error(
        "bind_dir is one directory, for the one user of auth none; with more users set bind_root"
    )]
    OneDirectory,
    /// The keys could not be fetched safely.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// Nobody is asked who they are, and more than this machine can reach the address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "auth is none and {0} is not a loopback address: whoever reaches it would be the one user; \
     listen on 127.0.0.1, or set CASEMATE_AUTH to tokens or jwt"
)]
pub struct ExposedAddress(SocketAddr);

/// Whether `address` may be listened on.
///
/// # Errors
/// Without authentication, when it is not loopback.
pub fn check(address: SocketAddr, auth: &Auth) -> Result<(), ExposedAddress> {
    // `::ffff:127.0.0.1` is loopback too, and no other address is that is mapped.
    let loopback = address.ip().to_canonical().is_loopback();
    match auth {
        Auth::None if !loopback => Err(ExposedAddress(address)),
        Auth::None | Auth::Tokens(_) | Auth::Jwt(_) => Ok(()),
    }
}

impl Authenticator {
    /// As the settings say. Blocks on the file of tokens or keys. Keys behind a URL are fetched
    /// for the first request: the server comes up also with its issuer down.
    ///
    /// # Errors
    /// A file that cannot be used, no certificates to trust, or a directory that all would share.
    pub fn new(config: &Config) -> Result<Self, AuthError> {
        let one_user = config.http.auth == Auth::None;
        if matches!(config.bind, Some(Bind::Dir(_))) && !one_user {
            return Err(AuthError::OneDirectory);
        }
        Ok(match &config.http.auth {
            Auth::None => Self::Nobody(config.user.clone()),
            Auth::Tokens(file) => Self::Tokens(Tokens::load(file)?),
            Auth::Jwt(settings) => Self::Jwt(Box::new(Jwt::new(settings.clone())?)),
        })
    }

    /// The caller of this one request.
    ///
    /// # Errors
    /// Why it is refused.
    pub async fn authenticate(&self, request: &Parts) -> Result<Principal, AuthRejection> {
        let headers = &request.headers;
        match self {
            Self::Nobody(user) => {
                for_nobody_else(headers)?;
                Ok(Principal {
                    user: user.clone(),
                    scopes: Scopes::ALL,
                })
            }
            Self::Tokens(tokens) => tokens.principal(&Bearer::of(headers)?, headers),
            Self::Jwt(jwt) => {
                let principal = jwt.principal(&Bearer::of(headers)?).await?;
                for_nobody_else(headers)?;
                Ok(principal)
            }
        }
    }

    fn challenge(&self, request: &Parts) -> Challenge {
        match self {
            Self::Nobody(_) | Self::Tokens(_) => Challenge::plain(),
            Self::Jwt(jwt) => Challenge::with_metadata(jwt.audience(), &request.headers),
        }
    }
}

/// Only a delegate speaks for others.
fn for_nobody_else(headers: &HeaderMap) -> Result<(), AuthRejection> {
    if headers.contains_key(USER_HEADER) {
        return Err(AuthRejection::NotADelegate);
    }
    Ok(())
}

/// Puts the [`Principal`] into the request, or refuses it.
pub async fn require(
    State(authenticator): State<Arc<Authenticator>>,
    request: Request,
    next: Next,
) -> Response {
    let (mut parts, body) = request.into_parts();
    let challenge = authenticator.challenge(&parts);
    match authenticator.authenticate(&parts).await {
        Ok(principal) => {
            parts.headers.remove(AUTHORIZATION);
            parts.headers.remove(USER_HEADER);
            parts.extensions.insert(principal);
            parts.extensions.insert(challenge);
            next.run(Request::from_parts(parts, body)).await
        }
        Err(rejection) => {
            debug!(refusal = %rejection, path = ?parts.uri.path(), "refused");
            rejection.into_response(&challenge)
        }
    }
}
