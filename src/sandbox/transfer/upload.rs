//! Into the workspace.

use std::io;

use bytes::Bytes;
use casemate_protocol::failure::Code;
use casemate_protocol::write_file_request::Mode;
use casemate_protocol::{Failure, FailureExt as _, MAX_CHUNK, UploadBegin, WriteFileRequest};
use futures_util::stream::{BoxStream, StreamExt as _};
use tokio::time::{Instant, timeout};

use super::{SETTLE, SMALL, STALL, UploadOptions, Uploaded, broken_off};
use crate::channel::{CallError, Channel, Outgoing};
use crate::sandbox::files::{FILE_CALL, new_id};
use crate::sandbox::repeat::{Repeat, Uncertainty};
use crate::sandbox::{Sandbox, SandboxError};

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
        path: &str,
        options: UploadOptions,
        content: BoxStream<'static, io::Result<Bytes>>,
    ) -> Result<Uploaded, SandboxError> {
        tokio::select! {
            uploaded = self.put(path, options, content) => uploaded,
            () = self.ending.cancelled() => Err(SandboxError::Ending),
        }
    }

    async fn put(
        &self,
        path: &str,
        options: UploadOptions,
        mut content: BoxStream<'static, io::Result<Bytes>>,
    ) -> Result<Uploaded, SandboxError> {
        let (mut head, mut size, mut ended) = (Vec::new(), 0, false);
        while size <= SMALL && !ended {
            match given(&mut content).await? {
                Some(data) => {
                    size += data.len();
                    head.push(data);
                }
                None => ended = true,
            }
        }
        if ended && !options.unpack {
            return self.small_upload(path, options, head.concat()).await;
        }
        let turn = self.turn().await?;
        let begin = UploadBegin {
            path: path.to_owned(),
            create_new: options.create_new,
            unpack: options.unpack,
            limit: options.limit,
            exact: false,
        };
        let begin = |channel: Channel| {
            let begin = begin.clone();
            async move { channel.upload(begin, STALL).await }
        };
        let (mut outgoing, _held) = self.begin(turn, begin).await?;
        for data in head {
            send(&mut outgoing, data).await?;
        }
        while !ended {
            match given(&mut content).await? {
                Some(data) => send(&mut outgoing, data).await?,
                None => ended = true,
            }
        }
        let sent = Instant::now();
        match outgoing.end(SETTLE).await {
            Ok(done) => Ok(Uploaded {
                size: done.size,
                created: done.created,
                entries: done.entries,
            }),
            Err(CallError::Failed(failure)) => Err(SandboxError::Failed(failure)),
            Err(CallError::Lost(_) | CallError::Deadline(_)) => {
                let silent = Uncertainty::Silent(sent.elapsed());
                Err(SandboxError::Uncertain(silent))
            }
        }
    }

    async fn small_upload(
        &self,
        path: &str,
        options: UploadOptions,
        content: Vec<u8>,
    ) -> Result<Uploaded, SandboxError> {
        if content.len() as u64 > options.limit {
            let detail = format!("more than {} bytes", options.limit);
            let failure = Failure::new(Code::FileTooLarge, detail);
            return Err(SandboxError::Failed(failure));
        }
        let (mode, repeat) = if options.create_new {
            (Mode::CreateNew, Repeat::SameContainer)
        } else {
            (Mode::Overwrite, Repeat::Anywhere)
        };
        let request = WriteFileRequest {
            path: path.to_owned(),
            content: content.into(),
            mode: mode.into(),
            executable: false,
            id: new_id(),
        };
        let write = |channel: Channel, left| {
            // The content is shared, not copied.
            let request = request.clone();
            async move { channel.write_file(request, left).await }
        };
        let reply = self.ask(FILE_CALL, repeat, write).await?;
        Ok(Uploaded {
            size: reply.size,
            created: reply.created,
            entries: 1,
        })
    }
}

/// The caller's next bytes.
async fn given(
    content: &mut BoxStream<'static, io::Result<Bytes>>,
) -> Result<Option<Bytes>, SandboxError> {
    match timeout(STALL, content.next()).await {
        Ok(None) => Ok(None),
        Ok(Some(Ok(data))) => Ok(Some(data)),
        Ok(Some(Err(_))) | Err(_) => Err(SandboxError::Cancelled),
    }
}

async fn send(outgoing: &mut Outgoing, mut data: Bytes) -> Result<(), SandboxError> {
    while !data.is_empty() {
        let chunk = data.split_to(data.len().min(MAX_CHUNK));
        let sent = outgoing.send(chunk, STALL).await;
        sent.map_err(broken_off)?;
    }
    Ok(())
}
