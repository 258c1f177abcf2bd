//! The operator's console at the admin address: one page, in the look of the page for people, and the
//! JSON that it shows. It only reads; the verbs of the command line act.
//!
//! Invariants:
//! - Only on a loopback address, whose Host and Origin are checked before every route
//!   ([`OriginPolicy::of_loopback`](super::guard::OriginPolicy::of_loopback)).
//! - All answers that name users need an admin token, in the one `Authorization` header. A request
//!   without a valid one learns only that.
//! - The page is the same for everybody, and runs under the policy of the page for people.

mod answers;
mod counters;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use parking_lot::Mutex;
use serde_json::Value;
use tracing::{debug, info};

use super::auth::tokens::{AdminTokens, TokenName};
use super::failure::failure;
use super::page::{HEADERS, HTML, SCRIPT, STYLE};
use crate::config::{AwsVariables, Config, FileError};
use crate::engine::Engine;
use crate::ops::backup::Backups;
use crate::sandbox::Manager;
use answers::Answers;

/// The parts of the page: path, type and content. The style and the texts are those of the page for
/// people.
const PARTS: [(&str, &str, &str); 5] = [
    ("/console", HTML, include_str!("console/index.html")),
    ("/console/style.css", STYLE, include_str!("page/style.css")),
    (
        "/console/console.css",
        STYLE,
        include_str!("console/console.css"),
    ),
    (
        "/console/console.js",
        SCRIPT,
        include_str!("console/console.js"),
    ),
    ("/console/text.js", SCRIPT, include_str!("page/text.js")),
];

/// How often the log names an operator whose page is open.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// The console of a server.
pub struct Console {
    tokens: AdminTokens,
    answers: Arc<Answers>,
}

impl Console {
    /// With the tokens of this file. Blocks on it. `backups`: where the newest are looked for.
    ///
    /// # Errors
    /// The file cannot be used.
    pub fn load(
        tokens: &Path,
        config: Config,
        manager: Manager,
        engine: Engine,
        backups: Option<Backups>,
        aws: AwsVariables,
    ) -> Result<Self, FileError> {
        Ok(Self {
            tokens: AdminTokens::load(tokens)?,
            answers: Arc::new(Answers::new(config, manager, engine, backups, aws)),
        })
    }

    /// The routes below `/console`.
    pub(super) fn routes(self) -> Router {
        let page = PARTS.iter().fold(Router::new(), |routes, part| {
            let (path, kind, text) = *part;
            let part = (HEADERS, [(header::CONTENT_TYPE, kind)], text);
            routes.route(path, get(async move || part))
        });
        let gate = Arc::new(Gate {
            tokens: self.tokens,
            logged: Mutex::default(),
        });
        let data = Router::new()
            .route("/console/api/live", get(live))
            .route("/console/api/workspaces", get(workspaces))
            .route("/console/api/doctor", get(doctor))
            .with_state(self.answers)
            .layer(from_fn_with_state(gate, require_operator));
        page.merge(data)
    }
}

/// The live part of the console.
async fn live(State(answers): State<Arc<Answers>>) -> Json<Arc<Value>> {
    Json(answers.live().await)
}

/// All workspaces, with backups and holds.
async fn workspaces(State(answers): State<Arc<Answers>>) -> Json<Arc<Value>> {
    Json(answers.workspaces().await)
}

/// The findings of the doctor.
async fn doctor(State(answers): State<Arc<Answers>>) -> Json<Arc<Value>> {
    Json(answers.doctor().await)
}

/// The tokens, and when the log last named each.
struct Gate {
    tokens: AdminTokens,
    logged: Mutex<HashMap<TokenName, Instant>>,
}

impl Gate {
    fn admits(&self, request: &Request) -> bool {
        let Some(name) = self.tokens.admit(request.headers()) else {
            debug!(
                path = request.uri().path(),
                "a request without an admin token was refused"
            );
            return false;
        };
        let now = Instant::now();
        let mut logged = self.logged.lock();
        logged.retain(|_, at| now.duration_since(*at) < LOG_INTERVAL);
        logged.entry(name).or_insert_with_key(|name| {
            info!(operator = name.as_str(), "the console is open");
            now
        });
        true
    }
}

/// Refuses a request without an admin token. The answer is the same for every fault.
async fn require_operator(
    State(gate): State<Arc<Gate>>,
    mut request: Request,
    next: Next,
) -> Response {
    if !gate.admits(&request) {
        let challenge = [(header::WWW_AUTHENTICATE, r#"Bearer realm="casemate""#)];
        let body = failure("unauthorized", "an admin token is needed");
        return (StatusCode::UNAUTHORIZED, challenge, body).into_response();
    }
    request.headers_mut().remove(header::AUTHORIZATION);
    let mut response = next.run(request).await;
    let no_store = header::HeaderValue::from_static("no-store");
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, no_store);
    response
}
