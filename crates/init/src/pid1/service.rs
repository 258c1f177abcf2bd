//! The calls of the protocol: verify, do, convert. Nothing is decided here.

mod file_calls;
mod follow;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use casemate_protocol::{
    Accepted, BackupRequest, CancelReply, CancelRequest, CommandEvent, Confinement, DeleteReply,
    DeleteRequest, DepartReply, DepartRequest, DetachReply, DetachRequest, DownloadPart,
    DownloadRequest, EditFileReply, EditFileRequest, Event, EventsRequest, Failure,
    FailureExt as _, HelloReply, HelloRequest, KillReply, KillRequest, ListFilesReply,
    ListFilesRequest, MakeDirectoryReply, MakeDirectoryRequest, MoveReply, MoveRequest, PROTOCOL,
    PortInput, PortOutput, ReadBytesReply, ReadBytesRequest, ReadLinesReply, ReadLinesRequest,
    RetireReply, RetireRequest, RunInput, RunOutput, SignalReply, SignalRequest, StartRequest,
    StatReply, StatRequest, StatsReply, StatsRequest, UploadEvent, UploadPart, WatchRequest,
    WriteFileReply, WriteFileRequest, command_event, exit, failure::Code, port_input,
    run_input::Input, sandbox_server::Sandbox, upload_part::Part,
};
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt as _};
use tonic::{Request, Response, Status, Streaming};

use self::file_calls::answer;
use self::follow::{event, follow};
use super::attached;
use super::cgroup::Cgroup;
use super::commands::Commands;
use super::idempotency::IdempotencyCache;
use super::last_use::LastUse;
use super::lifecycle::{Lifecycle, milliseconds};
use super::link::Link;
use super::ports::Ports;
use super::transfers::Transfers;
use crate::egress::Egress;
use crate::files::{Cancel, Workspace};

pub use file_calls::FileCalls;

/// The state that the calls share.
#[derive(Debug)]
pub struct Service {
    /// The user's files.
    pub files: FileCalls,
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
    /// Whether PID 1 has another real user than the commands.
    pub separate: bool,
    /// What protects PID 1 from the user's code, found by trying.
    pub shielded: Vec<String>,
    /// What the kernel showed of the container.
    pub confinement: Confinement,
    /// The container's cgroup.
    pub cgroup: Cgroup,
    /// Connections by egress rules.
    pub egress: Egress,
    /// Connections of the server to programs of the user.
    pub ports: Ports,
    /// When this PID 1 started.
    pub started: Instant,
}

/// The connection that the request came over: the socket puts it there.
fn link<T>(request: &Request<T>) -> Link {
    let link = request.extensions().get::<Link>();
    link.cloned().unwrap_or_default()
}

type Events<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl Sandbox for Service {
    type EventsStream = Events<Event>;
    type StartStream = Events<CommandEvent>;
    type WatchStream = Events<CommandEvent>;
    type RunStream = Events<RunOutput>;
    type DownloadStream = Events<DownloadPart>;
    type UploadStream = Events<UploadEvent>;
    type BackupStream = Events<DownloadPart>;
    type ConnectStream = Events<PortOutput>;

    async fn hello(&self, _: Request<HelloRequest>) -> Result<Response<HelloReply>, Status> {
        Ok(Response::new(HelloReply {
            protocol: PROTOCOL,
            init_version: env!("CARGO_PKG_VERSION").into(),
            spec: self.spec.clone(),
            features: self.features.clone(),
            boot_id: self.boot_id.clone(),
            separate: self.separate,
            shielded: self.shielded.clone(),
            denied: self.denied.clone(),
            confinement: Some(self.confinement.clone()),
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
        let link = link(&request);
        let command = self.commands.start(request.into_inner());
        let command = command.map_err(Failure::into_status)?;
        let accepted = event(command_event::Event::Accepted(Accepted {}));
        let events = tokio_stream::once(Ok(accepted)).chain(follow(command, 0, &link));
        Ok(Response::new(Box::pin(events)))
    }

    async fn watch(
        &self,
        request: Request<WatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let link = link(&request);
        let request = request.into_inner();
        let command = self.commands.find(&request.id);
        let command = command.map_err(Failure::into_status)?;
        let events = follow(command, request.offset, &link);
        Ok(Response::new(Box::pin(events)))
    }

    async fn depart(
        &self,
        request: Request<DepartRequest>,
    ) -> Result<Response<DepartReply>, Status> {
        link(&request).depart();
        Ok(Response::new(DepartReply {}))
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
        let KillRequest { id, by_operator } = request.into_inner();
        let killed = match by_operator {
            true => self.commands.stop(&id),
            false => self.commands.find(&id).map(|command| command.kill()),
        };
        answer(killed.map(|()| KillReply { by_operator }))
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

    async fn stats(&self, request: Request<StatsRequest>) -> Result<Response<StatsReply>, Status> {
        let commands = self.commands.listed(request.into_inner().with_scripts);
        let processes = commands.iter().map(|command| command.processes);
        Ok(Response::new(StatsReply {
            idle_ms: milliseconds(self.lifecycle.idle_for()),
            uptime_ms: milliseconds(self.started.elapsed()),
            memory_bytes: self.cgroup.memory(),
            processes: processes.fold(0, u32::saturating_add),
            commands,
            cpu_ms: self.cgroup.cpu_ms(),
            last_used_ms: self.last_use.at(),
            egress: self.egress.stats(),
        }))
    }

    async fn read_lines(
        &self,
        request: Request<ReadLinesRequest>,
    ) -> Result<Response<ReadLinesReply>, Status> {
        self.files
            .read_anywhere(request, Workspace::read_lines)
            .await
    }

    async fn read_bytes(
        &self,
        request: Request<ReadBytesRequest>,
    ) -> Result<Response<ReadBytesReply>, Status> {
        self.files
            .read_anywhere(request, Workspace::read_bytes)
            .await
    }

    async fn write_file(
        &self,
        request: Request<WriteFileRequest>,
    ) -> Result<Response<WriteFileReply>, Status> {
        let request = request.into_inner();
        let id = request.id.clone();
        self.files
            .write(&self.written, &id, request, Workspace::write_file)
            .await
    }

    async fn edit_file(
        &self,
        request: Request<EditFileRequest>,
    ) -> Result<Response<EditFileReply>, Status> {
        let request = request.into_inner();
        let id = request.id.clone();
        self.files
            .write(&self.edited, &id, request, Workspace::edit_file)
            .await
    }

    async fn list_files(
        &self,
        request: Request<ListFilesRequest>,
    ) -> Result<Response<ListFilesReply>, Status> {
        self.files
            .read_anywhere(request, Workspace::list_files)
            .await
    }

    async fn stat(&self, request: Request<StatRequest>) -> Result<Response<StatReply>, Status> {
        self.files.read(request, Workspace::stat).await
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
            &self.files.pool
        };
        let job = move |files: &Workspace, cancel: &Cancel| files.delete(&request, cancel);
        answer(self.files.once(pool, &self.deleted, &id, job).await)
    }

    async fn r#move(&self, request: Request<MoveRequest>) -> Result<Response<MoveReply>, Status> {
        let request = request.into_inner();
        let id = request.id.clone();
        // Also below the minimum of free space: a move needs none, except for new directories.
        let job = move |files: &Workspace, cancel: &Cancel| files.move_entry(&request, cancel);
        answer(
            self.files
                .once(&self.files.pool, &self.moved, &id, job)
                .await,
        )
    }

    async fn make_directory(
        &self,
        request: Request<MakeDirectoryRequest>,
    ) -> Result<Response<MakeDirectoryReply>, Status> {
        let request = request.into_inner();
        let id = request.id.clone();
        let call = Workspace::make_directory;
        self.files
            .write(&self.directories, &id, request, call)
            .await
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

    async fn connect(
        &self,
        request: Request<Streaming<PortInput>>,
    ) -> Result<Response<Self::ConnectStream>, Status> {
        let mut inputs = request.into_inner();
        let busy = self.lifecycle.enter().map_err(Failure::into_status)?;
        let first = inputs.message().await?.and_then(|first| first.input);
        let Some(port_input::Input::Port(port)) = first else {
            let detail = "a connection that does not begin with its port";
            return Err(Failure::new(Code::Invalid, detail).into_status());
        };
        let outputs = self.ports.connect(port, inputs, busy).await;
        Ok(Response::new(Box::pin(
            outputs.map_err(Failure::into_status)?,
        )))
    }
}
