//! The caller of a command that has its streams itself: what it sends is the command's standard
//! input, and the output is sent to it as it was read.
//!
//! ```text
//!  caller ─► stream ─► feed ─► pipe ─► command ─► pipe ─► give ─► output (2) ─► caller
//! ```
//!
//! Nothing here holds more than one message in each direction: where one side does not read, the
//! other waits, back to the command's own `write` or to what the caller reads from.

use std::convert::Infallible;
use std::future::pending;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use casemate_protocol::run_input::Input;
use casemate_protocol::run_output::Output;
use casemate_protocol::{MAX_CHUNK, RunInput, RunOutput};
use tokio::io::AsyncWriteExt as _;
use tokio::net::unix::pipe;
use tokio::sync::mpsc;
use tonic::{Status, Streaming};

use super::command::Stream;

/// What is on its way to a caller.
pub type Outputs = mpsc::Sender<Result<RunOutput, Status>>;

/// A message of the command's output.
pub fn message(output: Output) -> RunOutput {
    RunOutput {
        output: Some(output),
    }
}

/// The other end of a command's streams.
#[derive(Debug)]
pub struct Caller {
    input: tokio::sync::Mutex<Streaming<RunInput>>,
    /// `None`: the outcome is next, and what is written now goes nowhere.
    output: Mutex<Option<Outputs>>,
}

impl Caller {
    /// `input` is what follows the command's start.
    pub fn new(input: Streaming<RunInput>, output: Outputs) -> Self {
        Self {
            input: tokio::sync::Mutex::new(input),
            output: Mutex::new(Some(output)),
        }
    }

    fn output(&self) -> MutexGuard<'_, Option<Outputs>> {
        self.output.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it is still told of output.
    pub fn listens(&self) -> bool {
        self.output().is_some()
    }

    /// Sends output, and waits until there is room for more.
    pub async fn give(&self, stream: Stream, bytes: Bytes) {
        let output = self.output().clone();
        if let Some(output) = output {
            let part = match stream {
                Stream::Stdout => Output::Stdout(bytes),
                Stream::Stderr => Output::Stderr(bytes),
            };
            // An error: the caller is gone, and the command ends for that.
            let _ = output.send(Ok(message(part))).await;
        }
    }

    /// Sends no more output: the command's outcome is known.
    pub fn leave(&self) {
        self.output().take();
    }

    /// Writes what comes into the command's standard input, and closes that at its end alone:
    /// a command whose caller broke off must not take what it has for all of it.
    pub async fn feed(&self, stdin: &mut Option<pipe::Sender>) -> Infallible {
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
                _ => break,
            }
        }
        pending().await
    }
}
