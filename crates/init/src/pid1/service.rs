//! The calls of the protocol: verify, do, convert. Nothing is decided here.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use casemate_protocol::{
    Accepted, BackupRequest, CancelReply, CancelRequest, CommandEvent, DeleteReply, DeleteRequest,
    DetachReply, DetachRequest, DownloadPart, DownloadRequest, EditFileReply, EditFileRequest,
    Event, EventsRequest, Failure, FailureExt as _, Finished, HelloReply, HelloRequest, KillReply,
    KillRequest, ListFilesReply, ListFilesRequest, MakeDirectoryReply, MakeDirectoryRequest,
    MoveReply, MoveRequest, PROTOCOL, Progress, ReadBytesReply, ReadBytesRequest, ReadLinesReply,
    ReadLinesRequest, RetireReply, RetireRequest, RunInput, RunOutput, SignalReply, SignalRequest,
    StartRequest, StatReply, StatRequest, StatsReply, StatsRequest, UploadEvent, UploadPart,
    WatchRequest, WriteFileReply, WriteFileRequest, command_event, exit, failure::Code,
    run_input::Input, sandbox_server::Sandbox, upload_part::Part,
};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt as _};
use tonic::{Request, Response, Status, Streaming};

use super::attached;
use super::cgroup::Cgroup;
use super::command::{Command, outcome};
use super::commands::Commands;
use super::idempotency::{Claim, IdempotencyCache};
use super::last_use::LastUse;
use super::lifecycle::{Lifecycle, milliseconds};
use super::min_free_space::MinFreeSpace;
use super::transfers::Transfers;
use crate::files::{Cancel, Pool, Workspace};

/// The newest output that one progress event carries, in bytes.
const PROGRESS_OUTPUT_LIMIT: usize = 1024;

/// At most four progress events a second: a person reads no faster.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(250);

/// The state that the calls share.
#[derive(Debug)]
pub struct Service {
    /// The user's files.
    pub workspace: Arc<Workspace>,
    /// The threads that file work runs on.
    pub pool: Arc<Pool>,
    /// Replies to the latest writes.
    pub written: IdempotencyCache<WriteFileReply>,
    /// Replies to the latest edits.
    pub edited: IdempotencyCache<EditFileReply>,
    /// Replies to the latest removals.
    pub deleted: IdempotencyCache<DeleteReply>,
    /// Replies to the latest moves.
    pub moved: IdempotencyCache<MoveReply>,
    /// Replies to the latest new directories.
    pub directories: IdempotencyCache<MakeDirectoryReply>,
    /// Files of any size.
    pub transfers: Arc<Transfers>,
    /// All commands.
    pub commands: Arc<Commands>,
    pub lifecycle: Arc<Lifecycle>,
    /// When the workspace was last used.
    pub last_use: LastUse,
    /// Hash of the container's specification.
    pub spec: String,
    /// Features of the kernel, found by trying.
    pub features: Vec<String>,
    /// New for every PID 1.
    pub boot_id: String,
    /// The forbidden calls that were tried and refused.
    pub denied: Vec<String>,
    /// The container's cgroup.
    pub cgroup: Cgroup,
    /// The free space that writes leave.
    pub min_free: MinFreeSpace,
    /// When this PID 1 started.
    pub started: Instant,
}

type Events<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl Service {
    /// Answers a call that reads files.
    async fn file_call<R: Send + 'static, T: Send + 'static>(
        &self,
        request: Request<R>,
        call: impl FnOnce(&Workspace, &R, &Cancel) -> Result<T, Failure> + Send + 'static,
    ) -> Result<Response<T>, Status> {
        let request = request.into_inner();
        let work = self.on(&self.pool, move |files, cancel| {
            call(files, &request, cancel)
        });
        answer(work.await)
    }

    /// Answers a call that writes a file, which is done only once for each id.
    async fn write_call<R: Send + 'static, T: Clone + Send + Sync + 'static>(
        &self,
        replies: &IdempotencyCache<T>,
        id: &str,
        request: R,
        call: impl FnOnce(&Workspace, &R, &Cancel) -> Result<T, Failure> + Send + 'static,
    ) -> Result<Response<T>, Status> {
        let min_free = self.min_free;
        let job = move |files: &Workspace, cancel: &Cancel| {
            min_free.check()?;
            call(files, &request, cancel)
        };
        answer(self.once(&self.pool, replies, id, job).await)
    }

    /// Runs file work on the threads of `pool`; it stops when the caller goes away.
    async fn on<T: Send + 'static>(
        &self,
        pool: &Pool,
        job: impl FnOnce(&Workspace, &Cancel) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let busy = self.lifecycle.enter()?;
        let workspace = self.workspace.clone();
        let work = pool.run(move |cancel| {
            // For as long as the work, which may outlive its caller for a moment.
            let _busy = busy;
            workspace.unlock();
            job(&workspace, cancel)
        });
        work.await.and_then(|done| done)
    }

    /// As [`Self::on`], and only once for each id.
    async fn once<T: Clone + Send + Sync + 'static>(
        &self,
        pool: &Pool,
        replies: &IdempotencyCache<T>,
        id: &str,
        job: impl FnOnce(&Workspace, &Cancel) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let ticket = match replies.turn(id).await? {
            Claim::First(ticket) => ticket,
            Claim::Again(reply) => return reply,
        };
        self.on(pool, move |files, cancel| {
            let reply = job(files, cancel);
            // Here, where it is known even if the caller went away.
            ticket.settle(&reply);
            reply
        })
        .await
    }
}

fn answer<T>(done: Result<T, Failure>) -> Result<Response<T>, Status> {
    done.map(Response::new).map_err(Failure::into_status)
}

#[tonic::async_trait]
impl Sandbox for Service {
    type EventsStream = Events<Event>;
    type StartStream = Events<CommandEvent>;
    type WatchStream = Events<CommandEvent>;
    type RunStream = Events<RunOutput>;
    type DownloadStream = Events<DownloadPart>;
    type UploadStream = Events<UploadEvent>;
    type BackupStream = Events<DownloadPart>;

    async fn hello(&self, _: Request<HelloRequest>) -> Result<Response<HelloReply>, Status> {
        Ok(Response::new(HelloReply {
            protocol: PROTOCOL,
            init_version: env!("CARGO_PKG_VERSION").into(),
            spec: self.spec.clone(),
            features: self.features.clone(),
            boot_id: self.boot_id.clone(),
            denied: self.denied.clone(),
        }))
    }

    async fn events(
        &self,
        _: Request<EventsRequest>,
    ) -> Result<Response<Self::EventsStream>, Status> {
        let events = ReceiverStream::new(self.lifecycle.listen()).map(Ok);
        Ok(Response::new(Box::pin(events)))
    }

    async fn start(
        &self,
        request: Request<StartRequest>,
    ) -> Result<Response<Self::StartStream>, Status> {
        let command = self.commands.start(request.into_inner());
        let command = command.map_err(Failure::into_status)?;
        let accepted = event(command_event::Event::Accepted(Accepted {}));
        let events = tokio_stream::once(Ok(accepted)).chain(follow(command, 0));
        Ok(Response::new(Box::pin(events)))
    }

    async fn watch(
        &self,
        request: Request<WatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let request = request.into_inner();
        let command = self.commands.find(&request.id);
        let command = command.map_err(Failure::into_status)?;
        Ok(Response::new(Box::pin(follow(command, request.offset))))
    }

    async fn detach(
        &self,
        request: Request<DetachRequest>,
    ) -> Result<Response<DetachReply>, Status> {
        let command = self.commands.find(&request.into_inner().id);
        let command = command.map_err(Failure::into_status)?;
        command.detach();
        let (stdout, stderr) = command.snapshot();
        Ok(Response::new(DetachReply {
            finished: command.finished(),
            stdout: Some(stdout),
            stderr: Some(stderr),
            duration_ms: command.duration_ms(),
            output_path: command.spill.path(),
        }))
    }

    async fn kill(&self, request: Request<KillRequest>) -> Result<Response<KillReply>, Status> {
        let command = self.commands.find(&request.into_inner().id);
        command.map_err(Failure::into_status)?.kill();
        Ok(Response::new(KillReply {}))
    }

    async fn run(
        &self,
        request: Request<Streaming<RunInput>>,
    ) -> Result<Response<Self::RunStream>, Status> {
        let mut input = request.into_inner();
        let first = input.message().await?.and_then(|part| part.input);
        let Some(Input::Start(start)) = first else {
            let detail = "a run that does not begin with its command";
            return Err(Failure::new(Code::Invalid, detail).into_status());
        };
        let outputs = self.commands.attach(start, input);
        let outputs = outputs.map_err(Failure::into_status)?;
        Ok(Response::new(Box::pin(outputs)))
    }

    async fn signal(
        &self,
        request: Request<SignalRequest>,
    ) -> Result<Response<SignalReply>, Status> {
        let request = request.into_inner();
        let command = self.commands.find(&request.id);
        let command = command.map_err(Failure::into_status)?;
        answer(
            attached::signal(&command, request.signal)
                .await
                .map(|()| SignalReply {}),
        )
    }

    async fn cancel(
        &self,
        request: Request<CancelRequest>,
    ) -> Result<Response<CancelReply>, Status> {
        let commands = self.commands.cancel(&request.into_inner());
        Ok(Response::new(CancelReply { commands }))
    }

    async fn retire(
        &self,
        request: Request<RetireRequest>,
    ) -> Result<Response<RetireReply>, Status> {
        let request = request.into_inner();
        if request.at_once {
            self.lifecycle.end(exit::RETIRED);
            return Ok(Response::new(RetireReply { busy: false }));
        }
        let idle_for = Duration::from_millis(request.idle_for_ms);
        let busy = !self.lifecycle.retire(idle_for);
        Ok(Response::new(RetireReply { busy }))
    }

    async fn stats(&self, _: Request<StatsRequest>) -> Result<Response<StatsReply>, Status> {
        let commands = self.commands.listed();
        let processes = commands.iter().map(|command| command.processes);
        Ok(Response::new(StatsReply {
            idle_ms: milliseconds(self.lifecycle.idle_for()),
            uptime_ms: milliseconds(self.started.elapsed()),
            memory_bytes: self.cgroup.memory(),
            processes: processes.fold(0, u32::saturating_add),
            commands,
            cpu_ms: self.cgroup.cpu_ms(),
            last_used_ms: self.last_use.at(),
        }))
    }

    async fn read_lines(
        &self,
        request: Request<ReadLinesRequest>,
    ) -> Result<Response<ReadLinesReply>, Status> {
        self.file_call(request, Workspace::read_lines).await
    }

    async fn read_bytes(
        &self,
        request: Request<ReadBytesRequest>,
    ) -> Result<Response<ReadBytesReply>, Status> {
        self.file_call(request, Workspace::read_bytes).await
    }

    async fn write_file(
        &self,
        request: Request<WriteFileRequest>,
    ) -> Result<Response<WriteFileReply>, Status> {
        let request = request.into_inner();
        let id = request.id.clone();
        self.write_call(&self.written, &id, request, Workspace::write_file)
            .await
    }

    async fn edit_file(
        &self,
        request: Request<EditFileRequest>,
    ) -> Result<Response<EditFileReply>, Status> {
        let request = request.into_inner();
        let id = request.id.clone();
        self.write_call(&self.edited, &id, request, Workspace::edit_file)
            .await
    }

    async fn list_files(
        &self,
        request: Request<ListFilesRequest>,
    ) -> Result<Response<ListFilesReply>, Status> {
        self.file_call(request, Workspace::list_files).await
    }

    async fn stat(&self, request: Request<StatRequest>) -> Result<Response<StatReply>, Status> {
        self.file_call(request, Workspace::stat).await
    }

    async fn delete(
        &self,
        request: Request<DeleteRequest>,
    ) -> Result<Response<DeleteReply>, Status> {
        let request = request.into_inner();
        let id = request.id.clone();
        // A tree takes its time.
        let pool = if request.recursive {
            &self.transfers.pool
        } else {
            &self.pool
        };
        let job = move |files: &Workspace, cancel: &Cancel| files.delete(&request, cancel);
        answer(self.once(pool, &self.deleted, &id, job).await)
    }

    async fn r#move(&self, request: Request<MoveRequest>) -> Result<Response<MoveReply>, Status> {
        let request = request.into_inner();
        let id = request.id.clone();
        let job = move |files: &Workspace, cancel: &Cancel| files.move_entry(&request, cancel);
        answer(self.once(&self.pool, &self.moved, &id, job).await)
    }

    async fn make_directory(
        &self,
        request: Request<MakeDirectoryRequest>,
    ) -> Result<Response<MakeDirectoryReply>, Status> {
        let request = request.into_inner();
        let id = request.id.clone();
        let call = Workspace::make_directory;
        self.write_call(&self.directories, &id, request, call).await
    }

    async fn download(
        &self,
        request: Request<DownloadRequest>,
    ) -> Result<Response<Self::DownloadStream>, Status> {
        let busy = self.lifecycle.enter().map_err(Failure::into_status)?;
        let parts = self.transfers.download(request.into_inner(), busy);
        Ok(Response::new(Box::pin(parts)))
    }

    async fn upload(
        &self,
        request: Request<Streaming<UploadPart>>,
    ) -> Result<Response<Self::UploadStream>, Status> {
        let mut parts = request.into_inner();
        let busy = self.lifecycle.enter().map_err(Failure::into_status)?;
        let first = parts.message().await?.and_then(|part| part.part);
        let Some(Part::Begin(begin)) = first else {
            let detail = "an upload that does not begin with its path";
            return Err(Failure::new(Code::Invalid, detail).into_status());
        };
        let events = self.transfers.upload(begin, parts, busy);
        Ok(Response::new(Box::pin(events)))
    }

    async fn backup(
        &self,
        request: Request<BackupRequest>,
    ) -> Result<Response<Self::BackupStream>, Status> {
        let busy = self
            .lifecycle
            .begin_maintenance()
            .map_err(Failure::into_status)?;
        let parts = self.transfers.backup(request.into_inner(), busy);
        Ok(Response::new(Box::pin(parts)))
    }
}

fn event(event: command_event::Event) -> CommandEvent {
    CommandEvent { event: Some(event) }
}

/// Progress from `offset` on, then the outcome. While the stream lives, the
/// command is watched.
fn follow(command: Arc<Command>, offset: u64) -> ReceiverStream<Result<CommandEvent, Status>> {
    let (events, stream) = mpsc::channel(1);
    // Here and not in the task: a command must be watched from the first moment.
    let finished = command.watch();
    tokio::spawn(tell(command, offset, finished, events));
    ReceiverStream::new(stream)
}

async fn tell(
    command: Arc<Command>,
    mut offset: u64,
    mut finished: watch::Receiver<Option<Arc<Finished>>>,
    events: mpsc::Sender<Result<CommandEvent, Status>>,
) {
    loop {
        let next = tokio::select! {
            biased;
            outcome = outcome(&mut finished) => {
                let Some(outcome) = outcome else { return };
                let outcome = event(command_event::Event::Finished(outcome));
                if events.send(Ok(outcome)).await.is_ok() {
                    command.delivered.store(true, Ordering::Relaxed);
                }
                return;
            }
            () = events.closed() => return,
            () = tokio::time::sleep(PROGRESS_INTERVAL) => {
                if command.total() <= offset {
                    continue;
                }
                let (total, newest) = command.newest(PROGRESS_OUTPUT_LIMIT);
                offset = total;
                event(command_event::Event::Progress(Progress {
                    offset,
                    newest: Bytes::from(newest),
                }))
            }
        };
        if events.send(Ok(next)).await.is_err() {
            return;
        }
    }
}
