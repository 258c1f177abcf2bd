//! `/v1/exec`: `shell_exec` without MCP. The answer is the structured half of its result; how a
//! command ended is in `outcome`, and the status says only whether there is an answer.
//!
//! A client that leaves ends the command, unless it was already answered `running`.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use rmcp::model::JsonObject;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::json_body::{announced, object, refuse};
use crate::api::{Code, ToolError};
use crate::config::limits::WAIT_SECONDS;
use crate::http::files::{FileRejection, FromQuery, Params, Query};
use crate::http::limits::MESSAGE_BYTES;
use crate::http::quotas::{QuotaPermit, QuotaUsage, UserQuotas};
use crate::identity::{Identity, Principal, User};
use crate::sandbox::Manager;
use crate::tools::{RUNS_COMMANDS, Tools};

/// Arguments of the tool that are in the path here.
pub(super) const IN_THE_PATH: [&str; 2] = ["command_id", "stop"];

#[derive(Debug, Clone)]
struct Exec {
    tools: Tools,
    manager: Manager,
    quotas: UserQuotas,
}

/// The routes. Each request carries the [`Principal`] that authentication put into it.
pub fn routes(tools: Tools, manager: &Manager, quotas: &UserQuotas) -> Router {
    Router::new()
        .route("/v1/exec", post(start))
        .route("/v1/exec/{command_id}", get(follow).delete(stop))
        .with_state(Exec {
            tools,
            manager: manager.clone(),
            quotas: quotas.clone(),
        })
}

/// Parameters of `GET` and `DELETE`.
#[derive(Debug)]
struct FollowParams {
    /// How long to wait for the command's end; by default not at all.
    wait_seconds: u32,
}

impl FromQuery for FollowParams {
    const KNOWN: &[&str] = &["wait_seconds"];

    fn from_query(query: &Query) -> Result<Self, FileRejection> {
        let wait = query.number("wait_seconds", WAIT_SECONDS)?;
        Ok(Self {
            wait_seconds: wait.unwrap_or(0),
        })
    }
}

/// Runs a command.
async fn start(
    Extension(caller): Extension<Principal>,
    State(exec): State<Exec>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, FileRejection> {
    // A body without a length is counted as one of the largest.
    let length = announced(&headers).unwrap_or(MESSAGE_BYTES);
    let permit = match exec.permit(&caller.identity.user, length.min(MESSAGE_BYTES)) {
        Ok(permit) => permit,
        Err(refused) => {
            refuse(&headers, body);
            return Err(refused);
        }
    };
    let arguments = object(&headers, body, MESSAGE_BYTES).await?;
    if let Some(name) = IN_THE_PATH
        .iter()
        .find(|name| arguments.contains_key(**name))
    {
        let problem = "is for /v1/exec/{command_id}: GET goes on with a command, DELETE ends it";
        return Err(ToolError::argument(name, problem).into());
    }
    if !arguments.contains_key("command") {
        let problem = "is missing; it is the command for the shell";
        return Err(ToolError::argument("command", problem).into());
    }
    exec.call(caller.identity, arguments, permit).await
}

/// Goes on with a command.
async fn follow(
    Extension(caller): Extension<Principal>,
    State(exec): State<Exec>,
    uri: Uri,
    Params(params): Params<FollowParams>,
) -> Result<Response, FileRejection> {
    let arguments = json!({
        "command_id": command_id(&uri),
        "wait_seconds": params.wait_seconds,
    });
    exec.resume(caller.identity, arguments).await
}

/// Ends a command, with everything it started.
async fn stop(
    Extension(caller): Extension<Principal>,
    State(exec): State<Exec>,
    uri: Uri,
) -> Result<Response, FileRejection> {
    let arguments = json!({ "command_id": command_id(&uri), "stop": true });
    exec.resume(caller.identity, arguments).await
}

/// As it stands: an id has no character that is written as an escape.
fn command_id(uri: &Uri) -> &str {
    uri.path().rsplit('/').next().unwrap_or_default()
}

impl Exec {
    fn permit(&self, user: &User, bytes: usize) -> Result<QuotaPermit, FileRejection> {
        let permit = self.quotas.take(user, QuotaUsage::request(bytes));
        permit.ok_or_else(FileRejection::too_many_requests)
    }

    async fn resume(
        &self,
        identity: Identity,
        arguments: Value,
    ) -> Result<Response, FileRejection> {
        let permit = self.permit(&identity.user, 0)?;
        let Value::Object(arguments) = arguments else {
            return Err(ToolError::new(Code::Internal, "no arguments.").into());
        };
        self.call(identity, arguments, permit).await
    }

    /// Makes the call in a separate task: a client that leaves ends its command, and the call is
    /// recorded all the same.
    async fn call(
        &self,
        identity: Identity,
        arguments: JsonObject,
        permit: QuotaPermit,
    ) -> Result<Response, FileRejection> {
        let cancel = CancellationToken::new();
        let _hang_up = cancel.clone().drop_guard();
        let tools = self.tools.clone();
        let call = self.manager.calls().spawn(async move {
            let _permit = permit;
            tools
                .call_directly(&identity, RUNS_COMMANDS, arguments, &cancel)
                .await
        });
        let answer = call.await.unwrap_or_else(|error| {
            tracing::error!(%error, "a call ended without an answer");
            Err(ToolError::new(Code::Internal, "the call ended early."))
        })?;
        // It is true now, and somebody's own.
        let headers = [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
        Ok((headers, Json(answer)).into_response())
    }
}
