//! The removal of a share with all its versions.

use super::SharedStore;
use super::error::SharedError;
use super::holders::{HolderSummary, holders};
use crate::audit::AuditedRemoval;
use crate::config::SharedName;
use crate::engine::EngineError;
use crate::identity;
use crate::provision::SharedVolumes;

/// Of whom the error shows the first.
const SHOWN_HOLDERS_LIMIT: usize = 10;

impl SharedStore {
    /// Removes all versions of a share, and returns the names of their volumes. Where a container
    /// holds one nothing is removed. If it is killed in between, new containers have the newest
    /// version, or none.
    ///
    /// # Errors
    /// [`SharedError::Held`], [`SharedError::NoVersion`]; the audit's and the Engine's.
    pub async fn remove(&self, name: &SharedName) -> Result<Vec<String>, SharedError> {
        let share = self.share(name).await?;
        // The newest version last of them, and then what says that it counts.
        let versions = share.versions.iter().map(|version| &version.volume);
        let incomplete = share.incomplete.iter().map(|row| &row.name);
        let filled: Vec<&String> = incomplete.chain(versions).collect();
        let heads = share.heads.iter().map(|head| &head.volume);
        let all: Vec<&String> = filled.iter().copied().chain(heads).collect();
        if all.is_empty() {
            return Err(SharedError::NoVersion(name.clone()));
        }
        self.must_not_be_held(name, &share).await?;
        let mut removed = Vec::new();
        for volume in all {
            let audit = self.manager.audit();
            let recorded =
                AuditedRemoval::begin(audit, "volume", volume, None, "casemate shared rm").await?;
            let gone = recorded.done(self.engine.remove_volume(volume).await).await;
            match gone {
                // A container was made in this moment.
                Err(EngineError::InUse { .. }) => {
                    self.must_not_be_held(name, &share).await?;
                    gone?;
                }
                gone => gone?,
            }
            removed.push(volume.clone());
        }
        Ok(removed)
    }

    async fn must_not_be_held(
        &self,
        name: &SharedName,
        share: &SharedVolumes,
    ) -> Result<(), SharedError> {
        let volumes = share.versions.iter().map(|version| &version.volume);
        let incomplete = share.incomplete.iter().map(|row| &row.name);
        let volumes: Vec<&String> = volumes.chain(incomplete).collect();
        let all = holders(&self.engine, self.instance()).await?;
        let held = all
            .iter()
            .filter(|holder| volumes.iter().any(|volume| holder.has(volume)));
        let mut holders: Vec<String> = held.map(|holder| shown(&holder.summary())).collect();
        holders.sort();
        holders.dedup();
        if holders.is_empty() {
            return Ok(());
        }
        let more = holders.len().saturating_sub(SHOWN_HOLDERS_LIMIT);
        holders.truncate(SHOWN_HOLDERS_LIMIT);
        if more > 0 {
            holders.push(format!("{more} more"));
        }
        Err(SharedError::Held {
            name: name.clone(),
            holders,
        })
    }
}

fn shown(holder: &HolderSummary) -> String {
    let user = identity::shown(&holder.user);
    let issuer = identity::shown(&holder.issuer);
    format!("the sandbox of \"{user}\" of \"{issuer}\"")
}
