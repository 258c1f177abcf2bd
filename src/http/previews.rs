//! Previews: applications and sites of a sandbox, shown in a browser, each at its own host name.
//!
//! ```text
//! Host ─┬─ <name>.<domain> ─┬─ /.casemate/…    our pages: a ticket becomes a cookie
//!       │                   └─ the rest ─► Gate: cookie, source, credential ─► share's file
//!       │                                    ─┬─ port ─► Proxy ─► PID 1 ─► the program
//!       │                                     └─ site ─► files of the workspace
//!       └─ others ─► the routes of the API; /p/{name}.{link}: a ticket for who is signed in
//! ```
//!
//! Invariants:
//! - A host of a preview serves nothing else, and no other host serves a preview: what runs in a
//!   sandbox never shares an origin with the page or with another preview.
//! - Without the cookie of this host each request has one and the same 404, and nothing is looked up.
//! - A ticket is in a fragment, which browsers do not send: no log and no `Referer` has it.
//! - `GET` of a link changes nothing: a person's click is one `POST` of our page.
//! - A port is of the container that was shared. Nothing here starts a sandbox for it.

mod connection;
mod gate;
mod headers;
mod hosts;
mod listings;
mod loads;
mod open;
mod pages;
mod proxy;
mod refusal;
mod site;
mod ticket;

use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::guard::HeadersOfTheProgram;
use crate::config::AllowedHost;
use crate::http::shared::signed_identity;
use crate::identity::WorkspaceId;
use crate::shares::{OPEN_PATH, PreviewClaims, PreviewName, PreviewTarget, Previews};
use connection::ProxiedPort;
use gate::Viewer;
use headers::Addresses;
use refusal::PreviewRefusal;
use site::SharedSite;

pub use hosts::PreviewHosts;
pub use ticket::routes as tickets;

/// The path of our own pages on a host of a preview.
const OURS: &str = "/.casemate";

/// Search engines list no preview, and no page of another origin loads one.
const HEADERS: [(HeaderName, HeaderValue); 2] = [
    (
        HeaderName::from_static("x-robots-tag"),
        HeaderValue::from_static("noindex, noarchive"),
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    ),
];

impl PreviewHosts {
    /// Any request to a host of a preview.
    async fn serve(&self, name: PreviewName, request: Request) -> Response {
        let path = request.uri().path();
        let mut response = match path {
            OPEN_PATH => open::answer(self, &name, request).await,
            _ if path == OURS || path.starts_with("/.casemate/") => pages::part(&request),
            _ => self
                .show(&name, request)
                .await
                .unwrap_or_else(PreviewRefusal::into_response),
        };
        let headers = response.headers_mut();
        for (name, value) in HEADERS {
            headers.insert(name, value);
        }
        // Of several policies each holds.
        headers.append(header::CONTENT_SECURITY_POLICY, self.0.frame_policy.clone());
        response.extensions_mut().insert(HeadersOfTheProgram);
        response
    }

    async fn show(&self, name: &PreviewName, request: Request) -> Result<Response, PreviewRefusal> {
        let origin = self.0.previews.origin(name).ok_or(PreviewRefusal::Gone)?;
        let opened = gate::cookie(&self.0.previews, name, request.headers());
        let (claims, viewer) = opened.ok_or(PreviewRefusal::Gone)?;
        gate::check_source(&request, &origin)?;
        let workspace = self.workspace(&claims.share.workspace).await?;
        let (parts, body) = request.into_parts();
        if gate::has_our_credential(&self.0.authenticator, &parts) {
            gate::record_refusal(&self.0.manager, &workspace, &claims).await;
            return Err(PreviewRefusal::Credential);
        }
        let request = Request::from_parts(parts, body);
        match &claims.target {
            PreviewTarget::Port { port, container } => {
                self.check_port(viewer, &workspace, &claims).await?;
                let addresses = Addresses {
                    origin,
                    port: *port,
                };
                let of = ProxiedPort {
                    workspace,
                    share: claims.share,
                    container: container.clone(),
                    addresses,
                    must_be_open: self.must_be_open_to(viewer),
                };
                proxy::answer(self, of, request).await
            }
            PreviewTarget::Site => {
                let of = SharedSite {
                    workspace,
                    claims,
                    viewer,
                };
                site::answer(self, of, request).await
            }
        }
    }

    /// Nothing is made here: the group decides only which settings count. As where the link opens, it is
    /// that of the container, and without one the signed group.
    async fn check_port(
        &self,
        viewer: Viewer,
        workspace: &WorkspaceId,
        claims: &PreviewClaims,
    ) -> Result<(), PreviewRefusal> {
        if !self.must_be_open_to(viewer) {
            return Ok(());
        }
        let manager = &self.0.manager;
        let owner = match manager.running_identity(workspace).await? {
            Some(running) => Some(running),
            None => signed_identity(manager.config(), workspace, &claims.group),
        };
        let is_allowed = owner.is_some_and(|owner| self.is_allowed(viewer, &owner, &claims.share));
        is_allowed.then_some(()).ok_or(PreviewRefusal::Gone)
    }
}

/// The layer around all routes: requests to the host of a preview reach none of them.
pub async fn split(State(hosts): State<PreviewHosts>, request: Request, next: Next) -> Response {
    match preview_host(&hosts.0.previews, &request) {
        Ok(Some(name)) => hosts.serve(name, request).await,
        Ok(None) => next.run(request).await,
        Err(refused) => refused.into_response(),
    }
}

/// The name, if the request is to the host of a preview.
fn preview_host(
    previews: &Previews,
    request: &Request,
) -> Result<Option<PreviewName>, PreviewRefusal> {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        // The guard of the API refuses it.
        return Ok(None);
    };
    let named = |text: &str| previews.name_of(&text.parse::<AllowedHost>().ok()?);
    let name = host.to_str().ok().and_then(named);
    match request.uri().authority() {
        // `GET http://name/path`: the two must be the same (RFC 9112 section 3.2.2).
        Some(authority) if named(authority.as_str()) != name => Err(PreviewRefusal::Gone),
        _ => Ok(name),
    }
}
