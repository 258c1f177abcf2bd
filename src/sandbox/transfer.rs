//! Files of any size, in and out, and what goes with them.
//!
//! ```text
//!  caller ─┬─ up to 1 MiB: a small call as any other
//!          └─ more ─► its turn (4 a user) ─► lease ─► a separate bridge, and a thread of
//!                                                     PID 1
//! ```
//!
//! - Small calls do not wait for a large transfer, nor small files for large ones.
//! - A transfer has no deadline as a whole: it ends when no byte moved for [`STALL_TIMEOUT`],
//!   in either direction, even if it is the caller that takes or gives none.
//! - In ephemeral mode it is done in the container that waits for the next command, which
//!   lives as long as the transfer.
//! - A transfer is not repeated once content was sent. Before that, if its container is ending,
//!   the next container is asked.

mod download;
mod upload;

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use casemate_protocol::failure::Code;
use casemate_protocol::{DeleteRequest, StatReply, StatRequest};
use futures_util::stream::BoxStream;
use tokio::time::{Instant, sleep};

use super::files::{FILE_CALL_TIMEOUT, new_id};
use super::handle::Sandbox;
use super::lease::OwnerHandle;
use super::retry::{RETRY_INTERVAL, RetryPolicy};
use super::wait::Wait;
use crate::channel::{CallError, Channel};
use crate::provision::{AdmissionPermit, LEASE_TIMEOUT, SandboxError, connect_to};

/// A transfer in which nothing moves for this long is ended.
const STALL_TIMEOUT: Duration = Duration::from_secs(30);

/// From the last byte of an upload until it is on the disk: PID 1 has 64 MiB to write by
/// then, and of an archive what the kernel has not written yet.
const SYNC_TIMEOUT: Duration = Duration::from_secs(120);

/// Removing a tree: PID 1 removes some 50,000 entries a second.
const TREE_REMOVAL_TIMEOUT: Duration = Duration::from_secs(300);

/// Content up to this size is one small call over the standing channel: a bridge costs 70 ms, and
/// this takes less time. It is held in memory.
const SMALL_CALL_LIMIT: usize = 1024 * 1024;

/// Metadata of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// In bytes; of a directory 0.
    pub size: u64,
    /// Milliseconds since 1970.
    pub modified_ms: i64,
    /// A directory.
    pub is_dir: bool,
    /// Changes with every change of the content: inode, size, times.
    pub version: u64,
}

/// A file, or a directory as a tar archive, on its way out.
pub struct Download {
    /// What it was when it was opened.
    pub stat: Stat,
    /// The content, in chunks of 256 KiB at most: exactly as many bytes as the file
    /// had when it was opened, or an error. It waits 30 s at most to be taken.
    pub content: BoxStream<'static, Result<Bytes, SandboxError>>,
}

/// How a file is put into the workspace.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UploadOptions {
    /// Fails with `EXISTS` where there is something.
    pub create_new: bool,
    /// The content is a tar archive, and is unpacked into the directory at the path.
    pub unpack: bool,
    /// Bytes at most; more is `FILE_TOO_LARGE`, and the old file stays.
    pub limit: u64,
}

/// The result of an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Uploaded {
    /// Bytes of the file, or of all files of an archive.
    pub size: u64,
    /// There was no such file before.
    pub created: bool,
    /// Entries of an archive; 1 for a file.
    pub entries: u64,
    /// Other names that the file had (hard links), which keep the old content.
    pub other_names: u64,
}

/// Held as long as a transfer lasts.
struct TransferGuard {
    /// The last one closes it, and ends the bridge.
    _channel: Channel,
    _place: OwnerHandle,
    _turn: AdmissionPermit,
}

impl Sandbox {
    /// The metadata of `path`, relative to the workspace.
    ///
    /// # Errors
    /// [`SandboxError::Failed`] with what is wrong with the path.
    pub async fn stat(&self, path: impl Into<Bytes>) -> Result<Stat, SandboxError> {
        let request = StatRequest { path: path.into() };
        let reply = self
            .ask(FILE_CALL_TIMEOUT, RetryPolicy::Anywhere, request)
            .await?;
        Ok(reply.into())
    }

    /// Removes a file, or with `recursive` a directory with all that is in it.
    ///
    /// # Errors
    /// [`SandboxError::Failed`] with what is wrong with the path: `IS_DIRECTORY` for a
    /// directory without `recursive`. [`SandboxError::Uncertain`] when it is unknown
    /// whether it was removed.
    pub async fn delete(
        &self,
        path: impl Into<Bytes>,
        recursive: bool,
    ) -> Result<(), SandboxError> {
        let request = DeleteRequest {
            path: path.into(),
            recursive,
            id: new_id(),
        };
        let within = if recursive {
            TREE_REMOVAL_TIMEOUT
        } else {
            FILE_CALL_TIMEOUT
        };
        let deleted = self.ask(within, RetryPolicy::SameContainer, request);
        deleted.await.map(drop)
    }

    async fn transfer_turn(&self) -> Result<AdmissionPermit, SandboxError> {
        let deadline = Instant::now() + LEASE_TIMEOUT;
        let turn = self.transfers.admission.enter(deadline, |_| {});
        let turn = self.unless_ending(turn).await;
        turn.inspect_err(|error| Wait::new(&self.meter).refused(error))
    }

    /// Begins a transfer in the container as it is now, or in the next one.
    async fn begin<T, F>(
        &self,
        turn: AdmissionPermit,
        operation: impl Fn(Channel) -> F,
    ) -> Result<(T, TransferGuard), SandboxError>
    where
        F: Future<Output = Result<T, CallError>>,
    {
        let start = Instant::now();
        let deadline = start + LEASE_TIMEOUT;
        let handle = self.for_files();
        let mut wait = Wait::new(&self.meter);
        loop {
            let lease = handle.lease(deadline, |_| {}).await;
            let lease = lease.inspect_err(|error| wait.refused(error))?;
            wait.over();
            self.last_container.set(&lease.container);
            let error = match connect_to(&self.transfers.engine, &lease.container).await {
                Ok(channel) => match operation(channel.clone()).await {
                    Ok(begun) => {
                        let held = TransferGuard {
                            _channel: channel,
                            _place: handle,
                            _turn: turn,
                        };
                        return Ok((begun, held));
                    }
                    Err(CallError::Failed(failure)) if failure.code() != Code::Ending => {
                        return Err(SandboxError::Failed(failure));
                    }
                    Err(error) => SandboxError::from_call(error, start.elapsed()),
                },
                Err(error) if error.may_be_an_end() => error,
                Err(error) => return Err(error),
            };
            if Instant::now() + RETRY_INTERVAL >= deadline {
                return Err(error);
            }
            sleep(RETRY_INTERVAL).await;
        }
    }
}

impl From<StatReply> for Stat {
    fn from(reply: StatReply) -> Self {
        Self {
            size: reply.size,
            modified_ms: reply.modified_ms,
            is_dir: reply.is_dir,
            version: reply.version,
        }
    }
}
