//! The last backup before a workspace is removed.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::identity::WorkspaceId;
use crate::ops::backup::{Backups, ManifestConsistency};
use crate::ops::chain;
use crate::sandbox::Manager;

/// Makes a backup of a workspace and verifies it; returns its id, or why it failed. This
/// must not count as a use of the sandbox.
pub type Backup =
    Arc<dyn Fn(WorkspaceId) -> BoxFuture<'static, Result<String, String>> + Send + Sync>;

/// Makes it in the target of `backups`, and always reads it again. A backup of a workspace that was
/// being changed is not enough, because that workspace is in use.
pub fn last_backup(backups: Backups, manager: Manager) -> Backup {
    let backups = backups.verifying(true);
    Arc::new(move |workspace| {
        let (backups, snapshots) = (backups.clone(), manager.snapshots(&workspace));
        Box::pin(async move {
            let made = backups.run(&snapshots).await;
            let manifest = made.map_err(|error| chain(&error))?.manifest;
            match manifest.consistency {
                ManifestConsistency::Changed => Err(manifest.consistency.sentence().to_owned()),
                ManifestConsistency::Stopped | ManifestConsistency::Checked => Ok(manifest.id),
            }
        })
    })
}
