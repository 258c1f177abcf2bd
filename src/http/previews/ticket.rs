//! `/p/{name}.{link}` on the server's own host: the user of a preview, signed in there, gets a ticket
//! for it. The link alone opens nothing here.

use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::from_fn;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use serde_json::json;

use super::hosts::PreviewHosts;
use crate::http::files;
use crate::http::shared::{LinkRefusal, Visitor, close};
use crate::shares::{self, OPEN_PATH, PreviewName, TICKET_PATH, Use};

/// How long a ticket is good: the browser uses it at once.
const TICKET_TTL: Duration = Duration::from_secs(60);

/// The name of the request in the audit.
const AUDITED_AS: &str = "http_preview_open";

/// The route, open to everybody: the session is looked at here.
pub fn routes(hosts: PreviewHosts) -> Router {
    let route = format!("{TICKET_PATH}{{link}}");
    Router::new()
        .route(&route, get(give))
        .layer(from_fn(close))
        .with_state(hosts)
}

async fn give(State(hosts): State<PreviewHosts>, request: Request) -> Response {
    let path = request.uri().path();
    let link = path
        .strip_prefix(TICKET_PATH)
        .unwrap_or_default()
        .to_owned();
    let given = hosts.ticket(&link, request).await;
    given.unwrap_or_else(LinkRefusal::into_response)
}

impl PreviewHosts {
    /// A redirect to the page on the preview's host, with the ticket in its fragment.
    async fn ticket(&self, link: &str, request: Request) -> Result<Response, LinkRefusal> {
        let previews = &self.0.previews;
        let (name, token) = link.split_once('.').ok_or(LinkRefusal::Gone)?;
        let name = PreviewName::parse(name).ok_or(LinkRefusal::Gone)?;
        let mut claims = previews
            .check(Use::Link, &name, token)
            .ok_or(LinkRefusal::Gone)?;
        let origin = previews.origin(&name).ok_or(LinkRefusal::Gone)?;
        let (parts, body) = request.into_parts();
        let visitor = Visitor::of(&parts, &self.0.sessions, &self.0.authenticator).await?;
        let own = self
            .0
            .owners
            .of_visitor(&visitor, &claims.share.workspace)
            .await?;
        let identity = own.ok_or_else(|| visitor.refused())?;
        // This credential is newer than the link.
        claims.group = claims.group.if_still_of(&identity);
        let until = shares::now() + TICKET_TTL.as_secs();
        let ticket = previews.sign(Use::Ticket, &name, &claims, until);
        let ticket = ticket.map_err(|_| LinkRefusal::Later(StatusCode::SERVICE_UNAVAILABLE))?;
        let location = HeaderValue::try_from(format!("{origin}{OPEN_PATH}#{ticket}"));
        let location = location.map_err(|_| LinkRefusal::Gone)?;
        let arguments = json!({ "share": claims.share.share.to_string() }).to_string();
        let request = Request::from_parts(parts, body);
        let redirect = |_: Request| async {
            let headers = [(header::LOCATION, location)];
            (StatusCode::SEE_OTHER, headers).into_response()
        };
        let (manager, arguments) = (&self.0.manager, arguments.into_bytes());
        Ok(files::recorded(manager, &identity, AUDITED_AS, arguments, request, redirect).await)
    }
}
