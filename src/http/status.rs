//! `GET /status`: the state and the limits of the caller's sandbox.
//!
//! The request creates nothing and does not count as use: an open page does not keep a container
//! alive.

use std::time::Duration;

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
use crate::config::SandboxSettings;
use crate::engine;
use crate::identity::Principal;
use crate::sandbox::{LiveSandbox, Manager};

#[derive(Debug, Clone)]
struct StatusState {
    manager: Manager,
    quotas: UserQuotas,
}

/// The route. Each request carries the [`Principal`] that authentication put into it.
pub fn routes(manager: Manager, quotas: &UserQuotas) -> Router {
    let quotas = quotas.clone();
    Router::new()
        .route("/status", get(status))
        .with_state(StatusState { manager, quotas })
}

/// The answer.
#[derive(Debug, Serialize)]
struct SandboxStatus {
    user: String,
    issuer: String,
    /// By the caller's credential; a container that is not used yet may be of another.
    group: Option<String>,
    /// The name of the workspace; null: the user's own.
    workspace: Option<String>,
    mode: &'static str,
    limits: LimitsStatus,
    state: Phase,
    /// One container, except in ephemeral mode, where each command has its own.
    containers: usize,
    /// Memory of all containers without the page cache; null if none answered.
    memory_bytes: Option<u64>,
    /// CPU time of all their processes, likewise.
    cpu_ms: Option<u64>,
    /// The user's commands, and processes that they left in the background.
    processes: Option<u32>,
    /// Oldest first.
    commands: Vec<CommandStatus>,
}

/// The limits of this user's sandbox.
#[derive(Debug, Serialize)]
struct LimitsStatus {
    /// Of each container.
    memory_bytes: u64,
    cpus: String,
    /// Processes and threads of each container.
    processes: u32,
    /// Of one upload.
    upload_bytes: u64,
    calls_at_once: u32,
    idle_seconds: u64,
    background_seconds: u64,
}

/// The state of the sandbox. Of several containers the most advanced one decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum Phase {
    /// It does not exist; the next call creates it.
    Absent,
    /// Being removed.
    Ending,
    /// Being created.
    Creating,
    /// Runs.
    Running,
}

/// One command, or the processes that it left in the background.
#[derive(Debug, Serialize)]
struct CommandStatus {
    id: String,
    running_ms: u64,
    background: bool,
    processes: u32,
}

async fn status(
    Extension(caller): Extension<Principal>,
    State(asked): State<StatusState>,
) -> Result<impl IntoResponse, FileRejection> {
    let StatusState { manager, quotas } = asked;
    let permit = quotas.take(&caller.identity.user, QuotaUsage::request(0));
    let _permit = permit.ok_or_else(FileRejection::too_many_requests)?;
    let sandboxes = manager.look(&caller.identity.workspace_id()).await;
    let sandboxes = sandboxes
        .map_err(|error| FileRejection::from(ToolError::sandbox(&error, "the sandbox")))?;
    let settings = manager.config().for_identity(&caller.identity);
    let upload = manager.config().upload_limit.0;
    let status = SandboxStatus::new(&caller, &settings, upload, &sandboxes);
    // The answer is only true now, and private.
    let headers = [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    let body = Json(json!({ "success": true, "data": status }));
    Ok((headers, body))
}

impl SandboxStatus {
    fn new(
        caller: &Principal,
        settings: &SandboxSettings,
        upload: u64,
        sandboxes: &[LiveSandbox],
    ) -> Self {
        let stats = || sandboxes.iter().filter_map(|one| one.stats.as_ref());
        let asked = stats().next().is_some();
        let mut commands: Vec<CommandStatus> = stats()
            .flat_map(|stats| &stats.commands)
            .map(|command| CommandStatus {
                id: command.id.clone(),
                running_ms: command.running_ms,
                background: command.background,
                processes: command.processes,
            })
            .collect();
        commands.sort_by_key(|command| std::cmp::Reverse(command.running_ms));
        let states = sandboxes.iter().map(|one| Phase::of(one.row.state));
        Self {
            user: caller.identity.user.subject.as_str().to_owned(),
            issuer: caller.identity.user.issuer.as_str().to_owned(),
            group: caller.identity.group_str().map(str::to_owned),
            workspace: caller.identity.workspace_id().name_str().map(str::to_owned),
            mode: settings.mode.as_str(),
            limits: LimitsStatus::new(settings, upload),
            state: states.max().unwrap_or(Phase::Absent),
            containers: sandboxes.len(),
            memory_bytes: asked
                .then(|| stats().fold(0, |sum: u64, one| sum.saturating_add(one.memory_bytes))),
            cpu_ms: asked.then(|| stats().fold(0, |sum: u64, one| sum.saturating_add(one.cpu_ms))),
            processes: asked
                .then(|| stats().fold(0, |sum: u32, one| sum.saturating_add(one.processes))),
            commands,
        }
    }
}

impl LimitsStatus {
    fn new(settings: &SandboxSettings, upload_bytes: u64) -> Self {
        let seconds = |time: Duration| time.as_secs();
        Self {
            memory_bytes: settings.memory.0,
            cpus: settings.cpus.to_string(),
            processes: settings.pids,
            upload_bytes,
            calls_at_once: settings.calls_per_user,
            idle_seconds: seconds(settings.idle_timeout),
            background_seconds: seconds(settings.background_ttl),
        }
    }
}

impl Phase {
    fn of(state: engine::State) -> Self {
        match state {
            engine::State::Running | engine::State::Paused => Self::Running,
            engine::State::Created | engine::State::Restarting => Self::Creating,
            engine::State::Removing
            | engine::State::Exited
            | engine::State::Dead
            | engine::State::Unknown => Self::Ending,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_containers_the_one_that_is_furthest_decides() {
        use engine::State::{Created, Exited, Running};
        let of = |states: &[engine::State]| states.iter().map(|s| Phase::of(*s)).max();
        assert_eq!(of(&[Exited, Running, Created]), Some(Phase::Running));
        assert_eq!(of(&[Exited, Created]), Some(Phase::Creating));
        assert_eq!(of(&[]), None);
    }
}
