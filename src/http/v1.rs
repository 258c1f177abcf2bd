//! Plain HTTP for applications: what MCP's tools do, as JSON and without MCP.
//!
//! ```text
//! POST   /v1/exec                 a command, and what became of it
//! GET    /v1/exec/{command_id}    goes on with one that was answered `running`
//! DELETE /v1/exec/{command_id}    ends it
//! ANY    /v1/files/…              the same as /files (super::files)
//! DELETE /v1/workspace?confirm=   the workspace, or all that the user has
//! GET    /v1/workspaces           which there are (super::workspaces)
//! GET    /v1/openapi.json         this, for programs
//! ```
//!
//! Invariants:
//! - The only credential is a Bearer token. A browser sends none by itself.
//! - Identities, limits, the audit, error codes and their statuses are those of the tools and of
//!   `/files`: nothing is decided here.

mod exec;
pub mod json_body;
mod openapi;
mod workspace;

use axum::{Router, middleware};

use super::auth;
use super::quotas::UserQuotas;
use crate::engine::Engine;
use crate::sandbox::Manager;
use crate::tools::Tools;

pub use openapi::routes as openapi;

/// `/v1/exec`, for credentials that are good for the tools.
pub fn exec(tools: Tools, manager: &Manager, quotas: &UserQuotas) -> Router {
    exec::routes(tools, manager, quotas)
}

/// `/v1/workspace`, for credentials that are good for everything: it ends what runs, and takes the
/// files.
pub fn workspace(manager: &Manager, engine: &Engine, quotas: &UserQuotas) -> Router {
    workspace::routes(manager, engine, quotas)
        .layer(middleware::from_fn(auth::require_tools))
        .layer(middleware::from_fn(auth::require_files))
}
