//! Lists the backups in a store without the Engine, which may have lost everything.

use serde::Serialize;

use super::error::BackupError;
use super::manifest::Manifest;
use super::store::BackupObjects;
use super::{Backups, Id};
use crate::identity::{SandboxName, Subject, User};

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
    /// The users that have backups here, sorted; with `name` only those of that name, at any
    /// issuer.
    ///
    /// # Errors
    /// [`BackupError::Store`]. A directory whose manifests cannot be read names no user.
    pub async fn users(&self, name: Option<&Subject>) -> Result<Vec<User>, BackupError> {
        let slug = name.map(|name| self.slug(name));
        let mut users = Vec::new();
        for part in self.store.user_parts(self.instance.as_str()).await? {
            let may_be = slug.as_ref().is_none_or(|slug| part.starts_with(slug));
            if may_be && let Some(user) = self.owner(&part).await? {
                users.push(user);
            }
        }
        users.retain(|user| name.is_none_or(|name| user.subject == *name));
        users.sort();
        Ok(users)
    }

    /// All backups of the user, oldest first. One whose manifest cannot be read is left out.
    ///
    /// # Errors
    /// [`BackupError::Store`].
    pub async fn catalog(&self, user: &User) -> Result<Vec<CatalogEntry>, BackupError> {
        let name = SandboxName::new(&self.instance, user);
        let prefix = self
            .store
            .user_prefix(self.instance.as_str(), name.user_part());
        let mut entries = Vec::new();
        for (id, found) in self.store.list(&prefix).await? {
            if !found.has_manifest() {
                continue;
            }
            match Manifest::load(&self.store, &prefix, &id, user).await {
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
        let sandbox = SandboxName::new(&self.instance, &User::local(name.clone()));
        let part = sandbox.user_part();
        let slug = part.rsplit_once('-').map_or(part, |(slug, _)| slug);
        format!("{slug}-")
    }

    /// The user that the newest readable manifest below this user part names.
    async fn owner(&self, part: &str) -> Result<Option<User>, BackupError> {
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
            let user = (manifest.issuer.parse(), manifest.user.parse());
            let (Ok(issuer), Ok(subject)) = user else {
                continue;
            };
            let user = User { issuer, subject };
            // A manifest that was moved here names a user whose backups are elsewhere.
            if SandboxName::new(&self.instance, &user).user_part() == part {
                return Ok(Some(user));
            }
        }
        Ok(None)
    }
}
