//! `/.casemate/open` on the host of a preview: a ticket becomes the cookie.
//!
//! A link opens by itself where links open without sign-in. Otherwise our page goes to the server's
//! own host, where its user is signed in, and comes back with a ticket (`ticket.rs`).

use std::time::Duration;

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::gate::{self, Viewer};
use super::hosts::PreviewHosts;
use super::pages;
use crate::http::guard::SEC_FETCH_SITE;
use crate::http::shared::LinkRefusal;
use crate::http::v1::json_body;
use crate::sandbox::SandboxError;
use crate::shares::{
    self, PreviewClaims, PreviewName, PreviewTarget, ShareRecord, ShareStore, Use, Visibility,
};

/// How long a browser may show a preview before the link is opened again: as long as a session of the
/// page, so that a user who lost access does not keep it.
const COOKIE_TTL: Duration = Duration::from_secs(8 * 60 * 60);

/// The body of a `POST`: the fragment of our page's address.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TicketBody {
    ticket: String,
}

/// What becomes of a ticket.
enum Opened {
    /// The browser gets the cookie.
    Cookie(PreviewClaims, Viewer),
    /// The user has to sign in there first.
    SignIn(String),
    Gone,
    /// It cannot be known now.
    Later,
}

/// `GET`, `HEAD`: our page, which is the same for everybody. `POST`: the exchange.
pub async fn answer(hosts: &PreviewHosts, name: &PreviewName, request: Request) -> Response {
    match *request.method() {
        Method::GET | Method::HEAD => pages::open(),
        Method::POST => exchange(hosts, name, request).await,
        _ => pages::not_found(),
    }
}

async fn exchange(hosts: &PreviewHosts, name: &PreviewName, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let origin = hosts.0.previews.origin(name);
    if !is_of_our_page(&parts.headers, origin.as_deref()) {
        return pages::not_found();
    }
    let Ok(body) = json_body::paths::<TicketBody>(&parts.headers, body).await else {
        return pages::not_found();
    };
    match opened(hosts, name, &body.ticket).await {
        Opened::Cookie(claims, viewer) => with_cookie(hosts, name, &claims, viewer),
        Opened::SignIn(url) => {
            pages::to_script(StatusCode::UNAUTHORIZED, &json!({ "sign_in": url }))
        }
        Opened::Gone => pages::to_script(StatusCode::NOT_FOUND, &json!({})),
        Opened::Later => pages::to_script(StatusCode::SERVICE_UNAVAILABLE, &json!({})),
    }
}

/// Another origin's page sends no JSON without asking first (CORS), and that is not answered.
fn is_of_our_page(headers: &HeaderMap, origin: Option<&str>) -> bool {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let is_own = |found: &HeaderValue| origin.is_some_and(|origin| found == origin);
    let is_same = headers
        .get(&SEC_FETCH_SITE)
        .is_none_or(|site| site == "same-origin");
    origins.next().is_some_and(is_own) && origins.next().is_none() && is_same
}

async fn opened(hosts: &PreviewHosts, name: &PreviewName, ticket: &str) -> Opened {
    let previews = &hosts.0.previews;
    if let Some(claims) = previews.check(Use::Ticket, name, ticket) {
        return Opened::Cookie(claims, Viewer::User);
    }
    let Some(claims) = previews.check(Use::Link, name, ticket) else {
        return Opened::Gone;
    };
    if hosts.0.links.has_no_sign_in() {
        return Opened::Cookie(claims, Viewer::Stranger);
    }
    match is_open_to_strangers(hosts, &claims).await {
        Ok(true) => Opened::Cookie(claims, Viewer::Stranger),
        // Of a sandbox that cannot be looked into, its user alone may know more.
        Ok(false) | Err(LinkRefusal::Asleep) => match previews.ticket_url(name, ticket) {
            Some(url) => Opened::SignIn(url),
            None => Opened::Gone,
        },
        Err(LinkRefusal::Later(_) | LinkRefusal::Busy(_)) => Opened::Later,
        Err(_) => Opened::Gone,
    }
}

/// By the settings as they are now, and by the share.
async fn is_open_to_strangers(
    hosts: &PreviewHosts,
    claims: &PreviewClaims,
) -> Result<bool, LinkRefusal> {
    let manager = &hosts.0.manager;
    if !manager.config().some_links_are_open() {
        return Ok(false);
    }
    let _looked_for = hosts.0.wakes.open(claims.share.share, false)?;
    let owner = hosts
        .0
        .owners
        .identity(manager, &claims.share.workspace, &claims.group)
        .await?;
    let settings = manager.config().for_identity(&owner);
    if !hosts.0.links.allow_strangers(&settings, &claims.share) {
        return Ok(false);
    }
    let found: Result<Option<ShareRecord>, SandboxError> = match &claims.target {
        PreviewTarget::Port { container, .. } => match manager.ports(container).await {
            Ok(ports) => shares::find_in(&ports, &claims.share.share).await,
            Err(error) => Err(error),
        },
        PreviewTarget::Site => {
            let sandbox = manager.sandbox(&owner);
            let _open = hosts
                .0
                .wakes
                .open(claims.share.share, !sandbox.is_awake())?;
            ShareStore(&sandbox).find(&claims.share.share).await
        }
    };
    let record = found?.ok_or(LinkRefusal::Gone)?;
    Ok(record.visibility == Visibility::Link)
}

fn with_cookie(
    hosts: &PreviewHosts,
    name: &PreviewName,
    claims: &PreviewClaims,
    viewer: Viewer,
) -> Response {
    let until = claims
        .share
        .expires
        .min(shares::now() + COOKIE_TTL.as_secs());
    let signed = hosts.0.previews.sign(viewer.cookie(), name, claims, until);
    let Ok(signed) = signed else {
        return pages::to_script(StatusCode::SERVICE_UNAVAILABLE, &json!({}));
    };
    let age = until.saturating_sub(shares::now());
    // In a frame of another site browsers send only such a cookie, and keep it for that site alone.
    let same_site = match hosts.0.is_framed {
        true => "None; Partitioned",
        false => "Lax",
    };
    let cookie = format!(
        "{}={signed}; Path=/; Max-Age={age}; Secure; HttpOnly; SameSite={same_site}",
        gate::COOKIE_NAME
    );
    let mut response = pages::to_script(StatusCode::OK, &json!({}));
    if let Ok(cookie) = HeaderValue::try_from(cookie) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}
