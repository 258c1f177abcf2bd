//! The calls, each with its deadline.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use casemate_protocol::{
    CancelRequest, CommandEvent, DeleteReply, DeleteRequest, DetachReply, DetachRequest,
    EditFileReply, EditFileRequest, KillRequest, ListFilesReply, ListFilesRequest,
    MakeDirectoryReply, MakeDirectoryRequest, MoveReply, MoveRequest, ReadBytesReply,
    ReadBytesRequest, ReadLinesReply, ReadLinesRequest, RetireRequest, StartRequest, StatReply,
    StatRequest, StatsReply, StatsRequest, WatchRequest, WriteFileReply, WriteFileRequest,
    command_event::Event,
};
use tokio::time::timeout;
use tonic::{Response, Status, Streaming};

use super::{CallError, Channel, REPLY_TIMEOUT};

/// The events of a command: progress, then its outcome.
#[derive(Debug)]
pub struct CommandEvents(Streaming<CommandEvent>);

impl CommandEvents {
    /// The next event. Can be dropped and called again.
    ///
    /// # Errors
    /// [`CallError::Lost`] also when the stream ends without an outcome.
    pub async fn next(&mut self) -> Result<Event, CallError> {
        match self.0.message().await? {
            Some(CommandEvent { event: Some(event) }) => Ok(event),
            _ => Err(Status::unavailable("the events ended without an outcome").into()),
        }
    }
}

impl Channel {
    /// Starts a command, or follows the running one with this id.
    ///
    /// # Errors
    /// `ENDING` and `TOO_MANY_COMMANDS`: it was not accepted.
    pub async fn start(&self, request: StartRequest) -> Result<CommandEvents, CallError> {
        let mut client = self.client.clone();
        within(REPLY_TIMEOUT, client.start(request))
            .await
            .map(CommandEvents)
    }

    /// Follows a command that was accepted.
    ///
    /// # Errors
    /// `UNKNOWN_COMMAND`.
    pub async fn watch(&self, id: &str, offset: u64) -> Result<CommandEvents, CallError> {
        let request = WatchRequest {
            id: id.to_owned(),
            offset,
        };
        let mut client = self.client.clone();
        within(REPLY_TIMEOUT, client.watch(request))
            .await
            .map(CommandEvents)
    }

    /// Detaches from a command, and returns its output until now.
    ///
    /// # Errors
    /// `UNKNOWN_COMMAND`.
    pub async fn detach(&self, id: &str) -> Result<DetachReply, CallError> {
        let request = DetachRequest { id: id.to_owned() };
        let mut client = self.client.clone();
        within(REPLY_TIMEOUT, client.detach(request)).await
    }

    /// Ends a command. Its followers get its outcome.
    ///
    /// # Errors
    /// `UNKNOWN_COMMAND`.
    pub async fn kill(&self, id: &str) -> Result<(), CallError> {
        let request = KillRequest { id: id.to_owned() };
        let mut client = self.client.clone();
        within(REPLY_TIMEOUT, client.kill(request)).await.map(drop)
    }

    /// Ends the commands of the client's request with this tag, or only counts them. Returns their
    /// number.
    ///
    /// # Errors
    /// Those of every call; an old casemate-init does not know it.
    pub async fn cancel(&self, tag: Bytes, count_only: bool) -> Result<u32, CallError> {
        let request = CancelRequest { tag, count_only };
        let mut client = self.client.clone();
        let reply = within(REPLY_TIMEOUT, client.cancel(request)).await?;
        Ok(reply.commands)
    }

    /// Asks PID 1 to end itself if nothing ran for `idle_for`. `false`: it is
    /// busy and goes on.
    ///
    /// # Errors
    /// Those of every call.
    pub async fn retire(&self, idle_for: Duration) -> Result<bool, CallError> {
        let request = RetireRequest {
            idle_for_ms: u64::try_from(idle_for.as_millis()).unwrap_or(u64::MAX),
            at_once: false,
        };
        let mut client = self.client.clone();
        let reply = within(REPLY_TIMEOUT, client.retire(request)).await?;
        Ok(!reply.busy)
    }

    /// Ends PID 1 and all other processes of the container.
    ///
    /// # Errors
    /// Those of every call.
    pub async fn retire_at_once(&self) -> Result<(), CallError> {
        let request = RetireRequest {
            idle_for_ms: 0,
            at_once: true,
        };
        let mut client = self.client.clone();
        within(REPLY_TIMEOUT, client.retire(request))
            .await
            .map(drop)
    }

    /// The running commands. This does not count as use of the sandbox.
    ///
    /// # Errors
    /// Those of every call.
    pub async fn stats(&self) -> Result<StatsReply, CallError> {
        let mut client = self.client.clone();
        within(REPLY_TIMEOUT, client.stats(StatsRequest {})).await
    }

    /// Lines of a text file.
    ///
    /// # Errors
    /// [`CallError::Failed`] for a file that cannot be used.
    pub async fn read_lines(
        &self,
        request: ReadLinesRequest,
        deadline: Duration,
    ) -> Result<ReadLinesReply, CallError> {
        let mut client = self.client.clone();
        within(deadline, client.read_lines(request)).await
    }

    /// Bytes of a file.
    ///
    /// # Errors
    /// [`CallError::Failed`] for a file that cannot be used.
    pub async fn read_bytes(
        &self,
        request: ReadBytesRequest,
        deadline: Duration,
    ) -> Result<ReadBytesReply, CallError> {
        let mut client = self.client.clone();
        within(deadline, client.read_bytes(request)).await
    }

    /// Replaces, creates or appends to a file; once for each id.
    ///
    /// # Errors
    /// [`CallError::Failed`] for a file that cannot be used.
    pub async fn write_file(
        &self,
        request: WriteFileRequest,
        deadline: Duration,
    ) -> Result<WriteFileReply, CallError> {
        let mut client = self.client.clone();
        within(deadline, client.write_file(request)).await
    }

    /// Replaces text in a file; once for each id.
    ///
    /// # Errors
    /// [`CallError::Failed`] for a file that cannot be used.
    pub async fn edit_file(
        &self,
        request: EditFileRequest,
        deadline: Duration,
    ) -> Result<EditFileReply, CallError> {
        let mut client = self.client.clone();
        within(deadline, client.edit_file(request)).await
    }

    /// Entries of a directory.
    ///
    /// # Errors
    /// [`CallError::Failed`] for a directory that cannot be used.
    pub async fn list_files(
        &self,
        request: ListFilesRequest,
        deadline: Duration,
    ) -> Result<ListFilesReply, CallError> {
        let mut client = self.client.clone();
        within(deadline, client.list_files(request)).await
    }

    /// The entry at a path.
    ///
    /// # Errors
    /// [`CallError::Failed`] for a path that cannot be used.
    pub async fn stat(
        &self,
        request: StatRequest,
        deadline: Duration,
    ) -> Result<StatReply, CallError> {
        let mut client = self.client.clone();
        within(deadline, client.stat(request)).await
    }

    /// Removes a file or a tree; once for each id.
    ///
    /// # Errors
    /// [`CallError::Failed`] for a path that cannot be used.
    pub async fn delete(
        &self,
        request: DeleteRequest,
        deadline: Duration,
    ) -> Result<DeleteReply, CallError> {
        let mut client = self.client.clone();
        within(deadline, client.delete(request)).await
    }

    /// Gives what has one name another; once for each id.
    ///
    /// # Errors
    /// [`CallError::Failed`] with the problem of the paths.
    pub async fn move_entry(
        &self,
        request: MoveRequest,
        deadline: Duration,
    ) -> Result<MoveReply, CallError> {
        let mut client = self.client.clone();
        within(deadline, client.r#move(request)).await
    }

    /// Makes a directory; once for each id.
    ///
    /// # Errors
    /// [`CallError::Failed`] with the problem of the path.
    pub async fn make_directory(
        &self,
        request: MakeDirectoryRequest,
        deadline: Duration,
    ) -> Result<MakeDirectoryReply, CallError> {
        let mut client = self.client.clone();
        within(deadline, client.make_directory(request)).await
    }
}

pub(super) async fn within<T>(
    deadline: Duration,
    call: impl Future<Output = Result<Response<T>, Status>>,
) -> Result<T, CallError> {
    match timeout(deadline, call).await {
        Ok(answer) => Ok(answer?.into_inner()),
        Err(_) => Err(CallError::Deadline(deadline)),
    }
}
