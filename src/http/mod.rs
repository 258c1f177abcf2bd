//! HTTP: MCP at `/mcp`, the workspace's files beside it, each request its own user.
//!
//! ```text
//! connections ─► guard (Host, Origin) ─┬─► /healthz, /readyz
//!                                      ├─► /          the page for people
//!                                      └─► auth (Principal) ─┬─► message ─► batch ─► cancelled
//!                                                            │      ─► early_commit ─► form ─► /mcp
//!                                                            ├─► /sse, message ─► /messages
//!                                                            ├─► /files   the workspace
//!                                                            └─► /status  the sandbox
//! ```
//!
//! Invariants:
//! - The user of a request is the [`Principal`](crate::identity::Principal) that its
//!   own credential gives, and nothing else.
//! - A credential is neither logged nor handed on.
//! - Who leaves ends what runs for them.

pub mod admin;
pub mod auth;
mod batch;
mod cancelled;
mod coding;
mod connections;
mod early_commit;
mod failure;
mod files;
mod form;
pub mod guard;
mod health;
mod limits;
mod mcp;
mod message;
mod metrics;
mod page;
mod quotas;
mod sse;
mod status;

use std::sync::Arc;

use axum::http::{HeaderMap, HeaderValue, header};
use axum::{Router, middleware};
use rmcp::ServerHandler;
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::engine::Engine;
use crate::sandbox::Manager;
use crate::tools::Tools;
use auth::Authenticator;
use cancelled::Requests;
use connections::Connections;
use guard::OriginPolicy;
use limits::{LAST_ANSWER_TIMEOUT, SHUTDOWN_TIMEOUT};
use quotas::UserQuotas;

const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");

/// Whether the client takes a stream of events. `*/*`, which every HTTP client sends of its
/// own, takes any form.
fn takes_a_stream(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(header::ACCEPT).iter();
    values.any(|value| form::names(value, &["text/event-stream", "text/*", "*/*"]))
}

/// What is served.
#[derive(Debug)]
pub struct Server {
    /// All sandboxes.
    pub manager: Manager,
    /// Where they are, to say whether it answers.
    pub engine: Engine,
    /// Whose a request is.
    pub authenticator: Arc<Authenticator>,
    /// By what name and from which pages it may be called.
    pub guard: OriginPolicy,
}

impl Server {
    /// Serves until `stop`. Then it accepts nothing more, lets what runs end for 10 s,
    /// ends it, with all it started, and answers: 12.4 s at most.
    pub async fn serve(self, listener: TcpListener, stop: CancellationToken) {
        let cancel = CancellationToken::new();
        let manager = self.manager.clone();
        let connections = Connections::new(self.routes(&stop, &cancel), stop);
        connections.accept(listener).await;
        info!("ending: asked to stop");
        // Nobody is left who waits, or the time is over: the calls end now.
        let _ = timeout(SHUTDOWN_TIMEOUT, connections.ended()).await;
        manager.close().await;
        let _ = timeout(LAST_ANSWER_TIMEOUT, connections.ended()).await;
        cancel.cancel();
    }

    fn routes(self, stop: &CancellationToken, cancel: &CancellationToken) -> Router {
        let tools = Tools::for_requests(self.manager.clone());
        let quotas = UserQuotas::default();
        let requests = Requests::new(Some(self.manager.clone()));
        let tools = Router::new()
            .merge(mcp::routes(tools.clone(), &quotas, requests, cancel))
            .merge(sse::routes(tools, &quotas, stop))
            .layer(middleware::from_fn(auth::require_tools));
        let meter = self.manager.meter().clone();
        let count_content = middleware::from_fn_with_state(meter.clone(), metrics::content);
        let files = files::router(self.manager.clone(), &quotas)
            .layer(count_content)
            .merge(status::routes(self.manager, &quotas))
            .layer(middleware::from_fn(auth::require_files));
        let authenticated = authenticated(tools.merge(files), &self.authenticator);
        let open = health::routes(self.engine)
            .merge(auth::metadata(&self.authenticator))
            .merge(page::routes());
        let guarded = self.guard.protect(authenticated.merge(open));
        guarded.layer(middleware::from_fn_with_state(meter, metrics::requests))
    }
}

fn authenticated(routes: Router, authenticator: &Arc<Authenticator>) -> Router {
    let authenticator = Arc::clone(authenticator);
    let routes = routes.layer(middleware::from_fn(coding::layer));
    routes.layer(middleware::from_fn_with_state(authenticator, auth::require))
}

/// MCP alone, answered by any handler, through all that a call of a tool of [`Server`]
/// goes through. The official conformance suite asks for tools, prompts and resources
/// that no user has a need for: a handler of the tests has them, and they are asked for
/// over the HTTP that the users' tools are.
#[derive(Debug)]
pub struct McpServer<H> {
    /// What answers. Each request gets a clone.
    pub handler: H,
    /// Whose a request is.
    pub authenticator: Arc<Authenticator>,
    /// By what name and from which pages it may be called.
    pub guard: OriginPolicy,
}

impl<H: ServerHandler + Clone> McpServer<H> {
    /// Serves until `stop`, then lets what runs end for 10 s.
    pub async fn serve(self, listener: TcpListener, stop: CancellationToken) {
        let cancel = CancellationToken::new();
        let requests = Requests::new(None);
        let mcp = mcp::routes(self.handler, &UserQuotas::default(), requests, &cancel)
            .layer(middleware::from_fn(auth::require_tools));
        let routes = self.guard.protect(authenticated(mcp, &self.authenticator));
        let connections = Connections::new(routes, stop);
        connections.accept(listener).await;
        let _ = timeout(SHUTDOWN_TIMEOUT, connections.ended()).await;
        cancel.cancel();
    }
}
