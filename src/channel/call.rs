//! The calls, each with its deadline.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use casemate_protocol::{
    CancelRequest, CommandEvent, DetachReply, DetachRequest, KillRequest, RetireRequest,
    StartRequest, StatsReply, StatsRequest, WatchRequest, command_event::Event,
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
        self.call(request, REPLY_TIMEOUT).await
    }

    /// Ends a command. Its followers get its outcome.
    ///
    /// # Errors
    /// `UNKNOWN_COMMAND`.
    pub async fn kill(&self, id: &str) -> Result<(), CallError> {
        let request = KillRequest {
            id: id.to_owned(),
            by_operator: false,
        };
        self.call(request, REPLY_TIMEOUT).await.map(drop)
    }

    /// Ends a command for an operator, or what it has left in the background. `false`: an older
    /// casemate-init, whose outcome does not name the operator.
    ///
    /// # Errors
    /// `UNKNOWN_COMMAND`.
    pub async fn stop(&self, id: &str) -> Result<bool, CallError> {
        let request = KillRequest {
            id: id.to_owned(),
            by_operator: true,
        };
        let reply = self.call(request, REPLY_TIMEOUT).await?;
        Ok(reply.by_operator)
    }

    /// Ends the commands of the client's request with this tag, or only counts them. Returns their
    /// number.
    ///
    /// # Errors
    /// Those of every call; an old casemate-init does not know it.
    pub async fn cancel(&self, tag: Bytes, count_only: bool) -> Result<u32, CallError> {
        let request = CancelRequest { tag, count_only };
        let reply = self.call(request, REPLY_TIMEOUT).await?;
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
        let reply = self.call(request, REPLY_TIMEOUT).await?;
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
        self.call(request, REPLY_TIMEOUT).await.map(drop)
    }

    /// The running commands. This does not count as use of the sandbox.
    ///
    /// # Errors
    /// Those of every call.
    pub async fn stats(&self) -> Result<StatsReply, CallError> {
        self.call(StatsRequest::default(), REPLY_TIMEOUT).await
    }

    /// As [`Self::stats`], with the scripts of the commands.
    ///
    /// # Errors
    /// Those of every call.
    pub async fn stats_with_scripts(&self) -> Result<StatsReply, CallError> {
        let request = StatsRequest { with_scripts: true };
        self.call(request, REPLY_TIMEOUT).await
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
