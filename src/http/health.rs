//! Health checks: whether the server serves, and whether its Engine answers.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::limits::{READINESS_TIMEOUT, READINESS_TTL};
use crate::engine::Engine;

/// The last answer and its time. Requests during a check wait for its result.
#[derive(Debug)]
struct Readiness {
    engine: Engine,
    found: Mutex<Option<(Instant, bool)>>,
}

impl Readiness {
    async fn holds(&self) -> bool {
        let mut found = self.found.lock().await;
        if let Some((at, ready)) = *found
            && at.elapsed() < READINESS_TTL
        {
            return ready;
        }
        let answered = timeout(READINESS_TIMEOUT, self.engine.version()).await;
        let ready = matches!(answered, Ok(Ok(_)));
        *found = Some((Instant::now(), ready));
        ready
    }
}

/// `/healthz` and `/readyz`: open to all callers, and only yes or no.
pub fn routes(engine: Engine) -> Router {
    let readiness = Readiness {
        engine,
        found: Mutex::default(),
    };
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .with_state(Arc::new(readiness))
}

async fn ready(State(readiness): State<Arc<Readiness>>) -> (StatusCode, &'static str) {
    if readiness.holds().await {
        (StatusCode::OK, "ready\n")
    } else {
        let why = "the Engine does not answer\n";
        (StatusCode::SERVICE_UNAVAILABLE, why)
    }
}
