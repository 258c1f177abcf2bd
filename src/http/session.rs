//! Sign-in on the page for people: a session in a cookie, instead of a token in a script's memory.
//!
//! ```text
//! tokens   POST /sign-in {"token"}  ──────────────────────────────────► session
//! jwt      GET /sign-in/start ─► the issuer ─► GET /sign-in/callback ─► session   (oidc)
//!          POST /sign-out ─► none
//! ```
//!
//! Invariants:
//! - A session is sealed ([`seal`]): the server keeps nothing, and any server with the same key reads
//!   it. It says whose it is in the terms of the server's own authentication, which is asked again
//!   for each request: a token that is taken out of the file ends its sessions.
//! - It counts on the page's own routes alone ([`PAGE_ROUTES`]), for the page's own requests alone
//!   ([`is_from_the_page`]): with it, another site can neither read nor change anything, and `/mcp`
//!   and `/v1` do not look at it.
//! - The cookie is never logged, and taken off the request before a route sees it.

mod cookie;
mod oidc;
mod routes;
mod seal;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, COOKIE};
use axum::http::{HeaderMap, HeaderName};
use axum::middleware::Next;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::auth::{Authenticator, FileError, SessionPrincipal, TlsError};
use crate::config::HttpSettings;
use crate::identity::{Principal, Scopes, User};
use oidc::SignIn;
use seal::{KeyError, Purpose, Seal};

pub use oidc::CALLBACK;
pub use routes::routes;

/// The session. The prefix has browsers take it from this host alone, over TLS or on loopback.
const COOKIE_NAME: &str = "__Host-casemate";

/// A day at work. After it, the page asks again.
const SESSION_TTL: Duration = Duration::from_secs(8 * 60 * 60);

/// What only the page's own script sends: another origin's would have to ask first (CORS), and
/// is not allowed to.
const PAGE_HEADER: HeaderName = HeaderName::from_static("x-casemate-page");

/// Where a session counts.
const PAGE_ROUTES: [&str; 2] = ["/status", "/files/"];

/// All that sign-in needs. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Sessions(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    seal: Seal,
    authenticator: Arc<Authenticator>,
    sign_in: Option<SignIn>,
}

/// Why nobody can sign in.
#[derive(Debug, Error)]
pub enum SessionError {
    /// The key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The client's secret.
    #[error(transparent)]
    Secret(#[from] FileError),
    /// The issuer cannot be asked safely.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// Whose a session is, in a cookie.
#[derive(Debug, Serialize, Deserialize)]
enum Holder {
    /// Of whoever has the token with this SHA-256, in base64.
    Token(String),
    /// Of a subject of the server's one issuer.
    Subject {
        issuer: String,
        subject: String,
        tools: bool,
        files: bool,
    },
}

impl Holder {
    fn of(principal: &Principal) -> Self {
        Self::Subject {
            issuer: principal.user.issuer.as_str().to_owned(),
            subject: principal.user.subject.as_str().to_owned(),
            tools: principal.scopes.tools,
            files: principal.scopes.files,
        }
    }

    /// Whose it is now; `None` where its credential is not good any more.
    fn principal(&self, authenticator: &Authenticator) -> Option<Principal> {
        match (self, authenticator) {
            (Self::Token(digest), Authenticator::Tokens(tokens)) => {
                let digest = STANDARD.decode(digest).ok()?;
                tokens.user_of(&digest.try_into().ok()?)
            }
            (
                Self::Subject {
                    issuer,
                    subject,
                    tools,
                    files,
                },
                Authenticator::Jwt(jwt),
            ) if issuer == jwt.issuer() => Some(Principal {
                user: User {
                    issuer: issuer.parse().ok()?,
                    subject: subject.parse().ok()?,
                },
                scopes: Scopes {
                    tools: *tools,
                    files: *files,
                },
            }),
            _ => None,
        }
    }
}

impl Sessions {
    /// As the settings say. Blocks on the files of the key and of the client's secret. Without a key
    /// there is a random one: sessions then end with the server.
    ///
    /// # Errors
    /// [`SessionError`].
    pub fn new(
        settings: &HttpSettings,
        authenticator: Arc<Authenticator>,
    ) -> Result<Self, SessionError> {
        let seal = match &settings.session_key_file {
            Some(file) => Seal::of_file(file)?,
            None => Seal::random()?,
        };
        let sign_in = settings.sign_in.as_ref().map(SignIn::new).transpose()?;
        Ok(Self(Arc::new(Inner {
            seal,
            authenticator,
            sign_in,
        })))
    }

    /// Who a request of the page is from, by its cookie.
    fn principal(&self, request: &Request) -> Option<Principal> {
        let (headers, path) = (request.headers(), request.uri().path());
        let is_page_route = PAGE_ROUTES.iter().any(|route| match route.ends_with('/') {
            true => path.starts_with(route),
            false => path == *route,
        });
        // What says for itself who it is from is not helped.
        if !is_page_route || headers.contains_key(AUTHORIZATION) || !is_from_the_page(headers) {
            return None;
        }
        let sealed = cookie::value(headers, COOKIE_NAME)?;
        let holder: Holder = self.0.seal.open(Purpose::Session, sealed)?;
        holder.principal(&self.0.authenticator)
    }

    /// The cookie of a new session.
    fn begin(&self, holder: &Holder) -> Option<String> {
        let sealed = self.0.seal.seal(Purpose::Session, holder, SESSION_TTL)?;
        Some(cookie::set(COOKIE_NAME, &sealed, SESSION_TTL))
    }
}

/// Whether the page's own script sends this: the browser says that the origin is the same, and the
/// header is there that no form, link or picture can have.
fn is_from_the_page(headers: &HeaderMap) -> bool {
    let one = |name: &HeaderName, value: &str| {
        let mut values = headers.get_all(name).iter();
        values.next().is_some_and(|found| found == value) && values.next().is_none()
    };
    one(&super::guard::SEC_FETCH_SITE, "same-origin") && one(&PAGE_HEADER, "1")
}

/// Around authentication: tells it whose session came with the request, and takes all cookies off.
pub async fn layer(State(sessions): State<Sessions>, mut request: Request, next: Next) -> Response {
    if let Some(principal) = sessions.principal(&request) {
        request.extensions_mut().insert(SessionPrincipal(principal));
    }
    request.headers_mut().remove(COOKIE);
    next.run(request).await
}

#[cfg(test)]
mod tests;
