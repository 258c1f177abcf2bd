//! `DELETE /v1/workspace`: what `casemate rm --volume` does, for the workspace of the request, or for
//! all of the caller.

use axum::extract::State;
use axum::routing::delete;
use axum::{Extension, Json, Router};
use serde_json::{Value, json};

use crate::api::{Code, ToolError};
use crate::config::Mode;
use crate::engine::{Engine, EngineError};
use crate::http::files::{FileRejection, FromQuery, Params, Query};
use crate::http::quotas::{QuotaUsage, UserQuotas};
use crate::identity::Principal;
use crate::ops::gc::hold::HoldError;
use crate::ops::workspace_removal::{RemovalScope, WorkspaceRemoval, WorkspaceRemovalError};
use crate::sandbox::{Manager, SandboxError};

/// What a failure is about.
const SUBJECT: &str = "the workspace";

#[derive(Debug, Clone)]
struct Removals {
    manager: Manager,
    engine: Engine,
    quotas: UserQuotas,
}

/// The route. Each request carries the [`Principal`] that authentication put into it.
pub fn routes(manager: &Manager, engine: &Engine, quotas: &UserQuotas) -> Router {
    Router::new()
        .route("/v1/workspace", delete(remove))
        .with_state(Removals {
            manager: manager.clone(),
            engine: engine.clone(),
            quotas: quotas.clone(),
        })
}

/// Parameters of the route.
#[derive(Debug)]
struct RemovalParams {
    /// The user's name: a request for the wrong one does not come through by mistake.
    confirm: String,
    /// Even while commands run: they are ended.
    force: bool,
    /// All workspaces of the caller.
    all: bool,
}

impl FromQuery for RemovalParams {
    const KNOWN: &[&str] = &["confirm", "force", "all"];

    fn from_query(query: &Query) -> Result<Self, FileRejection> {
        Ok(Self {
            confirm: query.text("confirm")?.unwrap_or_default().to_owned(),
            force: query.truth("force")?.unwrap_or(false),
            all: query.truth("all")?.unwrap_or(false),
        })
    }
}

async fn remove(
    Extension(caller): Extension<Principal>,
    State(removals): State<Removals>,
    Params(params): Params<RemovalParams>,
) -> Result<Json<Value>, FileRejection> {
    let Removals {
        manager,
        engine,
        quotas,
    } = removals;
    let mode = manager.config().for_identity(&caller.identity).mode;
    let workspace = caller.identity.workspace_id();
    let user = caller.identity.user;
    if params.confirm != user.subject.as_str() {
        return Err(FileRejection::bad(
            "all files would be lost: `confirm` must be the user's name, as /status says it.",
        ));
    }
    let permit = quotas.take(&user, QuotaUsage::request(0));
    let permit = permit.ok_or_else(FileRejection::too_many_requests)?;
    if mode == Mode::Bind {
        let sentence = "the workspace is a directory of the host, which Casemate does not remove.";
        return Err(ToolError::new(Code::PermissionDenied, sentence).into());
    }
    let removal = WorkspaceRemoval {
        engine,
        audit: manager.audit().clone(),
        instance: manager.config().instance.clone(),
        scope: match params.all {
            true => RemovalScope::User(user),
            false => RemovalScope::Workspace(workspace.clone()),
        },
        reason: "DELETE /v1/workspace",
    };
    // It goes on when the client leaves: half a removal is of no use.
    let removed = manager.calls().spawn(async move {
        let _permit = permit;
        removal.run(params.force, true).await
    });
    let removed = removed.await.map_err(|error| {
        tracing::error!(%error, "a removal ended early");
        ToolError::new(Code::Internal, "the removal ended early.")
    })?;
    let removed = removed.map_err(|error| refused(&error))?;
    manager.forget_commands(&workspace, params.all);
    Ok(Json(json!({
        "success": true,
        "data": { "containers": removed.containers, "volumes": removed.volumes },
    })))
}

fn refused(error: &WorkspaceRemovalError) -> FileRejection {
    use WorkspaceRemovalError as E;
    let sandbox = |error: &SandboxError| ToolError::sandbox(error, SUBJECT);
    let said = match error {
        E::Hold(HoldError::Held(_)) => ToolError::new(
            Code::PermissionDenied,
            "the operator holds this workspace; its files were not removed.",
        ),
        E::Busy(_) => ToolError::new(
            Code::Busy,
            "the sandbox is busy: wait until it is idle, or end what runs with ?force=true.",
        ),
        E::Engine(EngineError::InUse { .. }) => ToolError::new(
            Code::Busy,
            "a container that was made in between has the files; stop calling, then retry.",
        ),
        E::NotRecorded(error) => ToolError::new(
            Code::AuditUnavailable,
            format!(
                "removals must be recorded, but recording fails now ({error}). Earlier removals \
                 stay; retry later."
            ),
        ),
        E::Container(error) => sandbox(error),
        E::Hold(HoldError::Engine(error)) | E::Engine(error) => ToolError::engine(error),
    };
    said.into()
}
