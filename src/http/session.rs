//! Sign-in on the page for people: a session in a cookie, instead of a token in a script's memory.
//!
//! ```text
//! tokens   POST /sign-in {"token"}  ──────────────────────────────────► session
//! jwt      GET /sign-in/start ─► the issuer ─► GET /sign-in/callback ─► session   (oidc)
//!          POST /sign-out ─► none
//! ```
//!
//! Invariants:
//! - A session is sealed (`seal`): the server keeps nothing, and any server with the same key reads
//!   it. It names its holder in the terms of the server's own authentication, which is asked again
//!   for each request: a token that is taken out of the file ends its sessions, another issuer or
//!   audience ends all.
//! - It counts on the page's own routes alone (`PAGE_ROUTES`), for the page's own requests alone
//!   (`is_from_the_page`): with it, another site can neither read nor change anything, and `/mcp`
//!   and `/v1` do not look at it. The one exception are links to what was shared
//!   ([`Sessions::visitor`]): a person opens them from anywhere, and they only give an attachment.
//! - The cookie is never logged, and taken off the request before a route sees it.

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

pub use routes::routes;

/// The session. The prefix has browsers take it from this host alone, over TLS or on loopback.
const COOKIE_NAME: &str = "__Host-casemate";

/// A day at work. After it, the page asks again.
const SESSION_TTL: Duration = Duration::from_secs(8 * 60 * 60);

/// Where a session counts.
const PAGE_ROUTES: [&str; 4] = ["/status", "/files/", "/shares", "/shares/"];

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
    Key(#[from] SealError),
    /// This server as a client of the issuer.
    #[error(transparent)]
    Client(#[from] ClientError),
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

    /// The sender of a request of the page, by its cookie.
    fn principal(&self, request: &Request) -> Option<Principal> {
        let (headers, path) = (request.headers(), request.uri().path());
        let is_page_route = PAGE_ROUTES.iter().any(|route| match route.ends_with('/') {
            true => path.starts_with(route),
            false => path == *route,
        });
        // A request that has a credential of its own is decided by that alone.
        if !is_page_route || headers.contains_key(AUTHORIZATION) || !is_from_the_page(headers) {
            return None;
        }
        self.visitor(headers)
    }

    /// Who opens a link that leads here, by the cookie: browsers send it with such a navigation from
    /// any site (`Lax`), and it counts for what changes nothing.
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

/// Around authentication: tells it whose session came with the request, takes all cookies off, and
/// has no proxy keep the answer.
pub async fn layer(State(sessions): State<Sessions>, mut request: Request, next: Next) -> Response {
    let principal = sessions.principal(&request);
    let has_session = principal.is_some();
    if let Some(principal) = principal {
        request.extensions_mut().insert(SessionPrincipal(principal));
    }
    request.headers_mut().remove(COOKIE);
    let mut response = next.run(request).await;
    if has_session {
        // Proxies keep no answer to a request with `Authorization` of their own accord (RFC 9111,
        // section 3.5), but one to a request with a cookie.
        let kept = response.headers_mut().entry(CACHE_CONTROL);
        kept.or_insert(HeaderValue::from_static("no-store"));
    }
    response
}
