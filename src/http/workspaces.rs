//! `GET /v1/workspaces` and `/workspaces`: the workspaces of the caller, and how a request names one.
//!
//! As `/status`, it creates nothing and does not count as use.

use std::time::{Duration, SystemTime};

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Extension, Json, Router};
use serde::Serialize;
use serde_json::json;

use super::files::FileRejection;
use super::quotas::{QuotaUsage, UserQuotas};
use crate::api::ToolError;
use crate::engine;
use crate::identity::Principal;
use crate::sandbox::{KnownWorkspace, Manager};

#[derive(Debug, Clone)]
struct WorkspacesState {
    manager: Manager,
    quotas: UserQuotas,
}

/// The routes. Each request carries the [`Principal`] that authentication put into it.
pub fn routes(manager: &Manager, quotas: &UserQuotas) -> Router {
    Router::new()
        .route("/workspaces", get(list))
        .route("/v1/workspaces", get(list))
        .with_state(WorkspacesState {
            manager: manager.clone(),
            quotas: quotas.clone(),
        })
}

/// One workspace.
#[derive(Debug, Serialize)]
struct ListedWorkspace {
    /// null: the user's own.
    name: Option<String>,
    state: WorkspaceState,
    /// RFC 3339; null: it has no volume, or that is not known.
    created_at: Option<String>,
    /// Since the last call; 0 while something runs; null where this server does not know it.
    idle_seconds: Option<u64>,
}

/// Where its sandbox is.
#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase")]
enum WorkspaceState {
    /// It has no container; the next call makes one.
    Stopped,
    /// It is being made, or ends.
    Changing,
    Running,
}

async fn list(
    Extension(caller): Extension<Principal>,
    State(asked): State<WorkspacesState>,
) -> Result<impl IntoResponse, FileRejection> {
    let WorkspacesState { manager, quotas } = asked;
    let user = &caller.identity.user;
    let permit = quotas.take(user, QuotaUsage::request(0));
    let _permit = permit.ok_or_else(FileRejection::too_many_requests)?;
    let known = manager.workspaces(user).await;
    let known = known.map_err(|error| {
        FileRejection::from(ToolError::sandbox(&error, "the list of workspaces"))
    })?;
    let listed: Vec<ListedWorkspace> = known.iter().map(ListedWorkspace::of).collect();
    let header_name = manager.config().http.workspace_header.name().as_str();
    let headers = [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    let data = json!({ "workspaces": listed, "header": header_name });
    Ok((headers, Json(json!({ "success": true, "data": data }))))
}

impl ListedWorkspace {
    fn of(workspace: &KnownWorkspace) -> Self {
        let created = workspace.created;
        Self {
            name: workspace.id.name_str().map(str::to_owned),
            state: match workspace.state {
                None => WorkspaceState::Stopped,
                Some(engine::State::Running) => WorkspaceState::Running,
                Some(_) => WorkspaceState::Changing,
            },
            created_at: created
                .map(|at: SystemTime| humantime::format_rfc3339_seconds(at).to_string()),
            idle_seconds: workspace.idle.map(|idle: Duration| idle.as_secs()),
        }
    }
}
