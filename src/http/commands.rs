//! `/commands`: what runs in the workspace of a request, and what this server ran there.
//!
//! ```text
//! GET    /commands         those that run, then the newest; If-None-Match
//! DELETE /commands/{id}    ends one, with all it started
//! ```
//!
//! The list creates nothing and does not count as use. It is no record: it is in the server's memory,
//! and ends with it.

use std::time::{Duration, SystemTime};

use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{delete, get};
use axum::{Extension, Json, Router};
use serde::Serialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::files::{self, FileRejection};
use super::quotas::{QuotaUsage, UserQuotas};
use crate::api::{Outcome, ToolError};
use crate::identity::{Principal, hex};
use crate::sandbox::{CommandEnd, CommandState, LoggedCommand, Manager};

#[derive(Debug, Clone)]
struct CommandsState {
    manager: Manager,
    quotas: UserQuotas,
}

/// The routes. Each request carries the [`Principal`] that authentication put into it.
pub fn routes(manager: &Manager, quotas: &UserQuotas) -> Router {
    Router::new()
        .route("/commands", get(list))
        .route("/commands/{id}", delete(stop))
        .with_state(CommandsState {
            manager: manager.clone(),
            quotas: quotas.clone(),
        })
}

/// One command.
#[derive(Debug, Serialize)]
struct ListedCommand {
    id: String,
    /// The beginning of its text; null: another server ran it.
    text: Option<String>,
    /// Bytes of the whole text.
    text_bytes: Option<usize>,
    started_at: String,
    state: RunState,
    /// Null while it runs, and where it was not seen.
    outcome: Option<Outcome>,
    exit_code: Option<i32>,
    duration_ms: Option<u64>,
}

/// How far it is.
#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase")]
enum RunState {
    Running,
    /// It ended, and processes that it started still run.
    Background,
    Ended,
}

async fn list(
    Extension(caller): Extension<Principal>,
    State(commands): State<CommandsState>,
    headers: HeaderMap,
) -> Result<Response, FileRejection> {
    let CommandsState { manager, quotas } = commands;
    let permit = quotas.take(&caller.identity.user, QuotaUsage::request(0));
    let _permit = permit.ok_or_else(FileRejection::too_many_requests)?;
    let known = manager.commands(&caller.identity).await;
    let known =
        known.map_err(|error| FileRejection::from(ToolError::sandbox(&error, "the commands")))?;
    let listed: Vec<ListedCommand> = known.iter().map(ListedCommand::of).collect();
    let body = json!({ "success": true, "data": { "commands": listed } }).to_string();
    let tag = format!("\"{}\"", hex(&Sha256::digest(body.as_bytes())));
    let is_known = headers
        .get(header::IF_NONE_MATCH)
        .is_some_and(|known| *known == *tag);
    let headers = [
        // True only now, and private; a page asks again all the time.
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        ),
    ];
    let tag = [(header::ETAG, tag)];
    Ok(match is_known {
        true => (StatusCode::NOT_MODIFIED, headers, tag).into_response(),
        false => (headers, tag, body).into_response(),
    })
}

async fn stop(
    Extension(caller): Extension<Principal>,
    State(commands): State<CommandsState>,
    Path(id): Path<String>,
    request: Request,
) -> Response {
    let CommandsState { manager, quotas } = commands;
    let identity = caller.identity;
    let Some(_permit) = quotas.take(&identity.user, QuotaUsage::request(0)) else {
        return FileRejection::too_many_requests().into_response();
    };
    if id.len() != 32 || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return FileRejection::bad("the id of a command is 32 hexadecimal digits.").into_response();
    }
    let _call = manager.calls().token();
    let arguments = json!({ "command_id": id }).to_string().into_bytes();
    let answer = async |_: Request| {
        let stopped = manager.stop_command(&identity.workspace_id(), &id).await;
        let subject = format!("the command {id}");
        match stopped {
            Ok(()) => Json(json!({ "success": true, "data": { "id": id } })).into_response(),
            Err(error) => FileRejection::from(ToolError::sandbox(&error, &subject)).into_response(),
        }
    };
    files::recorded(
        &manager,
        &identity,
        "http_command_stop",
        arguments,
        request,
        answer,
    )
    .await
}

impl ListedCommand {
    fn of(command: &LoggedCommand) -> Self {
        let end = match command.state {
            CommandState::Ended(end) => Some(end),
            CommandState::Followed | CommandState::Detached => None,
        };
        let state = match (end, command.has_background) {
            (None, _) => RunState::Running,
            (Some(_), true) => RunState::Background,
            (Some(_), false) => RunState::Ended,
        };
        Self {
            id: command.id.clone(),
            text: command.text.as_ref().map(|(text, _)| text.clone()),
            text_bytes: command.text.as_ref().map(|(_, bytes)| *bytes),
            started_at: rfc3339(command.started),
            state,
            outcome: end
                .and_then(|end: CommandEnd| end.outcome)
                .map(Outcome::from),
            exit_code: end.and_then(|end| end.exit_code),
            duration_ms: end.and_then(|end| end.duration).map(milliseconds),
        }
    }
}

/// To the second, so that a command of another server, whose beginning is only known by how long it
/// has run, does not change all the time.
fn rfc3339(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(time).to_string()
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
