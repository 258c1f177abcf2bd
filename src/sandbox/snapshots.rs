//! Whole workspaces, for the operator's tasks.

use super::manager::Manager;
use crate::engine::labels;
use crate::identity::{Identity, User};
use crate::provision::{SandboxError, workspaces};
use crate::snapshot::Snapshots;

impl Manager {
    /// `user`'s workspace as a whole. Does not reach for the Engine. Where the group depends on a
    /// token, helper containers are made as for a user in none: a workspace is in the same place in
    /// each such group, and no rule of egress counts for a helper container.
    pub fn snapshots(&self, user: &User) -> Snapshots {
        let named = self.context.config.named_by_operator(user.clone());
        let identity = named.unwrap_or_else(|_| Identity::from(user.clone()));
        Snapshots::new(self.provisioner(&identity))
    }

    /// All users who have a volume in this instance, sorted.
    ///
    /// # Errors
    /// The Engine's.
    pub async fn users_with_a_volume(&self) -> Result<Vec<User>, SandboxError> {
        let instance = &self.context.config.instance;
        let ours = [(labels::INSTANCE, instance.as_str())];
        let volumes = self.context.engine.list_volumes(&ours).await?;
        let workspaces = workspaces(instance, &volumes).into_iter();
        Ok(workspaces.map(|(user, _)| user).collect())
    }
}
