//! Reads a command's output from its pipes, and keeps or forwards it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::net::unix::pipe;
use tokio::sync::OwnedMutexGuard;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};

use super::command::Command;
use super::process::Process;
use crate::capture::Stream;
use crate::files::Pool;

/// After a command has ended, the output from before is read within this time, even if a child
/// holds the pipe open.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(100);

/// As [`DRAIN_TIMEOUT`], if the output is known to end.
const FULL_DRAIN_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a command's own supervisor takes to say that nothing is left.
const SUPERVISOR_REPORT_TIMEOUT: Duration = Duration::from_millis(20);

/// Bytes a pipe holds, unless user code enlarges it; read at a time.
const PIPE_BUFFER: usize = 64 * 1024;

/// Reads all pipes.
#[derive(Debug)]
pub struct Pipes {
    pool: Arc<Pool>,
    /// All reads use this buffer: there is one thread.
    scratch: Mutex<Box<[u8]>>,
}

/// One stream of a command while it is read.
pub struct Reader {
    stream: Stream,
    pipe: Arc<pipe::Receiver>,
    /// Held from a read until its bytes are forwarded.
    lock: ReadLock,
    task: JoinHandle<()>,
}

type ReadLock = Arc<tokio::sync::Mutex<()>>;

impl Pipes {
    /// Raw output goes to its files by `pool`.
    pub fn new(pool: Arc<Pool>) -> Self {
        Self {
            pool,
            scratch: Mutex::new(vec![0; PIPE_BUFFER].into_boxed_slice()),
        }
    }

    /// Starts to read one stream of a command's output.
    pub fn read(
        self: &Arc<Self>,
        command: &Arc<Command>,
        stream: Stream,
        pipe: pipe::Receiver,
    ) -> Reader {
        let (pipe, lock) = (Arc::new(pipe), ReadLock::default());
        let (this, command) = (self.clone(), command.clone());
        let (source, guard) = (pipe.clone(), lock.clone());
        let task =
            tokio::spawn(async move { this.follow(&command, stream, &source, &guard).await });
        Reader {
            stream,
            pipe,
            lock,
            task,
        }
    }

    /// Reads until the end, also after the outcome is known: a process that still writes
    /// then must not die of a closed pipe.
    async fn follow(
        &self,
        command: &Command,
        stream: Stream,
        pipe: &pipe::Receiver,
        lock: &ReadLock,
    ) {
        while pipe.readable().await.is_ok() {
            let _reading = lock.lock().await;
            let piece = {
                let mut scratch = self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
                match pipe.try_read(&mut scratch) {
                    Ok(0) => return,
                    Ok(count) => keep(command, stream, &scratch[..count]),
                    Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => continue,
                    Err(_) => return,
                }
            };
            match piece {
                Some(piece) => self.forward(command, stream, piece).await,
                // Output without end must not keep the other commands from their turn.
                None => tokio::task::yield_now().await,
            }
        }
    }

    /// Waits until the output is complete: until the streams end where no process is left
    /// that could write, else for a short time. Output from before the command's end is in the
    /// pipes by then, and is read in any case.
    ///
    /// If no process of the command is left, the processes that still hold its pipes got them
    /// from elsewhere. The pipes are then closed: otherwise one process could make PID 1 keep
    /// the pipes of any number of commands.
    ///
    /// An attached caller has been sent all of the output by then, however long it takes to
    /// read it. While the returned guards are held, it is sent no more.
    pub async fn drain(
        &self,
        process: &mut Process,
        command: &Command,
        readers: [Reader; 2],
    ) -> Vec<OwnedMutexGuard<()>> {
        let patience = match timeout(SUPERVISOR_REPORT_TIMEOUT, process.emptied()).await {
            Ok(()) => FULL_DRAIN_TIMEOUT,
            Err(_) => DRAIN_TIMEOUT,
        };
        let end = Instant::now() + patience;
        let mut guards = Vec::new();
        for Reader {
            stream,
            pipe,
            lock,
            mut task,
        } in readers
        {
            if timeout_at(end, &mut task).await.is_err() {
                // The task has forwarded all that it read.
                guards.push(lock.lock_owned().await);
                if process.is_empty() {
                    task.abort();
                }
                self.read_what_is_there(command, stream, &pipe).await;
            }
        }
        guards
    }

    async fn read_what_is_there(&self, command: &Command, stream: Stream, pipe: &pipe::Receiver) {
        let mut left = rustix::pipe::fcntl_getpipe_size(pipe).unwrap_or(PIPE_BUFFER);
        while left > 0 {
            let piece = {
                let mut scratch = self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
                let Ok(count @ 1..) = rustix::io::read(pipe, &mut **scratch) else {
                    return;
                };
                left = left.saturating_sub(count);
                keep(command, stream, &scratch[..count])
            };
            if let Some(piece) = piece {
                self.forward(command, stream, piece).await;
            }
        }
    }

    /// Sends output to the attached caller, or to the file of raw output.
    async fn forward(&self, command: &Command, stream: Stream, bytes: Bytes) {
        match command.caller() {
            Some(caller) => caller.give(stream, bytes).await,
            None => command.spill.write(&self.pool, bytes).await,
        }
    }
}

/// Adds output to what the result shows. Returns what is to be forwarded now.
fn keep(command: &Command, stream: Stream, bytes: &[u8]) -> Option<Bytes> {
    command.push(stream, bytes);
    match command.caller() {
        Some(caller) => caller.listens().then(|| Bytes::copy_from_slice(bytes)),
        None => command.spill.push(bytes),
    }
}
