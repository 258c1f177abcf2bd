//! Where clients find the authorization server (RFC 9728), open to all callers.

use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use super::jwt::Jwt;
use crate::identity::Scope;

/// For a resource without a path (RFC 9728 section 3).
pub const AT_ROOT: &str = "/.well-known/oauth-protected-resource";

/// For the resource `/mcp`: its path follows the well-known one (section 3.1).
pub const AT_MCP: &str = "/.well-known/oauth-protected-resource/mcp";

/// The routes, which need no credential. They exist only with an authorization server.
pub fn routes(jwt: Option<&Jwt>) -> Router {
    let Some(jwt) = jwt else {
        return Router::new();
    };
    let metadata = of(jwt);
    let answer = get(move || async move { Json(metadata) });
    Router::new()
        .route(AT_ROOT, answer.clone())
        .route(AT_MCP, answer)
}

fn of(jwt: &Jwt) -> Value {
    json!({
        "resource": jwt.audience(),
        "authorization_servers": [jwt.issuer()],
        "scopes_supported": Scope::ALL.map(Scope::as_str),
        "bearer_methods_supported": ["header"],
        "resource_name": "Casemate",
    })
}
