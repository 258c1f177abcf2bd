//! MCP over Streamable HTTP, every protocol version, without sessions.

use std::sync::Arc;

use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use tokio_util::sync::CancellationToken;

use crate::sandbox::Manager;
use crate::tools::Tools;

/// The service at `/mcp`.
pub fn service(
    manager: Manager,
    stop: &CancellationToken,
) -> StreamableHttpService<Tools, NeverSessionManager> {
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        // The guard has looked, with the operator's list.
        .disable_allowed_hosts()
        .with_cancellation_token(stop.child_token());
    let tools = Tools::for_requests(manager);
    StreamableHttpService::new(move || Ok(tools.clone()), Arc::default(), config)
}
