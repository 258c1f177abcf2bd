//! Whose share a link opens: the user with its hash. There is no table of users, so one that this
//! server does not know yet is looked for on the Engine.

use std::collections::HashMap;
use std::sync::Arc;

use crate::engine::{Engine, EngineError};
use crate::identity::{Instance, User, UserHash};
use crate::ops::users;
use parking_lot::{Mutex, MutexGuard};

/// Users that are remembered, some hundred bytes each; then all are forgotten.
const KNOWN_LIMIT: usize = 10_000;

/// Finds users by their hashes. Cheap to clone.
#[derive(Debug, Clone)]
pub struct LinkOwners {
    engine: Engine,
    instance: Instance,
    known: Arc<Mutex<HashMap<UserHash, User>>>,
}

impl LinkOwners {
    pub fn new(engine: Engine, instance: Instance) -> Self {
        Self {
            engine,
            instance,
            known: Arc::default(),
        }
    }

    /// The user with this hash, if there is one.
    ///
    /// # Errors
    /// The Engine's.
    pub async fn find(&self, hash: &UserHash) -> Result<Option<User>, EngineError> {
        let known = self.lock().get(hash).cloned();
        if known.is_some() {
            return Ok(known);
        }
        let found = users::with_hash(&self.engine, &self.instance, hash).await?;
        if let Some(user) = &found {
            let mut known = self.lock();
            if known.len() >= KNOWN_LIMIT {
                known.clear();
            }
            known.insert(*hash, user.clone());
        }
        Ok(found)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<UserHash, User>> {
        self.known.lock()
    }
}
