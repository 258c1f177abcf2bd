//! Whose share a link opens: the user with its hash. There is no table of users, so one that this
//! server does not know yet is looked for on the Engine.

use std::collections::HashMap;
use std::sync::Arc;

use super::refusal::LinkRefusal;
use crate::engine::{Engine, EngineError};
use crate::identity::{Identity, Instance, User, UserHash};
use crate::ops::users;
use crate::sandbox::Manager;
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

    /// The user with this hash, with the group of the sandbox that runs: a stranger has no credential
    /// that gives one, and must not have a sandbox made for a wider group.
    ///
    /// # Errors
    /// There is none; the Engine's.
    pub async fn identity(
        &self,
        manager: &Manager,
        hash: &UserHash,
    ) -> Result<Identity, LinkRefusal> {
        let found = self.find(hash).await?;
        self.identity_of(manager, found.ok_or(LinkRefusal::Gone)?)
            .await
    }

    /// As [`Self::identity`].
    ///
    /// # Errors
    /// The group cannot be known; the Engine's.
    pub async fn identity_of(
        &self,
        manager: &Manager,
        user: User,
    ) -> Result<Identity, LinkRefusal> {
        match manager.running_identity(&user).await? {
            Some(running) => Ok(running),
            None => {
                let known = manager.config().named_by_operator(user);
                known.map_err(|_| LinkRefusal::Gone)
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<UserHash, User>> {
        self.known.lock()
    }
}
