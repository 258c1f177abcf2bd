//! Into the workspace.

use std::io;

use bytes::Bytes;
use casemate_protocol::failure::Code;
use casemate_protocol::write_file_request::Mode;
use casemate_protocol::{Failure, FailureExt as _, MAX_CHUNK, UploadBegin, WriteFileRequest};
use futures_util::stream::{BoxStream, StreamExt as _};
use tokio::time::{Instant, timeout};

use super::{
    SMALL_CALL_LIMIT, STALL_TIMEOUT, SYNC_TIMEOUT, TransferGuard, UploadOptions, Uploaded,
};
use crate::channel::{CallError, Channel, Outgoing};
use crate::provision::{SandboxError, Uncertainty, broken_off};
use crate::sandbox::files::{FILE_CALL_TIMEOUT, new_id};
use crate::sandbox::handle::Sandbox;
use crate::sandbox::retry::RetryPolicy;

impl Sandbox {
    /// Puts `content` at `path`, and makes the directories above it. A file appears whole
    /// or not at all; a stream that fails, or is dropped, leaves the old one, and its
    /// permission bits are kept. An archive is unpacked entry by entry: what came before
    /// an error stays.
    ///
    /// # Errors
    /// [`SandboxError::Failed`] with what is wrong with the path or the content,
    /// [`SandboxError::Cancelled`] when `content` failed or gave nothing for 30 s,
    /// [`SandboxError::Uncertain`] when all of it was sent and there was no answer.
    pub async fn upload(
        &self,
        path: impl Into<Bytes>,
        options: UploadOptions,
        mut content: BoxStream<'static, io::Result<Bytes>>,
    ) -> Result<Uploaded, SandboxError> {
        let path = path.into();
        let head = self.unless_ending(Head::of(&mut content)).await?;
        if head.is_all && !options.unpack {
            return self.small_upload(path, options, head.data.concat()).await;
        }
        let sent = self.send_all(path, options, head, content);
        let (outgoing, _held) = self.unless_ending(sent).await?;
        self.settle(outgoing, options).await
    }

    /// All but the word that it was all.
    async fn send_all(
        &self,
        path: Bytes,
        options: UploadOptions,
        head: Head,
        mut content: BoxStream<'static, io::Result<Bytes>>,
    ) -> Result<(Outgoing, TransferGuard), SandboxError> {
        let turn = self.transfer_turn().await?;
        let begin = UploadBegin {
            path,
            create_new: options.create_new,
            unpack: options.unpack,
            limit: options.limit,
            exact: false,
        };
        let begin = |channel: Channel| {
            let begin = begin.clone();
            async move { channel.upload(begin, STALL_TIMEOUT).await }
        };
        let (mut outgoing, held) = self.begin(turn, begin).await?;
        for data in head.data {
            send(&mut outgoing, data).await?;
        }
        if !head.is_all {
            while let Some(data) = given(&mut content).await? {
                send(&mut outgoing, data).await?;
            }
        }
        Ok((outgoing, held))
    }

    /// From here on only PID 1 knows whether it is in place.
    async fn settle(
        &self,
        outgoing: Outgoing,
        options: UploadOptions,
    ) -> Result<Uploaded, SandboxError> {
        let sent = Instant::now();
        let why = tokio::select! {
            done = outgoing.end(SYNC_TIMEOUT) => match done {
                Ok(done) => return Ok(Uploaded {
                    size: done.size,
                    created: done.created,
                    entries: done.entries,
                    other_names: done.other_names,
                }),
                Err(CallError::Failed(failure)) => return Err(SandboxError::Failed(failure)),
                Err(CallError::Lost(_)) => Uncertainty::Unreachable,
                Err(CallError::Deadline(_)) => Uncertainty::Silent(sent.elapsed()),
            },
            () = self.ending.cancelled() => Uncertainty::Ending,
        };
        let repeatable = !options.create_new && !options.unpack;
        Err(SandboxError::Uncertain { why, repeatable })
    }

    async fn small_upload(
        &self,
        path: Bytes,
        options: UploadOptions,
        content: Vec<u8>,
    ) -> Result<Uploaded, SandboxError> {
        if content.len() as u64 > options.limit {
            let detail = format!("more than {} bytes", options.limit);
            let failure = Failure::new(Code::FileTooLarge, detail);
            return Err(SandboxError::Failed(failure));
        }
        let (mode, policy) = if options.create_new {
            (Mode::CreateNew, RetryPolicy::SameContainer)
        } else {
            (Mode::Overwrite, RetryPolicy::Overwrite)
        };
        let request = WriteFileRequest {
            path,
            content: content.into(),
            mode: mode.into(),
            id: new_id(),
            ..WriteFileRequest::default()
        };
        let reply = self.ask(FILE_CALL_TIMEOUT, policy, request).await?;
        Ok(Uploaded {
            size: reply.size,
            created: reply.created,
            entries: 1,
            other_names: reply.other_names,
        })
    }
}

/// The beginning of a content: more than a small call takes, or all of it.
struct Head {
    data: Vec<Bytes>,
    is_all: bool,
}

impl Head {
    async fn of(content: &mut BoxStream<'static, io::Result<Bytes>>) -> Result<Self, SandboxError> {
        let (mut data, mut size) = (Vec::new(), 0);
        while size <= SMALL_CALL_LIMIT {
            match given(content).await? {
                Some(next) => {
                    size += next.len();
                    data.push(next);
                }
                None => return Ok(Self { data, is_all: true }),
            }
        }
        Ok(Self {
            data,
            is_all: false,
        })
    }
}

/// The caller's next bytes.
async fn given(
    content: &mut BoxStream<'static, io::Result<Bytes>>,
) -> Result<Option<Bytes>, SandboxError> {
    match timeout(STALL_TIMEOUT, content.next()).await {
        Ok(None) => Ok(None),
        Ok(Some(Ok(data))) => Ok(Some(data)),
        Ok(Some(Err(_))) | Err(_) => Err(SandboxError::Cancelled),
    }
}

async fn send(outgoing: &mut Outgoing, mut data: Bytes) -> Result<(), SandboxError> {
    while !data.is_empty() {
        let chunk = data.split_to(data.len().min(MAX_CHUNK));
        let sent = outgoing.send(chunk, STALL_TIMEOUT).await;
        sent.map_err(broken_off)?;
    }
    Ok(())
}
