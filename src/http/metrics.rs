//! Counts requests by route and status, and the bytes of files.

use axum::body::{Body, Bytes};
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http_body::{Body as _, Frame};
use http_body_util::BodyExt as _;

use crate::meter::Meter;

/// The label of unknown paths: a client's text must not become a label.
const NO_ROUTE: &str = "none";

/// The layer around all routes.
pub async fn requests(State(meter): State<Meter>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().cloned();
    let response = next.run(request).await;
    let route = route.as_ref().map_or(NO_ROUTE, MatchedPath::as_str);
    meter.requested(route, response.status().as_u16());
    response
}

/// The layer around the routes of files: counts the bytes as they pass, also of broken transfers.
pub async fn content(State(meter): State<Meter>, request: Request, next: Next) -> Response {
    let request = request.map(|body| counting(body, &meter, "in"));
    let response = next.run(request).await;
    // A body of known size is an answer of ours, and wrapping it would lose the size.
    if response.body().size_hint().exact().is_some() {
        return response;
    }
    response.map(|body| counting(body, &meter, "out"))
}

fn counting(body: Body, meter: &Meter, direction: &'static str) -> Body {
    let meter = meter.clone();
    Body::new(body.map_frame(move |frame: Frame<Bytes>| {
        if let Some(data) = frame.data_ref() {
            meter.transferred(direction, data.len().try_into().unwrap_or(u64::MAX));
        }
        frame
    }))
}
