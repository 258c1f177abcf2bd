//! What a tool gets besides its arguments.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::config::SandboxSettings;
use crate::identity::{GroupName, WorkspaceId};
use crate::sandbox::ProgressUpdate;
use crate::shares::{Links, Previews};

/// What a share needs to know of its user and this server.
#[derive(Debug)]
pub struct ShareContext<'a> {
    /// Where the call is made, and whose it is.
    pub workspace: WorkspaceId,
    /// That of the call's credential.
    pub group: Option<GroupName>,
    /// Of the user's sandbox.
    pub settings: Arc<SandboxSettings>,
    pub links: &'a Links,
    pub previews: &'a Previews,
}

/// One call of a tool.
#[derive(Debug)]
pub struct Call<'a> {
    /// Of its request; empty where no notification can name the request.
    pub tag: Bytes,
    /// Fires when the client leaves or cancels the call.
    pub cancel: CancellationToken,
    /// How long the call waits for a command by default.
    pub wait: Duration,
    /// Where progress is reported.
    pub progress: &'a watch::Sender<ProgressUpdate>,
    pub share: ShareContext<'a>,
}
