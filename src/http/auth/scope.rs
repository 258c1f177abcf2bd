//! The scope that a route needs.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;

use super::AuthRejection;
use super::challenge::Challenge;
use crate::identity::{Principal, Scope};

/// A layer for routes of the tools, inside [`super::require`].
pub async fn require_tools(request: Request, next: Next) -> Response {
    require(Scope::Tools, request, next).await
}

/// A layer for routes of the files, inside [`super::require`].
pub async fn require_files(request: Request, next: Next) -> Response {
    require(Scope::Files, request, next).await
}

async fn require(scope: Scope, request: Request, next: Next) -> Response {
    let rejection = match request.extensions().get::<Principal>() {
        Some(principal) if principal.scopes.has(scope) => return next.run(request).await,
        Some(_) => AuthRejection::Lacks(scope),
        // A route outside of authentication is closed.
        None => AuthRejection::Missing,
    };
    let challenge = request.extensions().get::<Challenge>();
    challenge.unwrap_or(&Challenge::plain()).reject(&rejection)
}
