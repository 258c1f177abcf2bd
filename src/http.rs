//! HTTP: MCP at `/mcp`, the files of the workspace at `/files`. Each request has its own user.
//!
//! ```text
//! connections ─┬─► previews, by their host names
//!              └─► guard (Host, Origin) ─┬─► /healthz, /readyz
//!                                        ├─► /          the page for people
//!                                        ├─► /s/{token} what was shared; /p/ for previews
//!                                        └─► auth (Principal) ─┬─► message ─► batch ─► cancelled
//!                                                              │      ─► early_commit ─► form ─► /mcp
//!                                                              ├─► /sse, message ─► /messages
//!                                                              ├─► /v1      for applications
//!                                                              ├─► /files   the workspace
//!                                                              ├─► /status, /workspaces  the sandbox
//!                                                              └─► /commands, /shares    what is in it
//! ```
//!
//! Invariants:
//! - The user of a request is the [`Principal`](crate::identity::Principal) that its
//!   own credential gives, and nothing else. Its header only chooses among that user's workspaces.
//! - A credential is neither logged nor passed on.
//! - A client that leaves ends what runs for it.

pub mod admin;
pub mod auth;
mod batch;
mod cancelled;
mod coding;
mod commands;
mod connections;
pub mod console;
mod early_commit;
mod envelope;
mod event_stream;
mod failure;
mod files;
mod form;
pub mod guard;
mod health;
mod https;
mod limits;
mod mcp;
mod message;
mod metrics;
mod page;
mod previews;
mod quotas;
pub mod session;
pub mod settings_check;
mod shared;
mod sse;
mod status;
mod v1;
mod workspaces;

use std::sync::Arc;

use axum::{Router, middleware};
use rmcp::ServerHandler;
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::engine::Engine;
use crate::sandbox::Manager;
use crate::shares::{Links, Previews};
use crate::tools::Tools;
use auth::{Authenticator, WorkspaceNaming};
use cancelled::Requests;
use connections::Connections;
use guard::OriginPolicy;
use limits::{LAST_ANSWER_TIMEOUT, SHUTDOWN_TIMEOUT};
use previews::PreviewHosts;
use quotas::UserQuotas;
use session::Sessions;

/// The HTTP server of the tools and files.
#[derive(Debug)]
pub struct Server {
    /// All sandboxes.
    pub manager: Manager,
    /// For `/readyz`, and to remove workspaces.
    pub engine: Engine,
    /// Finds the user of a request.
    pub authenticator: Arc<Authenticator>,
    /// The host names and origins that requests may have.
    pub guard: OriginPolicy,
    /// Sign-in on the page.
    pub sessions: Sessions,
    /// Of what users share.
    pub links: Links,
    /// Applications and sites of sandboxes, each at its own host name.
    pub previews: Previews,
}

impl Server {
    /// Serves until `stop`. Then it accepts nothing more, waits 10 s for calls to end, ends the
    /// rest with everything they started, and answers: 12.4 s at most.
    pub async fn serve(self, listener: TcpListener, stop: CancellationToken) {
        let cancel = CancellationToken::new();
        let manager = self.manager.clone();
        let connections = Connections::new(self.routes(&stop, &cancel), stop);
        connections.accept(listener).await;
        info!("ending: asked to stop");
        // No client waits any more, or the time is over: the calls end now.
        let _ = timeout(SHUTDOWN_TIMEOUT, connections.ended()).await;
        manager.close().await;
        let _ = timeout(LAST_ANSWER_TIMEOUT, connections.ended()).await;
        cancel.cancel();
    }

    fn routes(self, stop: &CancellationToken, cancel: &CancellationToken) -> Router {
        let (links, previews) = (self.links.clone(), self.previews.clone());
        let tools = Tools::for_requests(self.manager.clone(), links.clone(), previews.clone());
        let previews = PreviewHosts::new(
            self.manager.clone(),
            self.engine.clone(),
            (links, previews),
            self.sessions.clone(),
            self.authenticator.clone(),
        );
        self.manager.sweep_port_channels();
        let quotas = UserQuotas::default();
        let naming = WorkspaceNaming::new(self.manager.config());
        let requests = Requests::new(Some(self.manager.clone()));
        let tools = Router::new()
            .merge(mcp::routes(tools.clone(), &quotas, requests, cancel))
            .merge(sse::routes(tools.clone(), &quotas, stop))
            .merge(shared::links::routes(tools.clone(), &self.manager, &quotas))
            .merge(commands::routes(&self.manager, &quotas))
            .merge(v1::exec(tools, &self.manager, &quotas))
            .layer(middleware::from_fn(auth::require_tools));
        let meter = self.manager.meter().clone();
        let count_content = middleware::from_fn_with_state(meter.clone(), metrics::content);
        let opened = shared::routes(
            self.manager.clone(),
            self.engine.clone(),
            self.links,
            self.sessions.clone(),
            self.authenticator.clone(),
        );
        let workspace = v1::workspace(&self.manager, &self.engine, &quotas);
        let files = files::router(self.manager.clone(), &quotas)
            .layer(count_content.clone())
            .merge(shared::list::routes(&self.manager, &quotas))
            .merge(workspaces::routes(&self.manager, &quotas))
            .merge(status::routes(self.manager, &quotas))
            .layer(middleware::from_fn(auth::require_files))
            .merge(workspace);
        let authenticated = authenticated(tools.merge(files), &self.authenticator, naming).layer(
            middleware::from_fn_with_state(self.sessions.clone(), session::layer),
        );
        let open = health::routes(self.engine)
            .merge(auth::metadata(&self.authenticator))
            .merge(page::routes())
            .merge(session::routes(&self.sessions))
            .merge(opened.layer(count_content))
            .merge(previews::tickets(previews.clone()))
            .merge(v1::openapi());
        let guarded = self.guard.protect(authenticated.merge(open));
        let api = guarded.layer(middleware::from_fn_with_state(meter, metrics::requests));
        // Outermost: no other layer sees a request to a preview.
        api.layer(middleware::from_fn_with_state(previews, previews::split))
    }
}

fn authenticated(
    routes: Router,
    authenticator: &Arc<Authenticator>,
    naming: WorkspaceNaming,
) -> Router {
    let authenticator = Arc::clone(authenticator);
    let routes = routes.layer(middleware::from_fn(coding::layer));
    let routes = routes.layer(middleware::from_fn_with_state(naming, auth::workspace));
    routes.layer(middleware::from_fn_with_state(authenticator, auth::require))
}

/// MCP alone, answered by any handler, through the same layers as the tools of [`Server`]. The
/// official conformance suite asks for tools, prompts and resources that no user needs: a handler
/// of the tests has them.
#[derive(Debug)]
pub struct McpServer<H> {
    /// Answers the requests: each gets a clone.
    pub handler: H,
    /// Finds the user of a request.
    pub authenticator: Arc<Authenticator>,
    /// The host names and origins that requests may have.
    pub guard: OriginPolicy,
}

impl<H: ServerHandler + Clone> McpServer<H> {
    /// Serves until `stop`, then waits 10 s for calls to end.
    pub async fn serve(self, listener: TcpListener, stop: CancellationToken) {
        let cancel = CancellationToken::new();
        let requests = Requests::new(None);
        let mcp = mcp::routes(self.handler, &UserQuotas::default(), requests, &cancel)
            .layer(middleware::from_fn(auth::require_tools));
        let naming = WorkspaceNaming::default();
        let routes = authenticated(mcp, &self.authenticator, naming);
        let routes = self.guard.protect(routes);
        let connections = Connections::new(routes, stop);
        connections.accept(listener).await;
        let _ = timeout(SHUTDOWN_TIMEOUT, connections.ended()).await;
        cancel.cancel();
    }
}
