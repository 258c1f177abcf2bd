//! The workspaces of a user, or of all, as the Engine knows them.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use super::manager::Manager;
use crate::engine::{ContainerSummary, State, labels};
use crate::identity::{User, WorkspaceId};
use crate::provision::{LiveSandbox, SandboxError, is_a_users, look, owner, survey, workspaces};

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
        let theirs = labels::user_filter(&self.config().instance, user);
        let mut known = self.on_volumes(&theirs).await?;
        let own = WorkspaceId::from(user.clone());
        let new = || KnownWorkspace::new(own.clone());
        known.entry(own.clone()).or_insert_with(new);
        let sandboxes = self.look_at(self.containers(user).await?).await;
        add(&mut known, sandboxes);
        Ok(known.into_values().collect())
    }

    /// The workspaces of all users, sorted. `with_bridges`: asks each sandbox, also those of other
    /// servers; else only those that this server has a channel to. A directory of the host counts while
    /// a container has it.
    ///
    /// # Errors
    /// The Engine's.
    pub async fn all_workspaces(
        &self,
        with_bridges: bool,
    ) -> Result<Vec<KnownWorkspace>, SandboxError> {
        let (engine, instance) = (&self.context.engine, &self.config().instance);
        let ours = [(labels::INSTANCE, instance.as_str())];
        let mut known = self.on_volumes(&ours).await?;
        let sandboxes = match with_bridges {
            true => survey(engine, instance).await?,
            false => self.look_at(engine.list_containers(&ours).await?).await,
        };
        add(&mut known, sandboxes);
        Ok(known.into_values().collect())
    }

    /// Asks those that this server has a channel to.
    async fn look_at(&self, rows: Vec<ContainerSummary>) -> Vec<LiveSandbox> {
        let capacity = &self.context.capacity;
        look(rows, |row| capacity.channel(&row.id)).await
    }

    /// Whether the workspace is a volume now.
    pub(super) async fn has_volume(&self, workspace: &WorkspaceId) -> Result<bool, SandboxError> {
        let theirs = labels::user_filter(&self.config().instance, &workspace.user);
        Ok(self.on_volumes(&theirs).await?.contains_key(workspace))
    }

    async fn on_volumes(
        &self,
        labels: &[(&str, &str)],
    ) -> Result<BTreeMap<WorkspaceId, KnownWorkspace>, SandboxError> {
        let volumes = self.context.engine.list_volumes(labels).await?;
        let workspaces = workspaces(&self.config().instance, &volumes).into_iter();
        let known = workspaces.map(|(id, volume)| {
            let workspace = KnownWorkspace {
                volume: Some(volume.name.clone()),
                created: volume.created_at(),
                ..KnownWorkspace::new(id.clone())
            };
            (id, workspace)
        });
        Ok(known.collect())
    }
}

/// Adds what is known of containers to their workspaces.
fn add(known: &mut BTreeMap<WorkspaceId, KnownWorkspace>, sandboxes: Vec<LiveSandbox>) {
    for sandbox in sandboxes {
        if sandbox.row.is_helper() || !sandbox.row.is_sandbox() {
            continue;
        }
        let Some(id) = owner(&sandbox.row.labels).filter(is_a_users) else {
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
}
