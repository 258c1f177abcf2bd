//! Out of the workspace.

use bytes::Bytes;
use casemate_protocol::failure::Code;
use casemate_protocol::{DownloadRequest, Failure, FailureExt as _, MAX_CHUNK, ReadBytesRequest};
use futures_util::stream::{self, BoxStream, StreamExt as _};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{Download, SMALL_CALL_LIMIT, STALL_TIMEOUT, Stat};
use crate::channel::{Channel, Incoming};
use crate::provision::{SandboxError, broken_off};
use crate::sandbox::files::FILE_CALL_TIMEOUT;
use crate::sandbox::handle::Sandbox;
use crate::sandbox::retry::RetryPolicy;

/// Chunks that wait to be taken: 512 KiB.
const CHUNK_BUFFER: usize = 2;

impl Sandbox {
    /// `length` bytes of a regular file from `offset`, or all of a directory as a tar
    /// archive: files, directories and links. Sockets, FIFOs and devices are left out.
    ///
    /// # Errors
    /// [`SandboxError::Failed`] with what is wrong with the path; later, in the stream,
    /// what went wrong on the way.
    pub async fn download(
        &self,
        path: impl Into<Bytes>,
        offset: u64,
        length: Option<u64>,
    ) -> Result<Download, SandboxError> {
        let path = path.into();
        let stat = self.stat(path.clone()).await?;
        match expected(&stat, offset, length) {
            Some(size) if size <= SMALL_CALL_LIMIT as u64 => {
                self.small_download(path, offset, size).await
            }
            _ => {
                let request = DownloadRequest {
                    path,
                    offset,
                    length,
                    without_hidden: false,
                };
                self.large_download(request).await
            }
        }
    }

    /// A directory as a tar archive without the names in it that begin with a dot.
    ///
    /// # Errors
    /// As for [`Self::download`]; a file is `NOT_DIRECTORY`.
    pub async fn download_visible(&self, path: impl Into<Bytes>) -> Result<Download, SandboxError> {
        let request = DownloadRequest {
            path: path.into(),
            without_hidden: true,
            ..DownloadRequest::default()
        };
        let download = self.large_download(request).await?;
        match download.stat.is_dir {
            true => Ok(download),
            false => {
                let detail = "it is a file";
                Err(SandboxError::Failed(Failure::new(
                    Code::NotDirectory,
                    detail,
                )))
            }
        }
    }

    async fn small_download(
        &self,
        path: Bytes,
        offset: u64,
        length: u64,
    ) -> Result<Download, SandboxError> {
        let request = ReadBytesRequest {
            path,
            offset,
            // 1 MiB at most.
            length: u32::try_from(length).unwrap_or(u32::MAX),
        };
        let reply = self
            .ask(FILE_CALL_TIMEOUT, RetryPolicy::Anywhere, request)
            .await?;
        let stat = Stat {
            size: reply.size,
            modified_ms: reply.modified_ms,
            is_dir: false,
            version: reply.version,
        };
        if expected(&stat, offset, Some(length)) != Some(reply.data.len() as u64) {
            let detail = "it became shorter while it was read";
            return Err(SandboxError::Failed(Failure::new(Code::Changed, detail)));
        }
        let content = in_chunks(reply.data);
        Ok(Download { stat, content })
    }

    async fn large_download(&self, request: DownloadRequest) -> Result<Download, SandboxError> {
        let begin = |channel: Channel| {
            let request = request.clone();
            async move { channel.download(request, STALL_TIMEOUT).await }
        };
        let turn = self.transfer_turn().await?;
        let (incoming, held) = self.begin(turn, begin).await?;
        if incoming.stat.is_dir && incoming.stat.without_hidden != request.without_hidden {
            // Of a version that sends all names: it must not.
            let detail = "the sandbox is older than this server";
            return Err(SandboxError::Failed(Failure::new(Code::Busy, detail)));
        }
        let stat = Stat::from(incoming.stat);
        let left = expected(&stat, request.offset, request.length);
        let (sender, chunks) = mpsc::channel(CHUNK_BUFFER);
        let ending = self.ending.clone();
        tokio::spawn(async move {
            hand_on(incoming, left, sender, ending).await;
            drop(held);
        });
        let content = chunks_of(chunks);
        Ok(Download { stat, content })
    }
}

/// How many bytes are to come; unknown for an archive.
fn expected(stat: &Stat, offset: u64, length: Option<u64>) -> Option<u64> {
    let rest = stat.size.saturating_sub(offset);
    (!stat.is_dir).then(|| length.map_or(rest, |length| length.min(rest)))
}

fn in_chunks(data: Bytes) -> BoxStream<'static, Result<Bytes, SandboxError>> {
    let next = |mut data: Bytes| async move {
        let chunk = data.split_to(data.len().min(MAX_CHUNK));
        (!chunk.is_empty()).then_some((Ok(chunk), data))
    };
    stream::unfold(data, next).boxed()
}

/// `None` inside: that was all.
type Chunk = Result<Option<Bytes>, SandboxError>;

/// Hands on what comes for as long as it is taken.
async fn hand_on(
    mut incoming: Incoming,
    mut left: Option<u64>,
    sender: mpsc::Sender<Chunk>,
    ending: CancellationToken,
) {
    loop {
        let next = tokio::select! {
            next = incoming.next(STALL_TIMEOUT) => next,
            () = sender.closed() => return,
            () = ending.cancelled() => {
                let _ = sender.try_send(Err(SandboxError::Ending));
                return;
            }
        };
        let chunk = next.map_err(broken_off);
        let chunk = chunk.and_then(|chunk| counted(chunk, &mut left));
        let over = !matches!(chunk, Ok(Some(_)));
        // Not taken in time: the end is missing then, and the caller is told.
        let taken = timeout(STALL_TIMEOUT, sender.send(chunk)).await;
        if over || !matches!(taken, Ok(Ok(()))) {
            return;
        }
    }
}

/// A chunk, if it is no more than is left, and the end, if nothing is.
fn counted(chunk: Option<Bytes>, left: &mut Option<u64>) -> Chunk {
    let Some(left) = left else {
        return Ok(chunk);
    };
    let size = chunk.as_ref().map_or(0, |chunk| chunk.len() as u64);
    match left.checked_sub(size) {
        Some(rest) if chunk.is_some() || rest == 0 => {
            *left = rest;
            Ok(chunk)
        }
        // PID 1 said how many there are: it, or its connection, is not to be trusted.
        _ => Err(SandboxError::BrokenOff),
    }
}

/// The chunks up to the one that says that it was the last; without it they end with an
/// error.
fn chunks_of(chunks: mpsc::Receiver<Chunk>) -> BoxStream<'static, Result<Bytes, SandboxError>> {
    let next = |chunks: Option<mpsc::Receiver<Chunk>>| async move {
        let mut chunks = chunks?;
        match chunks.recv().await {
            Some(Ok(Some(data))) => Some((Ok(data), Some(chunks))),
            Some(Ok(None)) => None,
            Some(Err(error)) => Some((Err(error), None)),
            // The caller took no chunk in time.
            None => Some((Err(SandboxError::Cancelled), None)),
        }
    };
    stream::unfold(Some(chunks), next).boxed()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn taken(chunks: Vec<Chunk>) -> (usize, Option<SandboxError>) {
        let (sender, receiver) = mpsc::channel(chunks.len().max(1));
        for chunk in chunks {
            sender.try_send(chunk).expect("room");
        }
        drop(sender);
        let (mut size, mut error) = (0, None);
        let mut content = chunks_of(receiver);
        while let Some(chunk) = content.next().await {
            assert!(error.is_none(), "a chunk came after an error");
            match chunk {
                Ok(data) => size += data.len(),
                Err(failed) => error = Some(failed),
            }
        }
        (size, error)
    }

    #[tokio::test]
    async fn only_the_last_chunk_ends_a_download_without_an_error() {
        let data = || Ok(Some(Bytes::from_static(b"12345")));
        let (size, error) = taken(vec![data(), data(), Ok(None)]).await;
        assert!(size == 10 && error.is_none(), "{error:?}");
        let (size, error) = taken(vec![data(), data()]).await;
        assert!(size == 10 && matches!(error, Some(SandboxError::Cancelled)));
        let (size, error) = taken(vec![data(), Err(SandboxError::BrokenOff), data()]).await;
        assert!(size == 5 && matches!(error, Some(SandboxError::BrokenOff)));
    }

    #[test]
    fn neither_more_nor_fewer_bytes_than_were_announced_count_as_the_file() {
        let data = || Some(Bytes::from_static(b"12345"));
        let mut left = Some(7);
        assert!(counted(data(), &mut left).is_ok());
        assert!(counted(None, &mut left).is_err(), "2 are missing");
        assert!(counted(data(), &mut left).is_err(), "3 are too many");
        let mut all = Some(5);
        assert!(counted(data(), &mut all).is_ok());
        assert!(counted(None, &mut all).is_ok());
        let mut archive = None;
        assert!(counted(data(), &mut archive).is_ok() && counted(None, &mut archive).is_ok());
    }

    #[tokio::test]
    async fn a_small_file_comes_in_chunks_too() {
        let content: Vec<_> = in_chunks(vec![7; MAX_CHUNK + 5].into()).collect().await;
        let sizes = content
            .iter()
            .map(|chunk| chunk.as_ref().map_or(0, Bytes::len));
        assert_eq!(sizes.collect::<Vec<_>>(), [MAX_CHUNK, 5]);
    }
}
