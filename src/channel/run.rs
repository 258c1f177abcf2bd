//! A command whose standard streams are passed through.

use std::time::Duration;

use bytes::Bytes;
use casemate_protocol::{
    MAX_CHUNK, RunInput, RunOutput, SignalRequest, StartRequest, StdinEnd, run_input, run_output,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::call::within;
use super::{CallError, Channel, REPLY_TIMEOUT};

/// Pieces of standard input that wait for the connection: 512 KiB at most.
const INPUT_BUFFER: usize = 2;

/// How long a signal may take: PID 1 waits 5 s for a command that is just starting.
const SIGNAL_TIMEOUT: Duration = Duration::from_secs(10);

/// The standard input of a command. If it is dropped without an end, the command gets no end of
/// file, so that it does not treat a part as the whole.
#[derive(Debug)]
pub struct CommandInput(mpsc::Sender<RunInput>);

impl CommandInput {
    /// Sends `data`; waits while the command does not read. `false`: the command reads no more.
    pub async fn send(&self, mut data: Bytes) -> bool {
        while !data.is_empty() {
            let piece = data.split_to(data.len().min(MAX_CHUNK));
            if !self.put(run_input::Input::Stdin(piece)).await {
                return false;
            }
        }
        true
    }

    /// Sends the end of file.
    pub async fn end(self) {
        self.put(run_input::Input::StdinEnd(StdinEnd {})).await;
    }

    async fn put(&self, input: run_input::Input) -> bool {
        let message = RunInput { input: Some(input) };
        self.0.send(message).await.is_ok()
    }
}

/// The output of a command, and then its outcome. When it is dropped, the command ends.
#[derive(Debug)]
pub struct CommandOutput(Streaming<RunOutput>);

impl CommandOutput {
    /// The next event. Can be dropped and called again.
    ///
    /// # Errors
    /// [`CallError::Lost`] also when the stream ends without an outcome.
    pub async fn next(&mut self) -> Result<run_output::Output, CallError> {
        let part = self.0.message().await?.and_then(|part| part.output);
        part.ok_or_else(|| Status::unavailable("the output ended without an outcome").into())
    }
}

impl Channel {
    /// Runs a command; returns when it was accepted. It ends when its output is dropped, and with
    /// the channel.
    ///
    /// # Errors
    /// `ENDING` and `TOO_MANY_COMMANDS`: it was not accepted.
    pub async fn run(
        &self,
        request: StartRequest,
    ) -> Result<(CommandInput, CommandOutput), CallError> {
        let (sender, input) = mpsc::channel(INPUT_BUFFER);
        let start = RunInput {
            input: Some(run_input::Input::Start(request)),
        };
        // It has room: this is the first.
        let _ = sender.try_send(start);
        let mut client = self.client.clone();
        let outputs = within(REPLY_TIMEOUT, client.run(ReceiverStream::new(input))).await?;
        Ok((CommandInput(sender), CommandOutput(outputs)))
    }

    /// Sends a signal to a command's own process and its process group.
    ///
    /// # Errors
    /// `UNKNOWN_COMMAND`; `INVALID` for a signal that is not passed on.
    pub async fn signal(&self, id: &str, signal: i32) -> Result<(), CallError> {
        let request = SignalRequest {
            id: id.to_owned(),
            signal,
        };
        self.call(request, SIGNAL_TIMEOUT).await.map(drop)
    }
}
