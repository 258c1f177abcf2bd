//! The caller of an attached command: its messages are the command's standard input, and the
//! output is sent to it as it is read.
//!
//! ```text
//!  caller ─► stream ─► feed ─► pipe ─► command ─► pipe ─► give ─► output (2) ─► caller
//! ```
//!
//! Four messages of output (256 KiB) and one of input are held at most. If one side does not
//! read, the other waits: the command in its `write`, or the caller before it reads more input.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use casemate_protocol::run_input::Input;
use casemate_protocol::run_output::Output;
use casemate_protocol::{MAX_CHUNK, RunInput, RunOutput};
use tokio::io::AsyncWriteExt as _;
use tokio::net::unix::pipe;
use tokio::sync::mpsc;
use tonic::{Status, Streaming};

use crate::capture::Stream;

/// Sends messages to a caller.
pub type Outputs = mpsc::Sender<Result<RunOutput, Status>>;

/// A message of the command's output.
pub fn message(output: Output) -> RunOutput {
    RunOutput {
        output: Some(output),
    }
}

/// A chunk that is too large, or a second start.
#[derive(Debug, PartialEq, Eq)]
pub struct InvalidInput;

/// The other end of a command's streams.
#[derive(Debug)]
pub struct Caller {
    input: tokio::sync::Mutex<Streaming<RunInput>>,
    /// `None`: the outcome is next, and later output is dropped.
    output: Mutex<Option<Outputs>>,
}

impl Caller {
    /// `input` is the rest of the stream, after the command's start.
    pub fn new(input: Streaming<RunInput>, output: Outputs) -> Self {
        Self {
            input: tokio::sync::Mutex::new(input),
            output: Mutex::new(Some(output)),
        }
    }

    fn output(&self) -> MutexGuard<'_, Option<Outputs>> {
        self.output.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether output is still sent to it.
    pub fn listens(&self) -> bool {
        self.output().is_some()
    }

    /// Sends output, and waits until there is room for it.
    pub async fn give(&self, stream: Stream, bytes: Bytes) {
        let output = self.output().clone();
        if let Some(output) = output {
            let part = match stream {
                Stream::Stdout => Output::Stdout(bytes),
                Stream::Stderr => Output::Stderr(bytes),
            };
            // An error: the caller is gone, and the command is ended for that reason.
            let _ = output.send(Ok(message(part))).await;
        }
    }

    /// Sends no more output: the command's outcome is known.
    pub fn leave(&self) {
        self.output().take();
    }

    /// Writes the caller's input into the command's standard input, and closes that only at the
    /// end of the input: after a caller that broke off, the command must not treat what it has
    /// as all of it.
    ///
    /// # Errors
    /// The caller sent what no caller may send.
    pub async fn feed(&self, stdin: &mut Option<pipe::Sender>) -> Result<(), InvalidInput> {
        let mut input = self.input.lock().await;
        while let Some(pipe) = stdin {
            let part = input.message().await.ok().flatten();
            match part.and_then(|part| part.input) {
                Some(Input::Stdin(data)) if data.len() <= MAX_CHUNK => {
                    if pipe.write_all(&data).await.is_err() {
                        *stdin = None;
                    }
                }
                Some(Input::StdinEnd(_)) => *stdin = None,
                Some(Input::Stdin(_) | Input::Start(_)) => return Err(InvalidInput),
                None => break,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
