//! Whole workspaces, for the operator's tasks.

use super::manager::Manager;
use crate::engine::labels;
use crate::identity::User;
use crate::provision::{SandboxError, workspaces};
use crate::snapshot::Snapshots;

impl Manager {
    /// `user`'s workspace as a whole. Does not reach for the Engine.
    pub fn snapshots(&self, user: &User) -> Snapshots {
        Snapshots::new(self.provisioner(user))
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
