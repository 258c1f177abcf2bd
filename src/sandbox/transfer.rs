//! Files of any size, in and out, and what goes with them.
//!
//! ```text
//!  caller ─► its turn (4 a user) ─► lease ─┬─ up to 1 MiB: the standing channel
//!                                          └─ more: a bridge of its own, for this one
//! ```
//!
//! - Nobody's small calls wait behind a large transfer: it has a stream of its own
//!   through the Engine.
//! - A transfer has no deadline as a whole: it ends when no byte moved for [`STALL`],
//!   in whichever direction, also where it is the caller who takes or gives none.
//! - In ephemeral mode it is done in the container that waits for the next command, which
//!   lives as long as the transfer.
//! - Nothing is repeated once content was sent. Before that, a container that is ending is
//!   not asked again, but its successor.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use casemate_protocol::failure::Code;
use casemate_protocol::{
    DeleteRequest, DownloadRequest, MAX_CHUNK, StatReply, StatRequest, UploadBegin,
};
use futures_util::stream::{self, BoxStream, StreamExt as _};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::admission::{Admission, Admitted};
use super::bring_up::connect_to;
use super::files::{FILE_CALL, new_id};
use super::place::{LEASE, Place};
use super::repeat::{Repeat, Uncertainty};
use super::{RETRY_PAUSE, Sandbox, SandboxError};
use crate::channel::{CallError, Channel, Incoming, Outgoing};
use crate::engine::Engine;

/// Transfers of one user at once: of the 16 bridges that PID 1 serves, and one thread
/// of it for each.
const AT_ONCE: u32 = 4;

/// A transfer in which nothing moves for this long is ended.
const STALL: Duration = Duration::from_secs(30);

/// From the last byte of an upload until it is on the disk: PID 1 has 64 MiB to write by
/// then, and of an archive what the kernel has not written yet.
const SETTLE: Duration = Duration::from_secs(120);

/// Removing a tree: PID 1 removes some 50,000 entries a second.
const REMOVAL: Duration = Duration::from_secs(300);

/// What is transferred over the standing channel: a bridge costs 70 ms, and this takes
/// less time.
const SMALL: usize = 1024 * 1024;

/// Chunks that wait to be taken: 512 KiB.
const AHEAD: usize = 2;

/// What is at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// In bytes; of a directory 0.
    pub size: u64,
    /// Milliseconds since 1970.
    pub modified_ms: i64,
    /// A directory.
    pub is_dir: bool,
    /// Changes with every change of the content: device, inode, size, times.
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

/// What was put into the workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Uploaded {
    /// Bytes of the file, or of all files of an archive.
    pub size: u64,
    /// There was no such file before.
    pub created: bool,
    /// Entries of an archive; 1 for a file.
    pub entries: u64,
}

/// The transfers of one user.
#[derive(Debug, Clone)]
pub(super) struct Transfers {
    admission: Admission,
    engine: Engine,
}

impl Transfers {
    /// `waiting`: the calls of all users that wait.
    pub fn new(engine: Engine, waiting: std::sync::Arc<std::sync::atomic::AtomicUsize>) -> Self {
        Self {
            admission: Admission::new(AT_ONCE, waiting),
            engine,
        }
    }
}

/// Which channel a transfer goes over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Standing,
    Own,
}

/// What a transfer holds as long as it lasts.
struct Held {
    /// The last one closes it, and ends the bridge.
    _channel: Channel,
    _place: Place,
    _turn: Admitted,
}

impl Sandbox {
    /// What is at `path`, relative to the workspace.
    ///
    /// # Errors
    /// [`SandboxError::Failed`] with what is wrong with the path.
    pub async fn stat(&self, path: &str) -> Result<Stat, SandboxError> {
        let stat = |channel: Channel, left| {
            let path = path.to_owned();
            async move { channel.stat(StatRequest { path }, left).await }
        };
        let reply = self.ask(FILE_CALL, Repeat::Anywhere, stat).await?;
        Ok(reply.into())
    }

    /// Removes a file, or with `recursive` a directory with all that is in it.
    ///
    /// # Errors
    /// [`SandboxError::Failed`] with what is wrong with the path: `IS_DIRECTORY` for a
    /// directory without `recursive`. [`SandboxError::Uncertain`] when it is unknown
    /// whether it was removed.
    pub async fn delete(&self, path: &str, recursive: bool) -> Result<(), SandboxError> {
        let request = DeleteRequest {
            path: path.to_owned(),
            recursive,
            id: new_id(),
        };
        let within = if recursive { REMOVAL } else { FILE_CALL };
        let delete = |channel: Channel, left| {
            let request = request.clone();
            async move { channel.delete(request, left).await }
        };
        let deleted = self.ask(within, Repeat::SameContainer, delete).await;
        deleted.map(drop)
    }

    /// `length` bytes of a regular file from `offset`, or all of a directory as a tar
    /// archive: files, directories and links. Sockets, FIFOs and devices are left out.
    ///
    /// # Errors
    /// [`SandboxError::Failed`] with what is wrong with the path; later, in the stream,
    /// what went wrong on the way.
    pub async fn download(
        &self,
        path: &str,
        offset: u64,
        length: Option<u64>,
    ) -> Result<Download, SandboxError> {
        let stat = self.stat(path).await?;
        let way = match expected(&stat, offset, length) {
            Some(size) if size <= SMALL as u64 => Way::Standing,
            _ => Way::Own,
        };
        let request = DownloadRequest {
            path: path.to_owned(),
            offset,
            length,
        };
        let begin = |channel: Channel| {
            let request = request.clone();
            async move { channel.download(request, STALL).await }
        };
        let (incoming, held) = self.begin(way, begin).await?;
        let stat = Stat::from(incoming.stat);
        let left = expected(&stat, offset, length);
        let (sender, chunks) = mpsc::channel(AHEAD);
        let ending = self.ending.clone();
        tokio::spawn(async move {
            hand_on(incoming, left, sender, ending).await;
            drop(held);
        });
        let content = chunks_of(chunks);
        Ok(Download { stat, content })
    }

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
        content: BoxStream<'static, std::io::Result<Bytes>>,
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
        mut content: BoxStream<'static, std::io::Result<Bytes>>,
    ) -> Result<Uploaded, SandboxError> {
        let turn = self.turn().await?;
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
        let way = if ended { Way::Standing } else { Way::Own };
        let begin = UploadBegin {
            path: path.to_owned(),
            create_new: options.create_new,
            unpack: options.unpack,
            limit: options.limit,
        };
        let begin = |channel: Channel| {
            let begin = begin.clone();
            async move { channel.upload(begin, STALL).await }
        };
        let (mut outgoing, _held) = self.begin_in(turn, way, begin).await?;
        for data in head {
            send(&mut outgoing, data).await?;
        }
        while !ended {
            match given(&mut content).await? {
                Some(data) => send(&mut outgoing, data).await?,
                None => ended = true,
            }
        }
        match outgoing.end(SETTLE).await {
            Ok(done) => Ok(Uploaded {
                size: done.size,
                created: done.created,
                entries: done.entries,
            }),
            Err(CallError::Failed(failure)) => Err(SandboxError::Failed(failure)),
            Err(CallError::Lost(_)) => Err(SandboxError::Uncertain(Uncertainty::Replaced)),
            Err(CallError::Deadline(after)) => {
                Err(SandboxError::Uncertain(Uncertainty::Silent(after)))
            }
        }
    }

    async fn turn(&self) -> Result<Admitted, SandboxError> {
        let turn = self
            .transfers
            .admission
            .enter(Instant::now() + LEASE, |_| {});
        tokio::select! {
            turn = turn => turn,
            () = self.ending.cancelled() => Err(SandboxError::Ending),
        }
    }

    async fn begin<T, F>(
        &self,
        way: Way,
        operation: impl Fn(Channel) -> F,
    ) -> Result<(T, Held), SandboxError>
    where
        F: Future<Output = Result<T, CallError>>,
    {
        let turn = self.turn().await?;
        self.begin_in(turn, way, operation).await
    }

    /// Begins a transfer in the container as it is now, or in the next one.
    async fn begin_in<T, F>(
        &self,
        turn: Admitted,
        way: Way,
        operation: impl Fn(Channel) -> F,
    ) -> Result<(T, Held), SandboxError>
    where
        F: Future<Output = Result<T, CallError>>,
    {
        let start = Instant::now();
        let deadline = start + LEASE;
        let place = self.for_files();
        loop {
            let lease = place.lease(deadline, |_| {}).await?;
            let channel = match way {
                Way::Standing => Ok(lease.channel),
                Way::Own => connect_to(&self.transfers.engine, &lease.container).await,
            };
            let error = match channel {
                Ok(channel) => match operation(channel.clone()).await {
                    Ok(begun) => {
                        let held = Held {
                            _channel: channel,
                            _place: place,
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
            if Instant::now() + RETRY_PAUSE >= deadline {
                return Err(error);
            }
            sleep(RETRY_PAUSE).await;
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

/// How many bytes are to come; of an archive nobody knows.
fn expected(stat: &Stat, offset: u64, length: Option<u64>) -> Option<u64> {
    let rest = stat.size.saturating_sub(offset);
    (!stat.is_dir).then(|| length.map_or(rest, |length| length.min(rest)))
}

/// The caller's next bytes.
async fn given(
    content: &mut BoxStream<'static, std::io::Result<Bytes>>,
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
        sent.map_err(|error| SandboxError::from_call(error, STALL))?;
    }
    Ok(())
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
            next = incoming.next(STALL) => next,
            () = sender.closed() => return,
            () = ending.cancelled() => {
                let _ = sender.try_send(Err(SandboxError::Ending));
                return;
            }
        };
        let chunk = next.map_err(|error| SandboxError::from_call(error, STALL));
        let chunk = chunk.and_then(|chunk| counted(chunk, &mut left));
        let over = !matches!(chunk, Ok(Some(_)));
        // Not taken in time: the end is missing then, and the caller is told.
        let taken = timeout(STALL, sender.send(chunk)).await;
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
        _ => Err(SandboxError::Deadline(STALL)),
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
            None => Some((Err(SandboxError::Deadline(STALL)), None)),
        }
    };
    stream::unfold(Some(chunks), next).boxed()
}
