//! The admin address, for the operator: `/metrics` in Prometheus' text format, `/healthz`, `/readyz`,
//! and on a loopback address the [`console`](super::console).
//!
//! It is a separate address, so that callers of the tools cannot reach it through theirs. Without an
//! admin token nothing names a user, and no request changes anything.

use std::net::SocketAddr;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::connections::Connections;
use super::console::Console;
use super::guard::{OriginPolicy, close};
use super::health;
use crate::engine::Engine;
use crate::sandbox::Manager;

/// The version of the text format that the library writes.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Serves until `stop`. A loopback address answers only requests with a loopback name as host, so
/// that no web page can read the metrics.
pub async fn serve(
    listener: TcpListener,
    address: SocketAddr,
    manager: Manager,
    engine: Engine,
    console: Option<Console>,
    stop: CancellationToken,
) {
    let routes = Router::new()
        .route("/metrics", get(metrics))
        .with_state(manager)
        .merge(health::routes(engine));
    let routes = match (OriginPolicy::of_loopback(address), console) {
        (Some(guard), Some(console)) => {
            let console = console.routes().layer(from_fn(close));
            guard.protect(routes.merge(console))
        }
        (Some(guard), None) => guard.protect(routes),
        // The settings have no console at another address.
        (None, _) => routes,
    };
    let connections = Connections::new(routes, stop);
    connections.accept(listener).await;
}

async fn metrics(State(manager): State<Manager>) -> Response {
    manager.measure().await;
    match manager.meter().text() {
        Ok(text) => ([(header::CONTENT_TYPE, TEXT)], text).into_response(),
        Err(error) => {
            warn!(
                error = &error as &dyn std::error::Error,
                "the metrics cannot be encoded"
            );
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
