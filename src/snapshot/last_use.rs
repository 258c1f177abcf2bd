//! A look at a workspace: when it was used last, and whether anybody is in it.
//!
//! The look does not count as use, and the user does not see it: it runs in a helper container.

use std::time::{Duration, SystemTime};

use tokio::time::{Instant, sleep};

use super::Snapshots;
use super::helper::{HelperContainer, HelperPurpose};
use crate::engine::Workspace;
use crate::provision::SandboxError;

/// How long PID 1 may take to read one small file. Its disk may be full, and the file is
/// the user's, who may have put anything in its place.
const READ_TIMEOUT: Duration = Duration::from_secs(15);

/// Between two questions.
const RETRY_INTERVAL: Duration = Duration::from_millis(100);

impl Snapshots {
    /// When the workspace was used last; `None` where it does not say so. Only where it is
    /// a volume.
    ///
    /// # Errors
    /// [`crate::engine::EngineError::Missing`] where the user has no workspace, and those of every
    /// call.
    pub async fn last_use(&self) -> Result<Option<SystemTime>, SandboxError> {
        let volumes = self.provisioner.volumes.list().await?;
        let run_as = volumes.run_as();
        let workspace = Workspace::Volume(volumes.current);
        let helper = self.start_helper(HelperPurpose::Look, workspace, run_as);
        let helper = helper.await?;
        let used = helper.last_use().await;
        helper.close().await;
        Ok(used)
    }

    /// Whether a container of the user's is there that runs or is about to.
    ///
    /// # Errors
    /// The Engine's.
    pub async fn is_in_use(&self) -> Result<bool, SandboxError> {
        Ok(!self.running().await?.is_empty())
    }
}

impl HelperContainer {
    async fn last_use(&self) -> Option<SystemTime> {
        let end = Instant::now() + READ_TIMEOUT;
        while Instant::now() < end {
            let stats = self.channel.stats().await.ok()?;
            // 0: it has not read it yet.
            if stats.last_used_ms != 0 {
                let at = u64::try_from(stats.last_used_ms).ok()?;
                return Some(SystemTime::UNIX_EPOCH + Duration::from_millis(at));
            }
            sleep(RETRY_INTERVAL).await;
        }
        None
    }
}
