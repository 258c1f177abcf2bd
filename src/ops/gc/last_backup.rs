//! The backup that a workspace is removed after.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::identity::User;
use crate::ops::backup::{Backups, ManifestConsistency};
use crate::ops::chain;
use crate::sandbox::Manager;

/// Makes a backup of a user's workspace and verifies it; says which, or why there is none.
/// It must not count as a use of the sandbox.
pub type Backup = Arc<dyn Fn(User) -> BoxFuture<'static, Result<String, String>> + Send + Sync>;

/// Into the target of `backups`, always read again. One of a workspace that was being changed
/// is not enough: somebody uses that.
pub fn last_backup(backups: Backups, manager: Manager) -> Backup {
    let backups = backups.verifying(true);
    Arc::new(move |user| {
        let (backups, snapshots) = (backups.clone(), manager.snapshots(&user));
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
