//! Workspaces with their sizes, last uses, holds and newest backups.

use std::collections::{BTreeSet, HashMap};
use std::time::SystemTime;

use futures_util::{StreamExt as _, stream};
use serde::Serialize;
use tracing::warn;

use super::backup::Backups;
use super::gc::hold;
use crate::engine::{Engine, EngineError};
use crate::sandbox::{KnownWorkspace, Manager};

/// Workspaces that are looked into at once: each look is a helper container.
const LOOK_LIMIT: usize = 4;

/// One workspace.
#[derive(Debug, Clone, Serialize)]
pub struct ListedWorkspace {
    /// Whose.
    pub user: String,
    /// The issuer that vouches for the user.
    pub issuer: String,
    /// null: the user's own.
    pub name: Option<String>,
    /// The state of its container; null: it has no container.
    pub state: Option<&'static str>,
    /// As the Engine counts it; null where it does not.
    pub size_bytes: Option<u64>,
    /// RFC 3339; null where it is not known.
    pub last_used: Option<String>,
    /// RFC 3339; null where it is not known.
    pub created: Option<String>,
    /// null: it is a directory of the host.
    pub volume: Option<String>,
    /// Whether it is kept at any age.
    pub held: bool,
    /// RFC 3339; null: it has none, or the setting `backup_target` names no store.
    pub newest_backup: Option<String>,
}

/// Lists all workspaces, and looks into each.
pub struct WorkspaceLister<'a> {
    manager: &'a Manager,
    backups: Option<&'a Backups>,
    /// Of volumes, by name.
    sizes: HashMap<String, u64>,
    /// Names of sandboxes.
    held: BTreeSet<String>,
    /// Without what takes long: sizes, and a helper container for each last use.
    quick: bool,
}

impl<'a> WorkspaceLister<'a> {
    /// Asks the Engine for sizes, unless it should be `quick`, and for holds.
    ///
    /// # Errors
    /// The Engine's. If it cannot say the sizes, they are unknown.
    pub async fn new(
        manager: &'a Manager,
        backups: Option<&'a Backups>,
        engine: &Engine,
        quick: bool,
    ) -> Result<Self, EngineError> {
        let sizes = match quick {
            true => HashMap::new(),
            false => engine.volume_sizes().await.unwrap_or_else(|error| {
                let error = &error as &dyn std::error::Error;
                warn!(error, "the sizes are not known");
                HashMap::new()
            }),
        };
        Ok(Self {
            manager,
            backups,
            sizes,
            held: hold::all(engine, &manager.config().instance).await?,
            quick,
        })
    }

    /// The same workspaces, in the same order.
    pub async fn list(&self, known: Vec<KnownWorkspace>) -> Vec<ListedWorkspace> {
        let looks = known.into_iter().map(|one| self.one(one));
        stream::iter(looks).buffered(LOOK_LIMIT).collect().await
    }

    async fn one(&self, one: KnownWorkspace) -> ListedWorkspace {
        let last_used = self.last_use(&one).await;
        let newest_backup = self.newest_backup(&one).await;
        let snapshots = self.manager.snapshots(&one.id);
        let size = |volume: &String| self.sizes.get(volume).copied();
        ListedWorkspace {
            user: one.id.user.subject.as_str().to_owned(),
            issuer: one.id.user.issuer.as_str().to_owned(),
            name: one.id.name_str().map(str::to_owned),
            state: one.state.map(|state| state.as_str()),
            size_bytes: one.volume.as_ref().and_then(size),
            last_used: last_used.map(rfc3339),
            created: one.created.map(rfc3339),
            held: self.held.contains(snapshots.sandbox_name()),
            newest_backup: newest_backup.map(rfc3339),
            volume: one.volume,
        }
    }

    /// By its PID 1, or by a look into the volume. A look does not count as use.
    async fn last_use(&self, workspace: &KnownWorkspace) -> Option<SystemTime> {
        if let Some(idle) = workspace.idle {
            return SystemTime::now().checked_sub(idle);
        }
        workspace.volume.as_ref().filter(|_| !self.quick)?;
        let used = self.manager.snapshots(&workspace.id).last_use().await;
        used.unwrap_or_else(|error| {
            let error = &error as &dyn std::error::Error;
            warn!(user = %workspace.id, error, "when the workspace was used last is not known");
            None
        })
    }

    /// Lists the store, and reads no backup. If that fails, the time is unknown.
    async fn newest_backup(&self, workspace: &KnownWorkspace) -> Option<SystemTime> {
        let snapshots = self.manager.snapshots(&workspace.id);
        let newest = self.backups?.newest(&snapshots, SystemTime::now()).await;
        newest.unwrap_or_else(|error| {
            let error = &error as &dyn std::error::Error;
            warn!(user = %workspace.id, error, "the newest backup is not known");
            None
        })
    }
}

fn rfc3339(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(time).to_string()
}
