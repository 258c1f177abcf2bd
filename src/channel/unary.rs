//! The calls that have one request and one reply. A new one is a line in the list.

use std::future::Future;
use std::time::Duration;

use casemate_protocol::{
    CancelReply, CancelRequest, DeleteReply, DeleteRequest, DetachReply, DetachRequest,
    EditFileReply, EditFileRequest, KillReply, KillRequest, ListFilesReply, ListFilesRequest,
    MakeDirectoryReply, MakeDirectoryRequest, MoveReply, MoveRequest, ReadBytesReply,
    ReadBytesRequest, ReadLinesReply, ReadLinesRequest, RetireReply, RetireRequest, SignalReply,
    SignalRequest, StatReply, StatRequest, StatsReply, StatsRequest, WriteFileReply,
    WriteFileRequest,
};
use tonic::{Response, Status};

use super::call::within;
use super::{CallError, Channel};

/// A request that has one reply.
pub trait UnaryRequest: Clone + Send {
    /// The reply.
    type Reply;

    /// Sends it, without a deadline.
    fn send(
        self,
        channel: &Channel,
    ) -> impl Future<Output = Result<Response<Self::Reply>, Status>> + Send;
}

macro_rules! unary {
    ($($request:ident => $reply:ident, $method:ident;)*) => {$(
        impl UnaryRequest for $request {
            type Reply = $reply;

            async fn send(self, channel: &Channel) -> Result<Response<$reply>, Status> {
                channel.client.clone().$method(self).await
            }
        }
    )*};
}

unary! {
    CancelRequest => CancelReply, cancel;
    DeleteRequest => DeleteReply, delete;
    DetachRequest => DetachReply, detach;
    EditFileRequest => EditFileReply, edit_file;
    KillRequest => KillReply, kill;
    ListFilesRequest => ListFilesReply, list_files;
    MakeDirectoryRequest => MakeDirectoryReply, make_directory;
    MoveRequest => MoveReply, r#move;
    ReadBytesRequest => ReadBytesReply, read_bytes;
    ReadLinesRequest => ReadLinesReply, read_lines;
    RetireRequest => RetireReply, retire;
    SignalRequest => SignalReply, signal;
    StatRequest => StatReply, stat;
    StatsRequest => StatsReply, stats;
    WriteFileRequest => WriteFileReply, write_file;
}

impl Channel {
    /// Sends a request, and waits for its reply until the deadline.
    ///
    /// # Errors
    /// [`CallError::Failed`] with what PID 1 says is wrong; those of every call.
    pub async fn call<R: UnaryRequest>(
        &self,
        request: R,
        deadline: Duration,
    ) -> Result<R::Reply, CallError> {
        within(deadline, request.send(self)).await
    }
}
