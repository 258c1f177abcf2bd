//! What a good credential is good for.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;

use super::AuthRejection;
use super::challenge::Challenge;
use crate::identity::{Principal, Scope};

/// For routes of the tools: a layer inside [`super::require`].
pub async fn require_tools(request: Request, next: Next) -> Response {
    require(Scope::Tools, request, next).await
}

/// For routes of the files: a layer inside [`super::require`].
pub async fn require_files(request: Request, next: Next) -> Response {
    require(Scope::Files, request, next).await
}

async fn require(scope: Scope, request: Request, next: Next) -> Response {
    let rejection = match request.extensions().get::<Principal>() {
        Some(principal) if principal.scopes.has(scope) => return next.run(request).await,
        Some(_) => AuthRejection::Lacks(scope),
        // A route that was left outside of authentication serves nobody.
        None => AuthRejection::Missing,
    };
    let challenge = request.extensions().get::<Challenge>();
    rejection.into_response(challenge.unwrap_or(&Challenge::plain()))
}
