//! What a request needs before anything is shown.

use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, Method, header};

use super::headers::is_websocket;
use super::refusal::PreviewRefusal;
use crate::audit::AuditSubject;
use crate::http::auth::Authenticator;
use crate::http::guard::{SEC_FETCH_MODE, SEC_FETCH_SITE};
use crate::http::session::cookie_value;
use crate::identity::WorkspaceId;
use crate::sandbox::Manager;
use crate::shares::{PreviewClaims, PreviewName, Previews, Use};

/// The cookie of an open preview. With this prefix browsers accept it only from this very host, over
/// TLS or on loopback: no other preview can set or replace it.
pub const COOKIE_NAME: &str = "__Host-casemate-preview";

/// Where the response goes (W3C Fetch Metadata, section 2.1).
const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");

/// The name of a refused request in the audit.
const AUDITED_AS: &str = "http_preview";

/// The person whose browser has the cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Viewer {
    /// The signed-in user whose preview it is.
    User,
    /// A person who only had the link.
    Stranger,
}

impl Viewer {
    /// What a cookie for this person is signed for.
    pub fn cookie(self) -> Use {
        match self {
            Self::User => Use::UserCookie,
            Self::Stranger => Use::LinkCookie,
        }
    }
}

/// The claims of this host's cookie, and the viewer that it was made for.
pub fn cookie(
    previews: &Previews,
    name: &PreviewName,
    headers: &HeaderMap,
) -> Option<(PreviewClaims, Viewer)> {
    let value = cookie_value(headers, COOKIE_NAME)?;
    let of = |viewer: Viewer| Some((previews.check(viewer.cookie(), name, value)?, viewer));
    of(Viewer::User).or_else(|| of(Viewer::Stranger))
}

/// Refuses what a page of another origin makes the browser load. Other previews are the same site
/// for browsers, so `SameSite` does not keep the cookie from their requests. A person who follows a
/// link to the preview is the exception.
pub fn check_source(request: &Request, origin: &str) -> Result<(), PreviewRefusal> {
    let headers = request.headers();
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let is_own = match (origins.next(), origins.next()) {
        // Browsers always send one with a WebSocket (RFC 6455 section 4.1).
        (None, _) if is_websocket(headers) => false,
        (None, _) => is_of_this_site(headers) || is_navigation(request.method(), headers),
        // What a browser sends with a form of a page that has `Referrer-Policy: no-referrer`.
        (Some(found), None) if found == "null" => {
            !is_websocket(headers) && says_same_origin(headers)
        }
        (Some(found), None) => found == origin,
        (Some(_), Some(_)) => false,
    };
    is_own.then_some(()).ok_or(PreviewRefusal::Gone)
}

/// Only a browser says it, of a page of this very origin.
fn says_same_origin(headers: &HeaderMap) -> bool {
    let mut sites = headers.get_all(&SEC_FETCH_SITE).iter();
    sites.next().is_some_and(|site| site == "same-origin") && sites.next().is_none()
}

fn is_of_this_site(headers: &HeaderMap) -> bool {
    let mut sites = headers.get_all(&SEC_FETCH_SITE).iter();
    sites.all(|site| site == "same-origin" || site == "none")
}

/// Also into a frame: the policy of the answer says which sites may frame it.
fn is_navigation(method: &Method, headers: &HeaderMap) -> bool {
    let is = |name: &HeaderName, values: &[&str]| {
        headers
            .get(name)
            .is_some_and(|found| values.iter().any(|value| found == value))
    };
    (method == Method::GET || method == Method::HEAD)
        && is(&SEC_FETCH_MODE, &["navigate"])
        && is(&SEC_FETCH_DEST, &["document", "iframe", "frame"])
}

/// Whether a request has a credential of this deployment. One of the program's own is its business.
pub fn has_our_credential(authenticator: &Authenticator, request: &Parts) -> bool {
    let values = request.headers.get_all(header::AUTHORIZATION).iter();
    for value in values {
        if authenticator.knows(value) {
            return true;
        }
    }
    false
}

/// That a credential nearly reached a program is in the audit.
pub async fn record_refusal(manager: &Manager, workspace: &WorkspaceId, claims: &PreviewClaims) {
    let arguments = serde_json::json!({ "share": claims.share.share.to_string() }).to_string();
    let subject = || AuditSubject::from(workspace);
    let begun = manager
        .audit()
        .begin(subject, AUDITED_AS, || arguments.into_bytes())
        .await;
    if let Ok(Some(call)) = begun {
        let (content, result) = (call.digest(), call.digest());
        // The audit itself counts and logs a failed line.
        let _ = call.end(content, result, "credential_refused", None).await;
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    const ORIGIN: &str = "https://a.preview.example.com";

    fn is_let_in(method: &str, headers: &[(&str, &str)]) -> bool {
        let request = Request::builder().method(method).uri("/");
        let request = headers.iter().fold(request, |request, (name, value)| {
            request.header(*name, *value)
        });
        let request = request.body(Body::empty()).expect("a request");
        check_source(&request, ORIGIN).is_ok()
    }

    #[test]
    fn only_the_preview_itself_and_a_person_who_navigates_are_let_in() {
        let navigate = ("sec-fetch-mode", "navigate");
        let document = ("sec-fetch-dest", "document");
        let site = |site| ("sec-fetch-site", site);
        for (method, headers, is_in) in [
            ("GET", &[][..], true),
            ("GET", &[site("same-origin")], true),
            ("GET", &[site("none"), navigate], true),
            ("GET", &[site("cross-site"), navigate, document], true),
            ("GET", &[site("same-site"), navigate, document], true),
            (
                "GET",
                &[site("cross-site"), navigate, ("sec-fetch-dest", "iframe")],
                true,
            ),
            ("POST", &[site("same-origin"), ("origin", ORIGIN)], true),
            ("GET", &[site("same-site")], false),
            (
                "GET",
                &[site("cross-site"), navigate, ("sec-fetch-dest", "object")],
                false,
            ),
            ("POST", &[site("same-site"), navigate, document], false),
            (
                "POST",
                &[("origin", "https://b.preview.example.com")],
                false,
            ),
            ("POST", &[("origin", "null")], false),
            ("POST", &[("origin", "null"), site("same-site")], false),
            ("POST", &[("origin", "null"), site("same-origin")], true),
            (
                "GET",
                &[
                    ("connection", "upgrade"),
                    ("upgrade", "websocket"),
                    ("origin", "null"),
                    site("same-origin"),
                ],
                false,
            ),
            ("POST", &[("origin", ORIGIN), ("origin", ORIGIN)], false),
            (
                "GET",
                &[("connection", "upgrade"), ("upgrade", "websocket")],
                false,
            ),
            (
                "GET",
                &[
                    ("connection", "upgrade"),
                    ("upgrade", "websocket"),
                    ("origin", ORIGIN),
                ],
                true,
            ),
        ] {
            assert_eq!(is_let_in(method, headers), is_in, "{method} {headers:?}");
        }
    }
}
