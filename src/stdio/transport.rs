//! Lines of standard input as messages, and messages as lines of standard output.
//!
//! Lines that are not messages are answered here: rmcp drops most of them silently, and the client
//! then waits for ever. Messages that must not come first are also answered here, because rmcp
//! would end the conversation.
//!
//! ```text
//! line ─► message::read ─┬─ a message ──────► rmcp ─► answer ─┬─────────────────► line
//!                        ├─ a batch ─► each ─► rmcp ─► answer ─┴─► all are there ─► one line
//!                        └─ none ─► why ────────────────────────────────────────► line
//! ```

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use rmcp::RoleServer;
use rmcp::model::{
    ClientJsonRpcMessage, ClientRequest, GetMeta as _, JsonRpcMessage, ProtocolVersion,
    ServerJsonRpcMessage, ServerResult,
};
use rmcp::transport::Transport;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tracing::debug;

use super::batch::Batches;
use crate::tools::message::{
    self, INVALID_REQUEST, IdFinder, InvalidMessage, MessageOrBatch, ParsedMessage,
};

/// Longest line, in bytes: more than the largest useful message, 3 MiB for
/// `write_file` with each character escaped.
const LINE_BYTES: usize = 20 << 20;

/// Lines that wait to be written, each a result of 1 MB at most.
const LINE_BUFFER: usize = 16;

/// A line to write, and a way to report that it was written.
type Line = (Vec<u8>, oneshot::Sender<io::Result<()>>);

/// The server's end of the pipes.
pub struct Lines<R> {
    input: BufReader<R>,
    line: Vec<u8>,
    /// Skips the rest of a line that is too long.
    too_long: Option<IdFinder>,
    /// Messages of a batch that are not handed on yet.
    waiting: VecDeque<ClientJsonRpcMessage>,
    /// Answers to send before the next line is read.
    answer: Option<Vec<u8>>,
    output: Option<mpsc::Sender<Line>>,
    batches: Arc<Mutex<Batches>>,
    /// rmcp has begun the conversation, so any message may come.
    begun: bool,
}

impl<R: AsyncRead + Unpin + Send> Lines<R> {
    /// Over these pipes.
    pub fn new(input: R, output: impl AsyncWrite + Unpin + Send + 'static) -> Self {
        let (sender, lines) = mpsc::channel(LINE_BUFFER);
        tokio::spawn(write_all(output, lines));
        Self {
            input: BufReader::new(input),
            line: Vec::new(),
            too_long: None,
            waiting: VecDeque::new(),
            answer: None,
            output: Some(sender),
            batches: Arc::default(),
            begun: false,
        }
    }

    /// Reads until a whole line is in `line`, or a line that was too long has ended. `false`: the
    /// end of input. Safe to cancel: it never awaits between reading and storing.
    async fn read_line(&mut self) -> io::Result<bool> {
        loop {
            let available = self.input.fill_buf().await?;
            if available.is_empty() {
                return Ok(false);
            }
            let end = available.iter().position(|byte| *byte == b'\n');
            let taken = end.map_or(available.len(), |end| end + 1);
            let piece = &available[..taken];
            match &mut self.too_long {
                Some(finder) => finder.push(piece),
                None if self.line.len() + taken > LINE_BYTES => {
                    let mut finder = IdFinder::default();
                    finder.push(&std::mem::take(&mut self.line));
                    finder.push(piece);
                    self.too_long = Some(finder);
                }
                None => self.line.extend_from_slice(piece),
            }
            self.input.consume(taken);
            if end.is_some() {
                return Ok(true);
            }
        }
    }

    /// The message in the line, if it is for rmcp.
    fn take_line(&mut self) -> Option<ClientJsonRpcMessage> {
        let line = std::mem::take(&mut self.line);
        if let Some(finder) = self.too_long.take() {
            let message = format!(
                "the message is larger than {} MiB; write a large file in parts, or upload it",
                LINE_BYTES >> 20
            );
            let (id, code) = (finder.id(), INVALID_REQUEST);
            self.refuse(&InvalidMessage { id, code, message });
            return None;
        }
        // As other servers do, skips a byte order mark and empty lines.
        let text = line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&line);
        if text.trim_ascii().is_empty() {
            return None;
        }
        match message::read(text.trim_ascii()) {
            MessageOrBatch::One(part) => match *part {
                ParsedMessage::Message(message) => self.admit(message),
                ParsedMessage::Refused(refusal) => {
                    self.refuse(&refusal);
                    None
                }
                ParsedMessage::Ignored => None,
            },
            MessageOrBatch::Batch(parts) => {
                self.take_batch(parts);
                self.waiting.pop_front()
            }
        }
    }

    fn refuse(&mut self, refusal: &InvalidMessage) {
        self.answer = Some(line_of(&refusal.to_json()));
    }

    fn take_batch(&mut self, parts: Vec<ParsedMessage>) {
        let begun = self.batches.lock().begin(parts);
        match begun {
            Ok((messages, answered)) => {
                self.waiting = messages.into();
                self.answer = answered.map(|answers| line_of(&answers));
            }
            Err(refusal) => self.refuse(&refusal),
        }
    }

    /// A message that rmcp may see now.
    fn admit(&mut self, message: ClientJsonRpcMessage) -> Option<ClientJsonRpcMessage> {
        if let Some(id) = cancelled(&message) {
            let answers = self.batches.lock().cancelled(&id);
            self.answer = answers.map(|answers| line_of(&answers));
        }
        if self.begun {
            return Some(message);
        }
        let JsonRpcMessage::Request(request) = &message else {
            debug!("a notification or an answer before the first request: left out");
            return None;
        };
        let asked = &request.request;
        match asked {
            ClientRequest::InitializeRequest(_) => self.begun = true,
            ClientRequest::PingRequest(_) => {}
            _ => {
                let version = asked.get_meta().protocol_version();
                let newest = ProtocolVersion::V_2026_07_28;
                if !asked.get_meta().missing_required_keys(&newest).is_empty() {
                    self.refuse(&InvalidMessage {
                        id: request.id.clone().into_json_value(),
                        code: INVALID_REQUEST,
                        message: "send initialize first; from protocol 2026-07-28 on, each request names \
                            its version and its client's capabilities in _meta instead"
                            .to_owned(),
                    });
                    return None;
                }
                let known = version.is_some_and(|it| ProtocolVersion::KNOWN_VERSIONS.contains(&it));
                self.begun = known && !matches!(asked, ClientRequest::DiscoverRequest(_));
            }
        }
        Some(message)
    }
}

fn cancelled(message: &ClientJsonRpcMessage) -> Option<Value> {
    use rmcp::model::ClientNotification::CancelledNotification;
    match message {
        JsonRpcMessage::Notification(it) => match &it.notification {
            CancelledNotification(it) => {
                it.params.request_id.clone().map(|id| id.into_json_value())
            }
            _ => None,
        },
        _ => None,
    }
}

fn line_of(message: &Value) -> Vec<u8> {
    let mut line = message.to_string().into_bytes();
    line.push(b'\n');
    line
}

impl<R: AsyncRead + Unpin + Send> Transport<RoleServer> for Lines<R> {
    type Error = io::Error;

    fn send(
        &mut self,
        message: ServerJsonRpcMessage,
    ) -> impl Future<Output = io::Result<()>> + Send + 'static {
        let (output, batches) = (self.output.clone(), self.batches.clone());
        async move {
            if let JsonRpcMessage::Response(answer) = &message
                && let ServerResult::InitializeResult(result) = &answer.result
            {
                batches.lock().speak(&result.protocol_version);
            }
            let answers_one = matches!(
                message,
                JsonRpcMessage::Response(_) | JsonRpcMessage::Error(_)
            );
            let held = answers_one && !batches.lock().is_empty();
            let line = if held {
                let message = serde_json::to_value(&message)?;
                batches
                    .lock()
                    .answered(message)
                    .map(|answer| line_of(&answer))
            } else {
                let mut line = serde_json::to_vec(&message)?;
                line.push(b'\n');
                Some(line)
            };
            let Some(line) = line else { return Ok(()) };
            let closed = || io::Error::from(io::ErrorKind::NotConnected);
            let (done, written) = oneshot::channel();
            let output = output.ok_or_else(closed)?;
            output.send((line, done)).await.map_err(|_| closed())?;
            written.await.map_err(|_| closed())?
        }
    }

    async fn receive(&mut self) -> Option<ClientJsonRpcMessage> {
        loop {
            if self.answer.is_some() {
                let permit = self.output.as_ref()?.reserve().await.ok()?;
                // No caller waits until it is written.
                permit.send((self.answer.take()?, oneshot::channel().0));
            }
            while let Some(message) = self.waiting.pop_front() {
                if let Some(message) = self.admit(message) {
                    return Some(message);
                }
                if self.answer.is_some() {
                    break;
                }
            }
            if self.answer.is_some() {
                continue;
            }
            match self.read_line().await {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => {
                    debug!(error = &error as &dyn std::error::Error, "no more input");
                    return None;
                }
            }
            if let Some(message) = self.take_line() {
                return Some(message);
            }
        }
    }

    async fn close(&mut self) -> io::Result<()> {
        self.output = None;
        Ok(())
    }
}

/// Writes each line whole: the caller's future may be dropped during a write, but not this task.
async fn write_all(mut output: impl AsyncWrite + Unpin, mut lines: mpsc::Receiver<Line>) {
    while let Some((line, done)) = lines.recv().await {
        let written = async {
            output.write_all(&line).await?;
            output.flush().await
        };
        let written = written.await;
        let failed = written.is_err();
        let _ = done.send(written);
        if failed {
            return;
        }
    }
}
