//! Where the routes of the files are.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

/// What stands before `/files` in the request's path: nothing, or `/v1`.
#[derive(Debug, Clone, Copy)]
pub struct RoutePrefix(pub &'static str);

impl<S: Sync> FromRequestParts<S> for RoutePrefix {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let prefix = parts.extensions.get::<Self>().copied();
        Ok(prefix.unwrap_or(Self("")))
    }
}
