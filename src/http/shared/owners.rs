//! In which workspace the share is that a link opens: the one with its hash. There is no table of
//! workspaces, so one that this server does not know yet is looked for on the Engine.

use std::collections::HashMap;
use std::sync::Arc;

use super::refusal::LinkRefusal;
use super::visitor::Visitor;
use crate::config::{Config, Members};
use crate::engine::{Engine, EngineError};
use crate::identity::{Identity, Instance, WorkspaceHash, WorkspaceId};
use crate::ops::users;
use crate::sandbox::Manager;
use crate::shares::SharerGroup;
use parking_lot::{Mutex, MutexGuard};

/// A workspace with the group of its user, without the user's credential: by the settings, or where
/// they need the claims of a token, the group that a link was signed for, if it still is one of
/// those. `None`: the group cannot be known, so nothing may be made.
pub fn signed_identity(
    config: &Config,
    workspace: &WorkspaceId,
    group: &SharerGroup,
) -> Option<Identity> {
    let known = config.named_by_operator(workspace.user.clone());
    let identity = known.ok().or_else(|| {
        let group = match group {
            SharerGroup::Unknown => return None,
            SharerGroup::NoGroup => None,
            SharerGroup::Named(name) => {
                let found = config.groups.get(name)?;
                let is_by_claims = matches!(found.members, Members::Claims(_));
                Some(is_by_claims.then(|| name.clone())?)
            }
        };
        Some(Identity {
            group,
            ..Identity::from(workspace.user.clone())
        })
    });
    Some(identity?.in_workspace(workspace.name.clone()))
}

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

    /// The visitor in the workspace with this hash, if it is one of theirs. For a stranger none is
    /// looked for.
    ///
    /// # Errors
    /// The Engine's.
    pub async fn of_visitor(
        &self,
        visitor: &Visitor,
        hash: &WorkspaceHash,
    ) -> Result<Option<Identity>, EngineError> {
        let Some(identity) = visitor.identity() else {
            return Ok(None);
        };
        let own = WorkspaceId::from(identity.user.clone());
        let name = match own.hash() == *hash {
            true => None,
            false => match self.find(hash).await? {
                Some(found) if found.user == identity.user => found.name,
                _ => return Ok(None),
            },
        };
        Ok(Some(identity.clone().in_workspace(name)))
    }

    /// The workspace with this hash, with the group of the sandbox that runs: a stranger has no credential
    /// that gives one, and must not have a sandbox made for a wider group. Without a sandbox, the
    /// group is that of [`signed_identity`].
    ///
    /// # Errors
    /// There is no such workspace; [`LinkRefusal::Asleep`]; the Engine's.
    pub async fn identity(
        &self,
        manager: &Manager,
        hash: &WorkspaceHash,
        group: &SharerGroup,
    ) -> Result<Identity, LinkRefusal> {
        let found = self.find(hash).await?;
        let found = found.ok_or(LinkRefusal::Gone)?;
        self.identity_of(manager, found, group).await
    }

    /// As [`Self::identity`].
    ///
    /// # Errors
    /// [`LinkRefusal::Asleep`]; the Engine's.
    pub async fn identity_of(
        &self,
        manager: &Manager,
        workspace: WorkspaceId,
        group: &SharerGroup,
    ) -> Result<Identity, LinkRefusal> {
        match manager.running_identity(&workspace).await? {
            Some(running) => Ok(running),
            None => {
                self.must_exist(manager, &workspace).await?;
                let known = signed_identity(manager.config(), &workspace, group);
                known.ok_or(LinkRefusal::Asleep)
            }
        }
    }

    /// A workspace that is remembered may have been removed since, and a link must not make it anew.
    async fn must_exist(
        &self,
        manager: &Manager,
        workspace: &WorkspaceId,
    ) -> Result<(), LinkRefusal> {
        // Directories of the host have no volume.
        if manager.config().bind.is_some() {
            return Ok(());
        }
        let hash = workspace.hash();
        match users::with_hash(&self.engine, &self.instance, &hash).await? {
            Some(_) => Ok(()),
            None => {
                self.lock().remove(&hash);
                Err(LinkRefusal::Gone)
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<WorkspaceHash, WorkspaceId>> {
        self.known.lock()
    }
}
