//! Our pages on the host of a preview. They run only our own scripts, are the same for everybody,
//! and no cache keeps them.

use std::borrow::Cow;

use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// Scripts and requests of this host only. The layer around adds the sites that may frame it.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
     form-action 'none'; base-uri 'none'",
);

const HEADERS: [(HeaderName, HeaderValue); 4] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    ),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    ),
];

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";

/// The page that opens a preview.
const OPEN_PAGE: &str = include_str!("pages/open.html");

/// The parts of our pages.
const PARTS: [(&str, &str, &str); 3] = [
    ("/.casemate/open.js", SCRIPT, include_str!("pages/open.js")),
    ("/.casemate/wait.js", SCRIPT, include_str!("pages/wait.js")),
    (
        "/.casemate/style.css",
        STYLE,
        include_str!("pages/style.css"),
    ),
];

/// A page with a heading and a sentence.
#[derive(Debug)]
pub struct Message {
    heading: String,
    text: Cow<'static, str>,
    reloads: bool,
}

impl Message {
    /// One that stays.
    pub fn plain(heading: &str, text: impl Into<Cow<'static, str>>) -> Self {
        Self {
            heading: heading.to_owned(),
            text: text.into(),
            reloads: false,
        }
    }

    /// One that asks again by itself, ten times.
    pub fn waiting(port: u16) -> Self {
        Self {
            heading: format!("Nothing listens on port {port} yet"),
            text: "The application may still be starting. This page tries again by itself for a while."
                .into(),
            reloads: true,
        }
    }
}

impl IntoResponse for Message {
    fn into_response(self) -> Response {
        let script = match self.reloads {
            true => "<script src=\"/.casemate/wait.js\" defer></script>\n",
            false => "",
        };
        // Texts of this program: nothing in them is markup.
        let html = format!(
            "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" \
             content=\"width=device-width, initial-scale=1\">\n<title>{0}</title>\n<link rel=\"stylesheet\" \
             href=\"/.casemate/style.css\">\n{script}<main>\n<h1>{0}</h1>\n<p>{1}</p>\n</main>\n</html>\n",
            self.heading, self.text
        );
        (HEADERS, [(header::CONTENT_TYPE, HTML)], html).into_response()
    }
}

/// The one answer where nothing is shown, for all reasons.
pub fn not_found() -> Response {
    let message = Message::plain(
        "There is nothing here",
        "A preview opens by its link, until it ends. Open the link again, or ask for a new one.",
    );
    (StatusCode::NOT_FOUND, message).into_response()
}

/// The page of a link. It is the same for every host and every ticket.
pub fn open() -> Response {
    (HEADERS, [(header::CONTENT_TYPE, HTML)], OPEN_PAGE).into_response()
}

/// An answer of ours to our script.
pub fn to_script(status: StatusCode, json: &serde_json::Value) -> Response {
    (status, HEADERS, axum::Json(json)).into_response()
}

/// A part of our pages.
pub fn part(request: &Request) -> Response {
    let path = request.uri().path();
    let is_read = request.method() == Method::GET || request.method() == Method::HEAD;
    let part = PARTS.iter().find(|(known, ..)| is_read && *known == path);
    match part {
        Some((_, kind, text)) => (HEADERS, [(header::CONTENT_TYPE, *kind)], *text).into_response(),
        None => not_found(),
    }
}
