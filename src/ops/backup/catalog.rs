//! Lists the backups in a store without the Engine, which may have lost everything.

use serde::Serialize;

use super::error::BackupError;
use super::manifest::Manifest;
use super::store::BackupObjects;
use super::{Backups, Id};
use crate::identity::{SandboxName, Subject, User, WorkspaceId};

/// One backup in a store.
#[derive(Debug, Serialize)]
pub struct CatalogEntry {
    /// Its manifest.
    #[serde(flatten)]
    pub manifest: Manifest,
    /// Whether all of its objects exist. Their content is not read.
    pub complete: bool,
}

impl Backups {
    /// The workspaces that have backups here, sorted; with `name` only those of users of that name,
    /// at any issuer.
    ///
    /// # Errors
    /// [`BackupError::Store`]. A directory whose manifests cannot be read names no user.
    pub async fn workspaces(
        &self,
        name: Option<&Subject>,
    ) -> Result<Vec<WorkspaceId>, BackupError> {
        let slug = name.map(|name| self.slug(name));
        let mut found = Vec::new();
        for part in self.store.user_parts(self.instance.as_str()).await? {
            let may_be = slug.as_ref().is_none_or(|slug| part.starts_with(slug));
            if may_be && let Some(owner) = self.owner(&part).await? {
                found.push(owner);
            }
        }
        found.retain(|owner| name.is_none_or(|name| owner.user.subject == *name));
        found.sort();
        Ok(found)
    }

    /// All backups of the workspace, oldest first. One whose manifest cannot be read is left out.
    ///
    /// # Errors
    /// [`BackupError::Store`].
    pub async fn catalog(&self, workspace: &WorkspaceId) -> Result<Vec<CatalogEntry>, BackupError> {
        let name = SandboxName::new(&self.instance, workspace);
        let prefix = self
            .store
            .user_prefix(self.instance.as_str(), name.user_part());
        let mut entries = Vec::new();
        for (id, found) in self.store.list(&prefix).await? {
            if !found.has_manifest() {
                continue;
            }
            match Manifest::load(&self.store, &prefix, &id, workspace).await {
                Ok(manifest) => entries.push(CatalogEntry {
                    manifest,
                    complete: found.is_complete(),
                }),
                Err(BackupError::Damaged { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(entries)
    }

    /// The prefix of the user part of every user of this name.
    fn slug(&self, name: &Subject) -> String {
        let sandbox = SandboxName::new(&self.instance, &User::local(name.clone()).into());
        let part = sandbox.user_part();
        let slug = part.rsplit_once('-').map_or(part, |(slug, _)| slug);
        format!("{slug}-")
    }

    /// The workspace that the newest readable manifest below this user part names.
    async fn owner(&self, part: &str) -> Result<Option<WorkspaceId>, BackupError> {
        let prefix = self.store.user_prefix(self.instance.as_str(), part);
        let all = self.store.list(&prefix).await?;
        let said: Vec<(Id, BackupObjects)> = all
            .into_iter()
            .filter(|(_, it)| it.has_manifest())
            .collect();
        for (id, _) in said.into_iter().rev() {
            let manifest = match Manifest::read(&self.store, &prefix, &id).await {
                Err(BackupError::Damaged { .. }) => continue,
                read => read?,
            };
            let Some(workspace) = manifest.workspace_id() else {
                continue;
            };
            // A manifest that was moved here names a workspace whose backups are elsewhere.
            if SandboxName::new(&self.instance, &workspace).user_part() == part {
                return Ok(Some(workspace));
            }
        }
        Ok(None)
    }
}
