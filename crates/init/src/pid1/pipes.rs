//! A command's output on its way from the pipes to what is kept of it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::net::unix::pipe;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};

use super::command::{Command, Stream};
use super::process::Process;
use crate::files::Pool;

/// After a command has ended, what was written before is read within this time,
/// also when a child holds the pipe open.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(100);

/// How long output is drained that is known to end.
const FULL_DRAIN_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a command's own supervisor takes to say that nothing is left.
const SUPERVISOR_REPORT_TIMEOUT: Duration = Duration::from_millis(20);

/// Bytes a pipe holds, unless user code enlarges it; read at a time.
const PIPE_BUFFER: usize = 64 * 1024;

/// Reads all pipes.
#[derive(Debug)]
pub struct Pipes {
    pool: Arc<Pool>,
    /// What is read passes through here: one thread, one buffer.
    scratch: Mutex<Box<[u8]>>,
}

/// One stream of a command while it is read.
pub struct Reader {
    stream: Stream,
    pipe: Arc<pipe::Receiver>,
    /// Held from reading until what was read is handed on.
    turn: Turn,
    task: JoinHandle<()>,
}

type Turn = Arc<tokio::sync::Mutex<()>>;

/// What was read and is to be handed on.
enum Piece {
    /// To the file of raw output.
    Spill(Bytes),
    /// To who has the command's streams.
    Caller(Stream, Bytes),
}

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
        let (pipe, turn) = (Arc::new(pipe), Turn::default());
        let (this, command) = (self.clone(), command.clone());
        let (source, turns) = (pipe.clone(), turn.clone());
        let task =
            tokio::spawn(async move { this.follow(&command, stream, &source, &turns).await });
        Reader {
            stream,
            pipe,
            turn,
            task,
        }
    }

    /// Reads until the end, also after the outcome is known: who still writes
    /// then must not die of a closed pipe.
    async fn follow(&self, command: &Command, stream: Stream, pipe: &pipe::Receiver, turn: &Turn) {
        while pipe.readable().await.is_ok() {
            let _turn = turn.lock().await;
            let piece = {
                let mut scratch = self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
                match pipe.try_read(&mut scratch) {
                    Ok(0) => return,
                    Ok(count) => take_in(command, stream, &scratch[..count]),
                    Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => continue,
                    Err(_) => return,
                }
            };
            match piece {
                Some(piece) => self.hand_on(command, piece).await,
                // A flood must not keep the others from their turn.
                None => tokio::task::yield_now().await,
            }
        }
    }

    /// Waits for the output to be complete: to its end where nothing is left
    /// that could write, else for a short while. What was written before the
    /// command ended is in the pipes then, and is read in any case.
    ///
    /// With nothing of the command left, whoever still holds its pipes was handed
    /// them by another: they are closed, or one process could make PID 1 keep the
    /// pipes of any number of commands.
    ///
    /// A caller that has the streams is waited for as long as it takes to read them, and
    /// has had all of the output then.
    pub async fn drain(&self, process: &mut Process, command: &Command, readers: [Reader; 2]) {
        let patience = match timeout(SUPERVISOR_REPORT_TIMEOUT, process.emptied()).await {
            Ok(()) => FULL_DRAIN_TIMEOUT,
            Err(_) => DRAIN_TIMEOUT,
        };
        let end = Instant::now() + patience;
        let mut turns = Vec::new();
        for Reader {
            stream,
            pipe,
            turn,
            mut task,
        } in readers
        {
            if timeout_at(end, &mut task).await.is_err() {
                // The task has nothing in its hands now.
                turns.push(turn.lock_owned().await);
                if process.is_empty() {
                    task.abort();
                }
                self.read_what_is_there(command, stream, &pipe).await;
            }
        }
        if let Some(caller) = command.caller() {
            caller.leave();
        }
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
                take_in(command, stream, &scratch[..count])
            };
            if let Some(piece) = piece {
                self.hand_on(command, piece).await;
            }
        }
    }

    async fn hand_on(&self, command: &Command, piece: Piece) {
        match (piece, command.caller()) {
            (Piece::Spill(chunk), _) => command.spill.write(&self.pool, chunk).await,
            (Piece::Caller(stream, bytes), Some(caller)) => caller.give(stream, bytes).await,
            (Piece::Caller(..), None) => {}
        }
    }
}

fn take_in(command: &Command, stream: Stream, bytes: &[u8]) -> Option<Piece> {
    command.push(stream, bytes);
    let Some(caller) = command.caller() else {
        return command.spill.push(bytes).map(Piece::Spill);
    };
    let bytes = || Bytes::copy_from_slice(bytes);
    caller.listens().then(|| Piece::Caller(stream, bytes()))
}
