//! The audit: one line per call, each chained to the line before by its hash.
//!
//! ```text
//! tools, http, gc ─ write, wait ─► queue ─► Writer (one thread) ─► audit-<start>-<server>-<part>.jsonl
//!                                            verify ─► reads them again and finds changes
//! ```
//!
//! Invariants:
//! - Each server writes separate files, which it has locked.
//! - A command also has a line before it runs, because it keeps running if its server is killed.
//! - A call is answered only when its line is written. After a line that could not be written,
//!   calls are refused until a line can be written again.
//! - A line is in its file whole or not at all. If a kill or a full disk left a part of one, the
//!   next server that starts seals it; it is never removed.
//! - Lines are given to the kernel, not to the disk: a killed server loses none, a machine that
//!   loses power loses those of the last seconds.

mod call;
mod digest;
mod error;
mod file;
mod line;
mod refusals;
mod removal;
mod seal;
mod verify;
mod writer;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tracing::{error, info};

pub use call::CallStart;
pub use digest::{CONTENT_BYTES, Digest};
pub use error::{AuditError, AuditWriteError};
pub use line::{AuditSubject, Call, CommandStart, EgressRecord, PreviewRecord, RemovalRecord};
pub use refusals::{Refusals, RefusedHost, refusals};
pub use removal::{AuditedRemoval, chain};
pub use verify::{Finding, Report, verify};

use crate::meter::Meter;
use line::{Event, Server};
use writer::Writer;

/// Lines that wait for the writer; further calls wait to send theirs. A longer queue is not needed:
/// each line takes 20 µs.
const QUEUE_LIMIT: usize = 256;

/// How long a call waits for its line. A disk that takes longer is as good as full.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// Size at which the next file is begun: some 100,000 calls, small enough for an editor.
const PART_BYTES: u64 = 64 << 20;

/// The place and content of the lines.
#[derive(Debug, Clone)]
pub struct Options {
    /// The directory. It is created so that only its owner can read it.
    pub directory: PathBuf,
    /// Whether a line also has the content of commands and files: see [`CONTENT_BYTES`].
    pub content: bool,
    /// The machine.
    pub node: String,
    /// The instance.
    pub instance: String,
    /// Size of one file, in bytes.
    pub part_bytes: u64,
}

impl Options {
    /// With the default size of files.
    pub fn new(directory: PathBuf, content: bool, node: String, instance: String) -> Self {
        Self {
            directory,
            content,
            node,
            instance,
            part_bytes: PART_BYTES,
        }
    }
}

/// The audit of a server, which may be off. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Audit(Option<Arc<Shared>>);

struct Shared {
    queue: mpsc::Sender<Message>,
    content: bool,
    /// The last line could not be written.
    broken: AtomicBool,
    /// Calls that were refused since.
    refused: AtomicU64,
    meter: Meter,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let broken = self.broken.load(Ordering::Relaxed);
        f.debug_struct("Audit").field("broken", &broken).finish()
    }
}

struct Message {
    /// `None` asks whether a line can be written.
    event: Option<Event>,
    /// Calls that were refused so far, for the `resumed` line.
    refused: u64,
    written: oneshot::Sender<Result<(), AuditWriteError>>,
}

impl Audit {
    /// Records nothing.
    pub fn off() -> Self {
        Self::default()
    }

    /// Seals the files of killed servers and begins a file. Blocks on the disk.
    ///
    /// # Errors
    /// [`AuditError`]: the directory or the file cannot be made.
    pub fn open(options: Options, meter: Meter) -> Result<Self, AuditError> {
        let content = options.content;
        let server = Server::new(options.node, options.instance);
        let writer = Writer::open(options.directory, options.part_bytes, server)?;
        let (queue, messages) = mpsc::channel(QUEUE_LIMIT);
        meter.audit_up(true);
        let counted = meter.clone();
        std::thread::Builder::new()
            .name("audit".to_owned())
            .spawn(move || run(writer, messages, &counted))
            .map_err(AuditError::Thread)?;
        Ok(Self(Some(Arc::new(Shared {
            queue,
            content,
            broken: AtomicBool::new(false),
            refused: AtomicU64::new(0),
            meter,
        }))))
    }

    /// Whether anything is recorded.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Whether a line also has the content of commands and files.
    pub fn has_content(&self) -> bool {
        self.0.as_ref().is_some_and(|shared| shared.content)
    }

    /// Fails fast if the last write failed and a retry fails too.
    ///
    /// # Errors
    /// [`AuditWriteError`]: no line can be written, and the call must not be made.
    pub async fn admit(&self) -> Result<(), AuditWriteError> {
        let Some(shared) = &self.0 else {
            return Ok(());
        };
        if !shared.broken.load(Ordering::Relaxed) {
            return Ok(());
        }
        let admitted = shared.send(None).await;
        if admitted.is_err() {
            shared.refused.fetch_add(1, Ordering::Relaxed);
        }
        admitted
    }

    /// Records a call, and waits until its line is written.
    ///
    /// # Errors
    /// [`AuditWriteError`]: the call was made, but it is not recorded, or may not be.
    pub async fn call(&self, call: Call) -> Result<(), AuditWriteError> {
        self.write(Event::Call(call)).await
    }

    /// Records that something was removed, or is about to be.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn removal(&self, removal: RemovalRecord) -> Result<(), AuditWriteError> {
        self.write(Event::Removal(removal)).await
    }

    /// Records a connection of a sandbox.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn egress(&self, connection: EgressRecord) -> Result<(), AuditWriteError> {
        self.write(Event::Egress(connection)).await
    }

    /// Records a request to a program in a sandbox.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn preview(&self, request: PreviewRecord) -> Result<(), AuditWriteError> {
        self.write(Event::Preview(request)).await
    }

    /// Writes the closing line, so that later truncation shows.
    pub async fn close(&self) {
        if let Err(error) = self.write(Event::Stopped {}).await {
            error!(
                error = &error as &dyn std::error::Error,
                "the audit has no last line"
            );
        }
    }

    async fn write(&self, event: Event) -> Result<(), AuditWriteError> {
        match &self.0 {
            Some(shared) => shared.send(Some(event)).await,
            None => Ok(()),
        }
    }
}

impl Shared {
    async fn send(&self, event: Option<Event>) -> Result<(), AuditWriteError> {
        let is_line = event.is_some();
        let (written, answer) = oneshot::channel();
        let refused = self.refused.load(Ordering::Relaxed);
        let message = Message {
            event,
            refused,
            written,
        };
        let asked = async {
            self.queue
                .send(message)
                .await
                .map_err(|_| AuditWriteError::Gone)?;
            answer.await.map_err(|_| AuditWriteError::Gone)?
        };
        let result = timeout(WRITE_TIMEOUT, asked).await;
        let result = result.unwrap_or(Err(AuditWriteError::Late(WRITE_TIMEOUT)));
        self.note(&result, refused, is_line);
        result
    }

    /// Logs the failure once when it begins and once when it is over.
    fn note(&self, result: &Result<(), AuditWriteError>, refused: u64, is_line: bool) {
        let was_broken = self.broken.swap(result.is_err(), Ordering::Relaxed);
        self.meter.audit_up(result.is_ok());
        match result {
            Err(error) => {
                if is_line {
                    self.meter.audit_failed();
                }
                if !was_broken {
                    let error = error as &dyn std::error::Error;
                    error!(
                        error,
                        "no line of the audit can be written: calls are refused"
                    );
                }
            }
            Ok(()) if was_broken => {
                let left = |all: u64| Some(all.saturating_sub(refused));
                // Two calls that notice the end may both have seen the same refusals.
                let _ = self
                    .refused
                    .fetch_update(Ordering::Relaxed, Ordering::Relaxed, left);
                info!(refused, "lines of the audit can be written again");
            }
            Ok(()) => {}
        }
    }
}

/// The writer's thread: writes all waiting lines at once.
fn run(mut writer: Writer, mut messages: mpsc::Receiver<Message>, meter: &Meter) {
    let mut batch = Vec::with_capacity(QUEUE_LIMIT);
    loop {
        // This thread has no runtime, so it may block.
        if let Some(first) = messages.blocking_recv() {
            batch.push(first);
        } else {
            return;
        }
        while batch.len() < QUEUE_LIMIT && !is_last(&batch) {
            let Ok(more) = messages.try_recv() else { break };
            batch.push(more);
        }
        let ends = is_last(&batch);
        let refused = batch.iter().map(|message| message.refused).max();
        let events: Vec<&Event> = batch.iter().filter_map(|m| m.event.as_ref()).collect();
        let result = writer.append(&events, refused.unwrap_or_default());
        if let Ok(lines) = result {
            meter.audited(lines);
        }
        for Message { written, .. } in batch.drain(..) {
            let result = result
                .as_ref()
                .map(|_| ())
                .map_err(AuditWriteError::from_io);
            // A call that gave up has counted its line as not written.
            let _ = written.send(result);
        }
        if ends && result.is_ok() {
            // Later calls find the queue closed.
            return;
        }
        writer.settle();
    }
}

/// Nothing may be written after the last line.
fn is_last(batch: &[Message]) -> bool {
    let last = batch.last().and_then(|message| message.event.as_ref());
    matches!(last, Some(Event::Stopped {}))
}

#[cfg(test)]
mod tests;
