//! In which workspace the share is that a link opens: the one with its hash. There is no table of
//! workspaces, so one that this server does not know yet is looked for on the Engine.

use std::collections::HashMap;
use std::sync::Arc;

use crate::engine::{Engine, EngineError};
use crate::identity::{Instance, WorkspaceHash, WorkspaceId};
use crate::ops::users;
use parking_lot::{Mutex, MutexGuard};

/// Workspaces that are remembered, some hundred bytes each; then all are forgotten.
const KNOWN_LIMIT: usize = 10_000;

/// Finds workspaces by their hashes. Cheap to clone.
#[derive(Debug, Clone)]
pub struct LinkOwners {
    engine: Engine,
    instance: Instance,
    known: Arc<Mutex<HashMap<WorkspaceHash, WorkspaceId>>>,
}

impl LinkOwners {
    pub fn new(engine: Engine, instance: Instance) -> Self {
        Self {
            engine,
            instance,
            known: Arc::default(),
        }
    }

    /// The workspace with this hash, if there is one.
    ///
    /// # Errors
    /// The Engine's.
    pub async fn find(&self, hash: &WorkspaceHash) -> Result<Option<WorkspaceId>, EngineError> {
        let known = self.lock().get(hash).cloned();
        if known.is_some() {
            return Ok(known);
        }
        let found = users::with_hash(&self.engine, &self.instance, hash).await?;
        if let Some(workspace) = &found {
            let mut known = self.lock();
            if known.len() >= KNOWN_LIMIT {
                known.clear();
            }
            known.insert(*hash, workspace.clone());
        }
        Ok(found)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<WorkspaceHash, WorkspaceId>> {
        self.known.lock()
    }
}
