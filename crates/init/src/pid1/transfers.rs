//! Files in and out, between the connection and the threads that read and write them.
//!
//! ```text
//!  download: thread ─► parts (4) ─► stream          upload: stream ─► pieces (4) ─► thread
//! ```
//!
//! Each transfer has a thread for as long as it lasts, so that small file work never waits for
//! one; it counts as busy; and it ends when its caller goes away.
//!
//! While a backup is read the user's processes are [`StoppedProcesses`], for [`STOP_TIMEOUT`] at
//! most:
//! ```text
//!  a thread ─► stop ─► copy, look again ─┬─► go on ─► the end
//!                                        └ 10 s: go on; the copy does too, and then
//!                                          says whether something was changed
//! ```

use std::future::{Future, pending};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use casemate_protocol::backup_end::Consistency;
use casemate_protocol::upload_event::Event;
use casemate_protocol::upload_part::Part;
use casemate_protocol::{
    BackupEnd, BackupRequest, DownloadPart, DownloadRequest, Failure, FailureExt as _, MAX_CHUNK,
    UploadBegin, UploadEvent, UploadPart, UploadReady, download_part, failure::Code,
};
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::lifecycle::{ActivityGuard, milliseconds};
use super::min_free_space::MinFreeSpace;
use super::stopped::StoppedProcesses;
use crate::files::{
    Content, CopyCheck, PART_BUFFER, PIECE_BUFFER, PartSender, Piece, Pool, Transfer, Workspace,
};

/// Events of one upload: it is ready, and it is done or failed.
const EVENT_BUFFER: usize = 2;

/// How long the user's processes stand still at most: clients wait longer for an answer.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// What transfers work with.
#[derive(Debug)]
pub struct Transfers {
    /// The user's files.
    pub workspace: Arc<Workspace>,
    /// One thread for each current transfer. Further ones wait.
    pub pool: Pool,
    /// What uploads leave free.
    pub min_free: MinFreeSpace,
    /// One backup at a time: the first to end would let everything go on.
    pub backups: Mutex<()>,
}

impl Transfers {
    /// Begins to send.
    pub fn download(
        self: &Arc<Self>,
        request: DownloadRequest,
        busy: ActivityGuard,
    ) -> ReceiverStream<Result<DownloadPart, Status>> {
        let (sender, parts) = mpsc::channel(PART_BUFFER);
        let this = self.clone();
        tokio::spawn(async move {
            let (workspace, out) = (this.workspace.clone(), PartSender(sender.clone()));
            let work = this.pool.run(move |cancel| {
                let _busy = busy;
                workspace.unlock();
                workspace.download(&request, &out, cancel)
            });
            settle(work, &sender).await;
        });
        ReceiverStream::new(parts)
    }

    /// Begins to send all of the workspace.
    pub fn backup(
        self: &Arc<Self>,
        request: BackupRequest,
        busy: ActivityGuard,
    ) -> ReceiverStream<Result<DownloadPart, Status>> {
        let (sender, parts) = mpsc::channel(PART_BUFFER);
        let this = self.clone();
        tokio::spawn(async move {
            let end = sender.clone();
            let work = async {
                let part = Some(download_part::Part::End(
                    this.copy(request.shared, sender.clone(), busy).await?,
                ));
                // An error: the caller went away.
                let _ = end.send(Ok(DownloadPart { part })).await;
                Ok(Ok(()))
            };
            settle(work, &sender).await;
        });
        ReceiverStream::new(parts)
    }

    async fn copy(
        &self,
        shared: bool,
        out: mpsc::Sender<Result<DownloadPart, Status>>,
        busy: ActivityGuard,
    ) -> Result<BackupEnd, Failure> {
        let _alone = self.backups.lock().await;
        let (ready, has_thread) = oneshot::channel();
        let (go, may_go) = oneshot::channel();
        let workspace = self.workspace.clone();
        let mut copy = pin!(self.pool.run(move |cancel| {
            let _busy = busy;
            let _ = ready.send(());
            let gone = |_| Failure::new(Code::Cancelled, "the caller went away");
            may_go.blocking_recv().map_err(gone)?;
            workspace.unlock();
            workspace.backup(&PartSender(out), cancel)
        }));
        // Nobody stands still while others have the threads.
        tokio::select! {
            _ = has_thread => {}
            failed = &mut copy => return failed.flatten().map(|_| BackupEnd::default()),
        }
        let stopped = StoppedProcesses::all().await;
        let left = STOP_TIMEOUT.saturating_sub(stopped.so_far().1);
        let _ = go.send(());
        let in_time = timeout(left, &mut copy).await;
        let (processes, time) = stopped.so_far();
        let stood_still = !shared && stopped.is_complete() && in_time.is_ok();
        drop(stopped);
        let copied = match in_time {
            Ok(copied) => copied,
            Err(_) => copy.await,
        };
        let copied = copied.flatten()?;
        Ok(BackupEnd {
            consistency: consistency(&copied, stood_still).into(),
            stopped_ms: milliseconds(time),
            processes: u32::try_from(processes).unwrap_or(u32::MAX),
            left_out: Some(copied.left_out),
        })
    }

    /// Begins to receive the parts after `begin`.
    pub fn upload(
        self: &Arc<Self>,
        begin: UploadBegin,
        parts: Streaming<UploadPart>,
        busy: ActivityGuard,
    ) -> ReceiverStream<Result<UploadEvent, Status>> {
        let (sender, events) = mpsc::channel(EVENT_BUFFER);
        let this = self.clone();
        tokio::spawn(async move {
            let (pieces, content) = mpsc::channel(PIECE_BUFFER);
            let (workspace, min_free, told) =
                (this.workspace.clone(), this.min_free, sender.clone());
            let work = this.pool.run(move |cancel| {
                let _busy = busy;
                let say = |event| {
                    let gone = |_| Failure::new(Code::Cancelled, "the caller went away");
                    let event = UploadEvent { event: Some(event) };
                    told.blocking_send(Ok(event)).map_err(gone)
                };
                let transfer = Transfer {
                    room: &|| min_free.check(),
                    ready: &|| say(Event::Ready(UploadReady {})),
                    cancel,
                };
                workspace.unlock();
                let done = workspace.upload(&begin, Content::new(content), &transfer)?;
                say(Event::Done(done))
            });
            let work = async {
                tokio::select! {
                    done = work => done,
                    never = feed(parts, pieces) => match never {},
                }
            };
            settle(work, &sender).await;
        });
        ReceiverStream::new(events)
    }
}

fn consistency(copied: &CopyCheck, stood_still: bool) -> Consistency {
    match copied {
        CopyCheck { same: true, .. } if stood_still => Consistency::Stopped,
        CopyCheck {
            same: true,
            fresh: false,
            ..
        } => Consistency::Checked,
        _ => Consistency::Changed,
    }
}

/// Waits for the work, and sends its failure. It is cancelled when the caller goes away.
async fn settle<T>(
    work: impl Future<Output = Result<Result<(), Failure>, Failure>>,
    listener: &mpsc::Sender<Result<T, Status>>,
) {
    let done = tokio::select! {
        done = work => done.and_then(|done| done),
        () = listener.closed() => return,
    };
    if let Err(failure) = done {
        let _ = listener.send(Err(failure.into_status())).await;
    }
}

/// Passes on the parts up to their end. If they stop without it, so do the pieces.
async fn feed(
    mut parts: Streaming<UploadPart>,
    pieces: mpsc::Sender<Piece>,
) -> std::convert::Infallible {
    loop {
        let part = parts.message().await.ok().flatten();
        let piece = match part.and_then(|part| part.part) {
            Some(Part::Data(data)) if data.len() <= MAX_CHUNK => Piece::Data(data),
            Some(Part::End(_)) => Piece::End,
            // Broken off, or none of ours.
            _ => break,
        };
        let ended = matches!(piece, Piece::End);
        // An error: the work is over, and says why.
        if pieces.send(piece).await.is_err() || ended {
            break;
        }
    }
    drop(pieces);
    pending().await
}
