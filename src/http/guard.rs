//! The host names and web origins that requests may have.
//!
//! A page of any site can make its visitor's browser call a server on the visitor's own machine:
//! the `Host` header then has the attacker's name (DNS rebinding), or `Origin` names the page's
//! site. The guard refuses both on every route, before any other layer, and answers CORS only for
//! listed origins.
//!
//! A page can also have its browser *load* an address as a picture, a script or a frame. Such a
//! request has no `Origin`, but browsers send its source in `Sec-Fetch-Site`, and it is refused.
//! Links to shares and the page are the exception: other sites may link to them.
//! For browsers without that header, [`HEADERS`] make all answers look the same to such a page:
//! neither status nor type reveals which files exist.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{self, HeaderName, HeaderValue};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use tower_http::cors::CorsLayer;
use tracing::debug;

use super::auth::USER_HEADER;
use super::failure::failure;
use crate::config::{AllowedHost, HttpSettings, WebOrigin, WorkspaceHeader};
use crate::shares;

/// The names of the loopback addresses.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// How long a browser may keep the answer to a preflight: two hours, the most that Chromium does.
const PREFLIGHT_TTL: Duration = Duration::from_secs(2 * 60 * 60);

/// Methods that a page may use.
const METHODS: [Method; 6] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
];

/// Headers that a page may send: credentials, MCP's headers (transports, 2026-07-28), those of
/// ranges and conditions (RFC 9110).
const SENT: [HeaderName; 16] = [
    header::ACCEPT,
    header::AUTHORIZATION,
    header::CONTENT_TYPE,
    header::IF_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_NONE_MATCH,
    header::IF_RANGE,
    header::IF_UNMODIFIED_SINCE,
    header::RANGE,
    HeaderName::from_static("content-range"),
    HeaderName::from_static("last-event-id"),
    HeaderName::from_static("mcp-method"),
    HeaderName::from_static("mcp-name"),
    HeaderName::from_static("mcp-protocol-version"),
    HeaderName::from_static("mcp-session-id"),
    USER_HEADER,
];

/// Headers of an answer that a page may read, besides the default ones.
const READ: [HeaderName; 10] = [
    header::ACCEPT_RANGES,
    header::CONTENT_DISPOSITION,
    header::CONTENT_LENGTH,
    header::CONTENT_RANGE,
    header::ETAG,
    header::LOCATION,
    header::RETRY_AFTER,
    header::WWW_AUTHENTICATE,
    HeaderName::from_static("mcp-protocol-version"),
    HeaderName::from_static("mcp-session-id"),
];

/// On every answer of any status: no page of another origin may load it (Fetch, section
/// 3.6), and no browser makes another type of it (section 3.7).
pub const HEADERS: [(HeaderName, HeaderValue); 2] = [
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    ),
    (
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    ),
];

/// The browser's statement about the source of a request (W3C Fetch Metadata, section 2.4). Only
/// a browser sends it, and no page can change it.
pub const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The mode of the request (section 2.2).
pub const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// The web page: a target of links on other sites. A link to a file would reveal to that
/// site whether the file exists, because a download does not change the window.
const PAGE: &str = "/";

/// The redirect back from the issuer of a sign-in: the other target of links. Its answer depends on a
/// secret of the browser's own sign-in.
pub const CALLBACK: &str = "/sign-in/callback";

/// A path as the log may have it: a link to what was shared is as good as what it opens.
pub fn loggable(path: &str) -> &str {
    let links = [shares::PATH, shares::TICKET_PATH];
    let link = links.into_iter().find(|link| path.starts_with(link));
    link.unwrap_or(path)
}

/// The names and origins that are allowed.
#[derive(Debug, Clone)]
pub struct OriginPolicy {
    hosts: Arc<[AllowedHost]>,
    origins: Arc<[WebOrigin]>,
    /// A page may send it.
    workspace_header: WorkspaceHeader,
}

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OriginRejection {
    /// It is missing, repeated or malformed (RFC 9112 section 3.2).
    NoHost,
    /// A name that is not listed.
    Host,
    /// An origin that is not listed, `null`, or several.
    Origin,
    /// A page of another site makes a browser load this.
    Site,
}

impl OriginPolicy {
    /// The policy of the settings, for a server that listens on `address`.
    pub fn new(settings: &HttpSettings, address: SocketAddr) -> Self {
        let hosts = settings.allowed_hosts.clone();
        let origins = settings.allowed_origins.clone();
        Self {
            hosts: hosts.unwrap_or_else(|| usual_hosts(address)).into(),
            origins: origins.unwrap_or_else(|| usual_origins(address)).into(),
            workspace_header: settings.workspace_header.clone(),
        }
    }

    /// The policy of a loopback address: its names, and only its own pages, whose scripts browsers load
    /// with an Origin; `None` for another address.
    pub fn of_loopback(address: SocketAddr) -> Option<Self> {
        address.ip().to_canonical().is_loopback().then(|| Self {
            hosts: usual_hosts(address).into(),
            origins: usual_origins(address).into(),
            workspace_header: WorkspaceHeader::default(),
        })
    }

    /// Checks requests before all routes of `router`, also before authentication: a browser sends
    /// no credential in a preflight, and must be able to read a 401.
    pub fn protect(&self, router: Router) -> Router {
        router
            .layer(self.cors())
            .layer(from_fn_with_state(self.clone(), guard))
    }

    fn cors(&self) -> CorsLayer {
        let origins = self.origins.iter();
        let origins = origins.filter_map(|origin| HeaderValue::try_from(origin.as_str()).ok());
        let header = self.workspace_header.name().clone();
        // Without credentials: a page of another origin sends its token itself, and no cookie.
        CorsLayer::new()
            .allow_origin(origins.collect::<Vec<_>>())
            .allow_methods(METHODS)
            .allow_headers(SENT.into_iter().chain([header]).collect::<Vec<_>>())
            .expose_headers(READ)
            .max_age(PREFLIGHT_TTL)
    }

    fn admit(&self, request: &Parts) -> Result<(), OriginRejection> {
        let mut hosts = request.headers.get_all(header::HOST).iter();
        let (Some(host), None) = (hosts.next(), hosts.next()) else {
            return Err(OriginRejection::NoHost);
        };
        self.admit_host(host.as_bytes())?;
        // `GET http://name/path`: the name goes before the header's (RFC 9112 section 3.2.2).
        if let Some(authority) = request.uri.authority() {
            self.admit_host(authority.as_str().as_bytes())?;
        }
        let mut origins = request.headers.get_all(header::ORIGIN).iter();
        match (origins.next(), origins.next()) {
            (None, _) if is_of_another_site(request) => Err(OriginRejection::Site),
            (None, _) => Ok(()),
            (Some(origin), None) if self.lists(origin) => Ok(()),
            _ => Err(OriginRejection::Origin),
        }
    }

    fn admit_host(&self, text: &[u8]) -> Result<(), OriginRejection> {
        let text = std::str::from_utf8(text).map_err(|_| OriginRejection::NoHost)?;
        let host: AllowedHost = text.parse().map_err(|_| OriginRejection::NoHost)?;
        let allowed = self.hosts.iter().any(|allowed| allowed.fits(&host));
        allowed.then_some(()).ok_or(OriginRejection::Host)
    }

    fn lists(&self, origin: &HeaderValue) -> bool {
        self.origins.iter().any(|listed| listed.as_str() == origin)
    }
}

/// Whether a page of another origin makes the browser load this. `same-site` is another origin
/// too: another port of this machine, or another name of the same domain.
fn is_of_another_site(request: &Parts) -> bool {
    let mut sites = request.headers.get_all(SEC_FETCH_SITE).iter();
    let own = sites.all(|site| site == "same-origin" || site == "none");
    !own && !opens_the_page(request)
}

fn opens_the_page(request: &Parts) -> bool {
    let mode = request.headers.get(SEC_FETCH_MODE);
    let navigates = mode.is_some_and(|mode| mode == "navigate");
    let path = request.uri.path();
    let is_link = path.starts_with(shares::PATH) || path.starts_with(shares::TICKET_PATH);
    let opened = [PAGE, CALLBACK].contains(&path) || is_link;
    navigates && request.method == Method::GET && opened
}

/// Any port is accepted: a proxy or a forwarded port has a different one.
fn usual_hosts(address: SocketAddr) -> Vec<AllowedHost> {
    let own = spelled(address);
    let names = LOOPBACK.into_iter().chain([own.as_str()]);
    let host = |name: &str| AllowedHost {
        host: name.to_owned(),
        port: None,
    };
    names.map(host).collect()
}

fn usual_origins(address: SocketAddr) -> Vec<WebOrigin> {
    let port = address.port();
    let origin = |name| format!("http://{name}:{port}").parse().ok();
    LOOPBACK.into_iter().filter_map(origin).collect()
}

fn spelled(address: SocketAddr) -> String {
    match address {
        SocketAddr::V4(address) => address.ip().to_string(),
        SocketAddr::V6(address) => format!("[{}]", address.ip()),
    }
}

/// In an answer's extensions: it is of another origin than the server's own, whose headers are its
/// program's.
#[derive(Debug, Clone, Copy)]
pub struct HeadersOfTheProgram;

/// Puts [`HEADERS`] on every answer, also if no route matches; not on those of previews.
pub async fn close(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if response.extensions().get::<HeadersOfTheProgram>().is_some() {
        return response;
    }
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, value);
    }
    response
}

async fn guard(State(guard): State<OriginPolicy>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    match guard.admit(&parts) {
        Ok(()) => next.run(Request::from_parts(parts, body)).await,
        Err(denied) => {
            debug!(%denied, path = ?loggable(parts.uri.path()), "refused");
            denied.into_response()
        }
    }
}

impl fmt::Display for OriginRejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoHost => "a request has one Host header, with a name and perhaps a port",
            Self::Host => {
                "this server does not use that host name; CASEMATE_ALLOWED_HOSTS lists its names"
            }
            Self::Origin => "pages of this origin may not call; see CASEMATE_ALLOWED_ORIGINS",
            Self::Site => "pages of other sites may not load this; open the address itself",
        })
    }
}

impl IntoResponse for OriginRejection {
    fn into_response(self) -> Response {
        let (status, code) = match self {
            Self::NoHost => (StatusCode::BAD_REQUEST, "invalid_request"),
            Self::Host | Self::Origin | Self::Site => (StatusCode::FORBIDDEN, "forbidden"),
        };
        let body = failure(code, &self.to_string());
        (status, body).into_response()
    }
}

#[cfg(test)]
mod tests;
