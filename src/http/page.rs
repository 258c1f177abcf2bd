//! The web page at `/`: the files of a user's workspace, and the commands in its sandbox.
//!
//! Invariants:
//! - It is the same for all users and contains no user's data. Once a user has signed in, each of its
//!   requests carries the session's cookie, or a token that the page keeps in memory.
//! - It runs only its own script, writes no HTML from data, and contacts no other host; [`POLICY`]
//!   makes the browser enforce this.

use axum::Router;
use axum::http::header::{self, HeaderName, HeaderValue};
use axum::routing::get;

/// Scripts, styles and requests only of this server. `form-action` and `base-uri` do
/// not fall back on `default-src`. Trusted types: no text becomes HTML or a script.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
     img-src 'self' data:; form-action 'none'; frame-ancestors 'none'; base-uri 'none'; \
     require-trusted-types-for 'script'; trusted-types 'none'",
);

/// On each part of the page, and of the console. `no-cache`: after an update no browser combines an old script with a
/// new page. The paths of a workspace are private, hence no referrer.
pub(super) const HEADERS: [(HeaderName, HeaderValue); 4] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    ),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        HeaderValue::from_static("same-origin"),
    ),
];

pub(super) const HTML: &str = "text/html; charset=utf-8";
pub(super) const STYLE: &str = "text/css; charset=utf-8";
pub(super) const SCRIPT: &str = "text/javascript; charset=utf-8";

/// A script of the page: path, type and content.
macro_rules! script {
    ($name:literal) => {
        (
            concat!("/page/", $name, ".js"),
            SCRIPT,
            include_str!(concat!("page/", $name, ".js")),
        )
    };
}

/// The parts of the page: path, type and content. `main.js` imports the other scripts and
/// describes their dependencies.
const PARTS: [(&str, &str, &str); 26] = [
    ("/", HTML, include_str!("page/index.html")),
    ("/page/style.css", STYLE, include_str!("page/style.css")),
    script!("main"),
    script!("actions"),
    script!("api"),
    script!("commands"),
    script!("content"),
    script!("dialogs"),
    script!("dom"),
    script!("download"),
    script!("listing"),
    script!("order"),
    script!("outcome"),
    script!("preview"),
    script!("rows"),
    script!("sandbox"),
    script!("send"),
    script!("session"),
    script!("share"),
    script!("shares"),
    script!("sources"),
    script!("text"),
    script!("transfers"),
    script!("upload"),
    script!("view"),
    script!("workspaces"),
];

/// The routes of `/` and its parts, open to all callers.
pub fn routes() -> Router {
    PARTS
        .iter()
        .fold(Router::new(), |routes, (path, kind, text)| {
            let part = (HEADERS, [(header::CONTENT_TYPE, *kind)], *text);
            routes.route(path, get(async move || part))
        })
}
