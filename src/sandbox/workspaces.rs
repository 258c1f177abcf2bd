//! The workspaces of one user, as the Engine knows them.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use super::manager::Manager;
use crate::engine::{State, labels};
use crate::identity::{User, WorkspaceId};
use crate::provision::{SandboxError, look, owner, workspaces};

/// One workspace of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownWorkspace {
    /// Which.
    pub id: WorkspaceId,
    /// Its volume; `None`: it has no volume yet, or the workspace is a directory of the host.
    pub volume: Option<String>,
    /// When that was made, if it is known.
    pub created: Option<SystemTime>,
    /// Where its container is in its life; `None`: there is no container.
    pub state: Option<State>,
    /// How long the container has been idle, where this server has a channel to it; zero: it works.
    pub idle: Option<Duration>,
}

impl KnownWorkspace {
    fn new(id: WorkspaceId) -> Self {
        Self {
            id,
            volume: None,
            created: None,
            state: None,
            idle: None,
        }
    }
}

impl Manager {
    /// The workspaces of `user`: their own first, then those that have a name, sorted. Makes none. A
    /// directory of the host counts while a container has it.
    ///
    /// # Errors
    /// The Engine's.
    pub async fn workspaces(&self, user: &User) -> Result<Vec<KnownWorkspace>, SandboxError> {
        let instance = &self.config().instance;
        let theirs = labels::user_filter(instance, user);
        let volumes = self.context.engine.list_volumes(&theirs).await?;
        let mut known = BTreeMap::new();
        let own = WorkspaceId::from(user.clone());
        known.insert(own.clone(), KnownWorkspace::new(own));
        for (id, volume) in workspaces(instance, &volumes) {
            let workspace = KnownWorkspace {
                volume: Some(volume.name.clone()),
                created: volume.created_at(),
                ..KnownWorkspace::new(id.clone())
            };
            known.insert(id, workspace);
        }
        let mut rows = self.containers(user).await?;
        rows.retain(|row| !row.is_helper());
        let capacity = &self.context.capacity;
        for sandbox in look(rows, |row| capacity.channel(&row.id)).await {
            let Some(id) = owner(&sandbox.row.labels).filter(|id| id.user == *user) else {
                continue;
            };
            let new = || KnownWorkspace::new(id.clone());
            let workspace = known.entry(id.clone()).or_insert_with(new);
            // Of several, as in ephemeral mode, one that runs counts.
            if workspace.state != Some(State::Running) {
                workspace.state = Some(sandbox.row.state);
            }
            if let Some(stats) = sandbox.stats {
                let idle = match stats.commands.is_empty() {
                    true => Duration::from_millis(stats.idle_ms),
                    false => Duration::ZERO,
                };
                workspace.idle = Some(workspace.idle.map_or(idle, |other| other.min(idle)));
            }
        }
        Ok(known.into_values().collect())
    }
}
