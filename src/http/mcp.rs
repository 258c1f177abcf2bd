//! MCP over Streamable HTTP, every protocol version, without sessions.
//!
//! Sessions of older versions are not offered: in rmcp a quiet call would end without its result, a
//! disconnect would not cancel, and a session would belong to no user. Clients get session ids all
//! the same, but they are not stored: see [`cancelled`](super::cancelled).

use std::sync::Arc;

use axum::{Router, middleware};
use rmcp::ServerHandler;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use tokio_util::sync::CancellationToken;

use super::cancelled::{self, Requests};
use super::limits::{KEEP_ALIVE_INTERVAL, MESSAGE_BYTES};
use super::quotas::UserQuotas;
use super::{early_commit, form, message};

/// `/mcp`, answered by `handler`. `cancel`, the last step of the end, ends unfinished answers,
/// with a 500 if nothing was sent.
pub fn routes<H>(
    handler: H,
    quotas: &UserQuotas,
    requests: Requests,
    cancel: &CancellationToken,
) -> Router
where
    H: ServerHandler + Clone,
{
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_max_request_body_bytes(MESSAGE_BYTES)
        .with_sse_keep_alive(Some(KEEP_ALIVE_INTERVAL))
        // Host and Origin are checked for all routes alike, before authentication.
        .disable_allowed_hosts()
        .disable_allowed_origins()
        .with_cancellation_token(cancel.clone());
    let service: StreamableHttpService<H, NeverSessionManager> =
        StreamableHttpService::new(move || Ok(handler.clone()), Arc::default(), config);
    Router::new()
        .route_service("/mcp", service)
        .layer(middleware::from_fn(form::layer))
        .layer(middleware::from_fn(early_commit::layer))
        .layer(middleware::from_fn_with_state(requests, cancelled::layer))
        .layer(middleware::from_fn_with_state(
            quotas.clone(),
            message::whole,
        ))
}
