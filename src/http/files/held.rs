//! An answer that holds something until it was sent.

use axum::body::Body;
use axum::response::Response;
use futures_util::StreamExt as _;
use http_body::Body as _;

/// The answer, which drops `held` when its last byte was sent or its client left.
pub fn held<T: Send + 'static>(response: Response, held: T) -> Response {
    if response.body().size_hint().exact() == Some(0) {
        // Without content, as for HEAD.
        return response;
    }
    let (parts, body) = response.into_parts();
    let content = body.into_data_stream().map(move |chunk| {
        let _held = &held;
        chunk
    });
    Response::from_parts(parts, Body::from_stream(content))
}
