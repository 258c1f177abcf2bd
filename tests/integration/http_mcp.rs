//! MCP over Streamable HTTP: every version of the protocol, silent calls, clients that
//! disconnect, the end of the server.

mod answers;
mod ends;
mod versions;

use serde_json::json;

use crate::harness::{HttpServer, MODERN, TestServer};

/// An address without an Engine.
const NOWHERE: &str = "unix:///nonexistent/docker.sock";

/// A POST with this `Accept`, or none.
fn post(server: &HttpServer, accept: Option<&str>) -> hyper::http::request::Builder {
    let request = server.request("POST", "/mcp");
    let request = request.header("content-type", "application/json");
    match accept {
        Some(accept) => request.header("accept", accept),
        None => request,
    }
}

#[tokio::test]
async fn health_says_whether_it_serves_and_whether_the_engine_answers() {
    let server = TestServer::new().start_http().await;
    assert_eq!(server.get("/healthz").await.0, 200);
    assert_eq!(server.get("/readyz").await.0, 200);
    let alone = TestServer::new()
        .env("DOCKER_HOST", NOWHERE)
        .start_http()
        .await;
    assert_eq!(alone.get("/healthz").await.0, 200);
    assert_eq!(alone.get("/readyz").await.0, 503);
    let tools = alone.ask(MODERN, "tools/list", &json!({})).await;
    assert!(tools.answer().await["result"]["tools"].is_array());
}
