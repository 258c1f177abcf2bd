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
const HEADERS: [(HeaderName, HeaderValue); 4] = [
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

const HTML: &str = "text/html; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// What the page is made of: where each part is, what it is, and the part. `main.js`
/// imports the other scripts, and says how they depend on each other.
const PARTS: [(&str, &str, &str); 12] = [
    ("/", HTML, include_str!("index.html")),
    ("/page/style.css", STYLE, include_str!("style.css")),
    ("/page/main.js", SCRIPT, include_str!("main.js")),
    ("/page/listing.js", SCRIPT, include_str!("listing.js")),
    ("/page/upload.js", SCRIPT, include_str!("upload.js")),
    ("/page/download.js", SCRIPT, include_str!("download.js")),
    ("/page/transfers.js", SCRIPT, include_str!("transfers.js")),
    ("/page/sandbox.js", SCRIPT, include_str!("sandbox.js")),
    ("/page/session.js", SCRIPT, include_str!("session.js")),
    ("/page/api.js", SCRIPT, include_str!("api.js")),
    ("/page/dom.js", SCRIPT, include_str!("dom.js")),
    ("/page/text.js", SCRIPT, include_str!("text.js")),
];

/// `/`, and what it is made of. Open to everybody.
pub fn routes() -> Router {
    PARTS
        .iter()
        .fold(Router::new(), |routes, (path, kind, text)| {
            let part = (HEADERS, [(header::CONTENT_TYPE, *kind)], *text);
            routes.route(path, get(async move || part))
        })
}
