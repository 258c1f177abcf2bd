//! Names in the workspace: one is moved, and one is made. As for [`files`](super::files), each
//! call has 30 s.

use casemate_protocol::{MakeDirectoryRequest, MoveRequest};

use super::files::{FILE_CALL_TIMEOUT, new_id};
use super::handle::Sandbox;
use super::retry::RetryPolicy;
use crate::provision::SandboxError;

impl Sandbox {
    /// Gives what has one name another. Its id is chosen here. Whether something was replaced.
    ///
    /// # Errors
    /// [`SandboxError::Failed`] with what is wrong with the paths,
    /// [`SandboxError::Uncertain`] when it is unknown whether it was moved.
    pub async fn move_entry(&self, mut request: MoveRequest) -> Result<bool, SandboxError> {
        request.id = new_id();
        let policy = RetryPolicy::SameContainer;
        let reply = self.ask(FILE_CALL_TIMEOUT, policy, request);
        Ok(reply.await?.replaced)
    }

    /// Makes a directory, and those above it. Its id is chosen here.
    ///
    /// # Errors
    /// As [`Self::move_entry`].
    pub async fn make_directory(
        &self,
        mut request: MakeDirectoryRequest,
    ) -> Result<(), SandboxError> {
        request.id = new_id();
        let policy = RetryPolicy::SameContainer;
        let reply = self.ask(FILE_CALL_TIMEOUT, policy, request);
        reply.await.map(drop)
    }
}
