//! Whole workspaces, for the operator's tasks.

use super::manager::Manager;
use crate::engine::labels;
use crate::identity::{Identity, WorkspaceId};
use crate::provision::{SandboxError, workspaces};
use crate::snapshot::Snapshots;

impl Manager {
    /// A workspace as a whole. Does not reach for the Engine. Where the group depends on a
    /// token, helper containers are made as for a user in none: a workspace is in the same place in
    /// each such group, and no rule of egress counts for a helper container.
    pub fn snapshots(&self, workspace: &WorkspaceId) -> Snapshots {
        let user = &workspace.user;
        let named = self.context.config.named_by_operator(user.clone());
        let identity = named.unwrap_or_else(|_| Identity::from(user.clone()));
        let identity = identity.in_workspace(workspace.name.clone());
        Snapshots::new(self.provisioner(&identity))
    }

    /// All workspaces that are a volume in this instance, sorted by user.
    ///
    /// # Errors
    /// The Engine's.
    pub async fn workspaces_on_volumes(&self) -> Result<Vec<WorkspaceId>, SandboxError> {
        let instance = &self.context.config.instance;
        let ours = [(labels::INSTANCE, instance.as_str())];
        let volumes = self.context.engine.list_volumes(&ours).await?;
        let workspaces = workspaces(instance, &volumes).into_iter();
        Ok(workspaces.map(|(workspace, _)| workspace).collect())
    }
}
