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
mod files;
mod mcp;

use std::sync::Arc;

use axum::{Router, middleware};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::sandbox::Manager;
use auth::Authenticator;

/// Serves until `stop`.
///
/// # Errors
/// When the listener fails for good.
pub async fn serve(
    listener: TcpListener,
    manager: Manager,
    authenticator: Arc<Authenticator>,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let authenticated = Router::new()
        .route_service("/mcp", mcp::service(manager.clone(), &stop))
        .merge(files::router(manager.clone()))
        .layer(middleware::from_fn_with_state(authenticator, auth::require));
    axum::serve(listener, authenticated)
        .with_graceful_shutdown(stop.cancelled_owned())
        .await?;
    manager.close().await;
    Ok(())
}
