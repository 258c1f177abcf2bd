//! A look at a workspace: when it was used last, and whether anybody is in it.
//!
//! The look does not count as use, and the user does not see it: it runs in a helper container.

use std::time::{Duration, SystemTime};

use casemate_protocol::ListFilesRequest;
use casemate_protocol::failure::Code;
use tokio::time::{Instant, sleep};

use super::Snapshots;
use super::helper::{HelperContainer, HelperPurpose};
use crate::channel::CallError;
use crate::config::limits::LIST_CHARS;
use crate::engine::Workspace;
use crate::provision::SandboxError;

/// How long PID 1 may take to read one small file. Its disk may be full, and the file is
/// the user's, who may have put anything in its place.
const READ_TIMEOUT: Duration = Duration::from_secs(15);

/// Between two questions.
const RETRY_INTERVAL: Duration = Duration::from_millis(100);

/// Directories that hold nothing of the user's: those that a backup leaves out, too.
const HOME: &str = ".home";

/// The workspace itself, for PID 1. It shows neither [`HOME`] nor `.casemate` there.
const ROOT: &str = "";

const CACHE: &[u8] = b".home/.cache";

/// What a look at a workspace found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkspaceLook {
    /// When it was used last; `None` where it does not say so.
    pub used: Option<SystemTime>,
    /// It has nothing that a backup would have.
    pub is_empty: bool,
}

impl Snapshots {
    /// Looks into the workspace. Only where it is a volume.
    ///
    /// # Errors
    /// As [`Self::last_use`].
    pub async fn look(&self) -> Result<WorkspaceLook, SandboxError> {
        let helper = self.start_look().await?;
        let used = helper.last_use().await;
        let is_empty = helper.is_empty().await;
        helper.close().await;
        let is_empty = is_empty?;
        Ok(WorkspaceLook { used, is_empty })
    }

    async fn start_look(&self) -> Result<HelperContainer, SandboxError> {
        let volumes = self.provisioner.volumes.list().await?;
        let run_as = volumes.run_as();
        let workspace = Workspace::Volume(volumes.current);
        self.start_helper(HelperPurpose::Look, workspace, run_as)
            .await
    }

    /// When the workspace was used last; `None` where it does not say so. Only where it is
    /// a volume.
    ///
    /// # Errors
    /// [`crate::engine::EngineError::Missing`] where the user has no workspace, and those of every
    /// call.
    pub async fn last_use(&self) -> Result<Option<SystemTime>, SandboxError> {
        let helper = self.start_look().await?;
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
    async fn is_empty(&self) -> Result<bool, SandboxError> {
        Ok(self.has_only(ROOT, &[]).await? && self.has_only(HOME, &[CACHE]).await?)
    }

    /// Whether a directory has no other entries than these, or is not there.
    async fn has_only(&self, path: &'static str, known: &[&[u8]]) -> Result<bool, SandboxError> {
        let request = ListFilesRequest {
            path: path.as_bytes().into(),
            depth: 1,
            limit: 2,
            max_chars: LIST_CHARS,
            ..ListFilesRequest::default()
        };
        match self.channel.call(request, READ_TIMEOUT).await {
            Ok(reply) => {
                let mut entries = reply.entries.iter();
                Ok(!reply.more && entries.all(|entry| known.contains(&&*entry.path)))
            }
            Err(CallError::Failed(failure)) if failure.code() == Code::NotFound => Ok(true),
            Err(error) => Err(SandboxError::from_call(error, READ_TIMEOUT)),
        }
    }

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
