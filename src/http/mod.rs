//! HTTP: MCP at `/mcp`, the workspace's files beside it, each request its own user.
//!
//! ```text
//! listener ─► guard (Host, Origin) ─► auth (Principal) ─┬─► /mcp     tools
//!                                                       └─► /files   the workspace
//! ```
//!
//! Invariants:
//! - The user of a request is the [`Principal`](crate::identity::Principal) that its
//!   own credential gives, and nothing else.
//! - A credential is neither logged nor handed on.

pub mod auth;
pub mod guard;
mod mcp;

use std::sync::Arc;

use axum::{Router, middleware};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::sandbox::Manager;
use auth::Authenticator;
use guard::Guard;

/// Serves until `stop`.
///
/// # Errors
/// When the listener fails for good.
pub async fn serve(
    listener: TcpListener,
    manager: Manager,
    authenticator: Arc<Authenticator>,
    guard: Guard,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let tools = Router::new()
        .route_service("/mcp", mcp::service(manager.clone(), &stop))
        .layer(middleware::from_fn(auth::require_tools));
    let everybody = auth::metadata(&authenticator);
    let authenticated = tools.layer(middleware::from_fn_with_state(authenticator, auth::require));
    axum::serve(listener, guard.protect(authenticated.merge(everybody)))
        .with_graceful_shutdown(stop.cancelled_owned())
        .await?;
    manager.close().await;
    Ok(())
}
