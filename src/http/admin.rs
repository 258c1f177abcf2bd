//! The admin address, for the operator: `/metrics` in Prometheus' text format,
//! `/healthz` and `/readyz`.
//!
//! It is a separate address, so that callers of the tools cannot reach it through theirs. No series
//! names a user, and no request changes anything.

use std::net::SocketAddr;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::connections::Connections;
use super::guard::OriginPolicy;
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
    stop: CancellationToken,
) {
    let routes = Router::new()
        .route("/metrics", get(metrics))
        .with_state(manager)
        .merge(health::routes(engine));
    let routes = match OriginPolicy::of_loopback(address) {
        Some(guard) => guard.protect(routes),
        None => routes,
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
