//! Sign-in on the page for people: a session in a cookie, instead of a token in a script's memory.
//!
//! ```text
//! tokens   POST /sign-in {"token"}  ──────────────────────────────────► session
//! jwt      GET /sign-in/start ─► the issuer ─► GET /sign-in/callback ─► session   (oidc)
//!          POST /sign-out ─► none
//! ```
//!
//! Invariants:
//! - A session is sealed (`seal`): the server stores nothing, and any server with the same key can
//!   read it. It names its holder, whom the server's authentication checks again for each request:
//!   to remove a token from the file ends its sessions, to change issuer or audience ends all.
//! - It counts only on the page's own routes (`PAGE_ROUTES`), and only for the page's own requests
//!   (`is_from_the_page`). So another site can neither read nor change anything with it, and `/mcp`
//!   and `/v1` ignore it. The one exception is links to what was shared ([`Sessions::visitor`]): a
//!   person opens them from anywhere, and they only give an attachment.
//! - The cookie is never logged, and is removed from the request before a route sees it.

mod at_issuer;
mod cookie;
mod holder;
mod oidc;
mod page_request;
mod routes;
mod seal;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, COOKIE};
use axum::http::{HeaderMap, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use thiserror::Error;

use super::auth::{Authenticator, SessionPrincipal};
use crate::config::HttpSettings;
use crate::identity::Principal;
use holder::SessionHolder;
use oidc::{ClientError, SignIn};
use page_request::is_from_the_page;
use seal::{Purpose, Seal, SealError};

pub use cookie::value as cookie_value;
pub use routes::routes;

/// The session's cookie. With this prefix browsers accept it only from this host, over TLS or on
/// loopback.
const COOKIE_NAME: &str = "__Host-casemate";

/// A working day. Then the user signs in again.
const SESSION_TTL: Duration = Duration::from_secs(8 * 60 * 60);

/// The routes on which a session is a credential.
const PAGE_ROUTES: [&str; 7] = [
    "/status",
    "/workspaces",
    "/files/",
    "/commands",
    "/commands/",
    "/shares",
    "/shares/",
];

/// All that sign-in needs. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Sessions(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    seal: Seal,
    authenticator: Arc<Authenticator>,
    sign_in: Option<SignIn>,
}

/// Why users cannot sign in.
#[derive(Debug, Error)]
pub enum SessionError {
    /// The key.
    #[error(transparent)]
    Key(#[from] SealError),
    /// This server as a client of the issuer.
    #[error(transparent)]
    Client(#[from] ClientError),
}

impl Sessions {
    /// From the settings. Blocks on the files of the key and of the client's secret. Without a key it
    /// makes a random one: sessions then end with the server.
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

    /// The user of a request of the page, from its cookie.
    fn principal(&self, request: &Request) -> Option<Principal> {
        let (headers, path) = (request.headers(), request.uri().path());
        let is_page_route = PAGE_ROUTES.iter().any(|route| match route.ends_with('/') {
            true => path.starts_with(route),
            false => path == *route,
        });
        // A request with another credential is judged by that one alone.
        if !is_page_route || headers.contains_key(AUTHORIZATION) || !is_from_the_page(headers) {
            return None;
        }
        self.visitor(headers)
    }

    /// The user who opens a link to this server, by the cookie. Browsers send it with a navigation from
    /// any site (`Lax`), so it counts only for requests that change nothing.
    pub fn visitor(&self, headers: &HeaderMap) -> Option<Principal> {
        let sealed = cookie::value(headers, COOKIE_NAME)?;
        let holder: SessionHolder = self.0.seal.open(Purpose::Session, sealed)?;
        holder.principal(&self.0.authenticator)
    }

    /// The cookie of a new session. A subject has 1 KiB at most, so browsers keep it.
    fn begin(&self, holder: &SessionHolder) -> Option<String> {
        let sealed = self.0.seal.seal(Purpose::Session, holder, SESSION_TTL)?;
        Some(cookie::set(COOKIE_NAME, &sealed, SESSION_TTL))
    }
}

/// Runs before authentication, and gives it the user of the request's session. Removes all cookies,
/// and forbids proxies to store the answer.
pub async fn layer(State(sessions): State<Sessions>, mut request: Request, next: Next) -> Response {
    let principal = sessions.principal(&request);
    let has_session = principal.is_some();
    if let Some(principal) = principal {
        request.extensions_mut().insert(SessionPrincipal(principal));
    }
    request.headers_mut().remove(COOKIE);
    let mut response = next.run(request).await;
    if has_session {
        // By itself a proxy stores no answer to a request with `Authorization` (RFC 9111, section
        // 3.5), but it may store one to a request with a cookie.
        let kept = response.headers_mut().entry(CACHE_CONTROL);
        kept.or_insert(HeaderValue::from_static("no-store"));
    }
    response
}
