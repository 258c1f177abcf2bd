//! The page for people, at `/`: the files of their workspace, and what runs.
//!
//! Invariants:
//! - It is the same for everybody, and holds nothing of anybody: whoever wants to see
//!   something signs in, and the page sends the token with each of its own requests.
//! - It runs its own script and no other, writes no HTML out of data, and contacts no
//!   other host; [`POLICY`] has the browser hold it to that.

use axum::Router;
use axum::http::header::{self, HeaderName, HeaderValue};
use axum::routing::get;

/// Scripts, styles and requests of this server alone. `form-action` and `base-uri` do
/// not fall back on `default-src`. Trusted types: no text becomes HTML or a script.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
     img-src 'self' data:; form-action 'none'; frame-ancestors 'none'; base-uri 'none'; \
     require-trusted-types-for 'script'; trusted-types 'none'",
);

/// On each part of the page. `no-cache`: after an update nobody has an old script with
/// a new page. The paths of a workspace are nobody's business, hence no referrer.
const HEADERS: [(HeaderName, HeaderValue); 6] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    ),
    (
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    ),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        HeaderValue::from_static("same-origin"),
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    ),
];

/// `/`, and what it is made of. Open to everybody.
pub fn routes() -> Router {
    let html = || part("text/html; charset=utf-8", include_str!("index.html"));
    let style = || part("text/css; charset=utf-8", include_str!("style.css"));
    let script = || part("text/javascript; charset=utf-8", include_str!("page.js"));
    Router::new()
        .route("/", get(async move || html()))
        .route("/page.css", get(async move || style()))
        .route("/page.js", get(async move || script()))
}

type Part = (
    [(HeaderName, HeaderValue); 6],
    [(HeaderName, &'static str); 1],
    &'static str,
);

fn part(kind: &'static str, text: &'static str) -> Part {
    (HEADERS, [(header::CONTENT_TYPE, kind)], text)
}
