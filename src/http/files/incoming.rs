//! The body of an upload on its way into the workspace.
//!
//! ```text
//! socket ─► IncomingBody ─┬──────────────────────────────► content ─► Sandbox::upload
//!                         └─► multer, between its buffers ─┘
//! ```

use std::error::Error;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::http::StatusCode;
use bytes::Bytes;
use futures_util::stream::{BoxStream, Stream, StreamExt as _};
use tokio::time::{Instant, Sleep, sleep_until, timeout};

use super::error::FileRejection;

/// How long a client may send nothing: a phone that changes its network takes some
/// seconds. A longer pause would waste one of the user's few transfers. It is less than the 30 s
/// after which the sandbox gives up, so that the answer names the client as the cause.
const STALL_TIMEOUT: Duration = Duration::from_secs(25);

/// Bytes between two files of a multipart body: the headers of a part, and the data that the
/// network had ready after them. multer itself would collect an endless header.
const BETWEEN_FILES_LIMIT: u64 = 1 << 20;

/// Bytes of a refused body that are still read, and for how long, so that its client gets to read
/// the answer: enough for the network's buffers.
const LINGER_LIMIT: (usize, Duration) = (64 << 20, Duration::from_secs(10));

/// Why a body broke off.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BodyError {
    /// Nothing came for [`STALL_TIMEOUT`].
    #[error("nothing came for {} s", STALL_TIMEOUT.as_secs())]
    Stalled,
    /// The connection, or its framing, broke.
    #[error("it broke off: {0}")]
    Broken(String),
    /// More than [`BETWEEN_FILES_LIMIT`].
    #[error("{BETWEEN_FILES_LIMIT} bytes without the beginning of a file")]
    NoFile,
}

/// A body, chunk by chunk.
#[derive(Debug)]
pub struct IncomingBody {
    /// `None` once it ended.
    body: Option<BodyDataStream>,
    stalled: Pin<Box<Sleep>>,
    allowance: Allowance,
    rests: bool,
}

/// The limit on bytes before the next file.
#[derive(Debug, Clone)]
pub struct Allowance(Arc<AtomicU64>);

impl Allowance {
    /// A file is being read: its own limit holds.
    pub fn of_a_file(&self) {
        self.0.store(u64::MAX, Ordering::Relaxed);
    }

    /// The next file is being looked for.
    pub fn between_files(&self) {
        self.0.store(BETWEEN_FILES_LIMIT, Ordering::Relaxed);
    }

    fn spend(&self, bytes: usize) -> bool {
        let left = self.0.load(Ordering::Relaxed);
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        if left != u64::MAX {
            self.0.store(left.saturating_sub(bytes), Ordering::Relaxed);
        }
        bytes <= left
    }
}

impl IncomingBody {
    /// Reads `body`.
    pub fn new(body: Body) -> Self {
        Self {
            body: Some(body.into_data_stream()),
            stalled: Box::pin(sleep_until(Instant::now() + STALL_TIMEOUT)),
            allowance: Allowance(Arc::new(AtomicU64::new(u64::MAX))),
            rests: false,
        }
    }

    /// Sets the bound on bytes between files.
    pub fn allowance(&self) -> Allowance {
        self.allowance.clone()
    }

    fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        let Some(body) = &mut self.body else {
            return Poll::Ready(None);
        };
        let chunk = match body.poll_next_unpin(context) {
            Poll::Ready(chunk) => chunk,
            Poll::Pending => {
                ready!(self.stalled.as_mut().poll(context));
                return Poll::Ready(Some(Err(BodyError::Stalled)));
            }
        };
        self.stalled.as_mut().reset(Instant::now() + STALL_TIMEOUT);
        Poll::Ready(chunk.map(|chunk| match chunk {
            Ok(bytes) if self.allowance.spend(bytes.len()) => Ok(bytes),
            Ok(_) => Err(BodyError::NoFile),
            Err(error) => Err(BodyError::Broken(innermost(&error))),
        }))
    }
}

impl Stream for IncomingBody {
    type Item = Result<Bytes, BodyError>;

    /// After each chunk it yields once: multer reads while data is ready, and would hold the whole
    /// file of a fast client.
    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if std::mem::take(&mut self.rests) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let chunk = ready!(self.poll_chunk(context));
        match &chunk {
            Some(Ok(_)) => self.rests = true,
            // The body has ended, so nothing is left to drain.
            Some(Err(BodyError::Broken(_))) | None => self.body = None,
            Some(Err(_)) => {}
        }
        Poll::Ready(chunk)
    }
}

impl Drop for IncomingBody {
    /// A client that still sends when its connection is closed gets a reset instead of the answer,
    /// so the rest is read for a while (as nginx does).
    fn drop(&mut self) {
        if let Some(body) = self.body.take()
            && tokio::runtime::Handle::try_current().is_ok()
        {
            tokio::spawn(timeout(LINGER_LIMIT.1, drain(body)));
        }
    }
}

/// Reads and drops a refused body for a while.
pub fn linger(body: Body) {
    drop(IncomingBody::new(body));
}

async fn drain(mut body: BodyDataStream) {
    let mut left = LINGER_LIMIT.0;
    while let Some(Ok(bytes)) = body.next().await
        && left > 0
    {
        left = left.saturating_sub(bytes.len());
    }
}

/// The failure of a body, once it has failed.
#[derive(Debug, Clone, Default)]
pub struct Failure(Arc<OnceLock<FileRejection>>);

impl Failure {
    /// The body's own failure, or else `other`.
    pub fn or(&self, other: FileRejection) -> FileRejection {
        self.0.get().cloned().unwrap_or(other)
    }
}

/// A body, or a part of one, for [`Sandbox::upload`](crate::sandbox::Sandbox::upload),
/// and its failure.
pub fn content<E>(
    stream: impl Stream<Item = Result<Bytes, E>> + Send + 'static,
) -> (BoxStream<'static, std::io::Result<Bytes>>, Failure)
where
    E: Error + Send + Sync + 'static,
{
    let failure = Failure::default();
    let slot = failure.clone();
    let content = stream.map(move |chunk| {
        chunk.map_err(|error| {
            let _ = slot.0.set(refused(&error));
            std::io::Error::other(error)
        })
    });
    (content.boxed(), failure)
}

/// A body that cannot be read: 408 if it did not come, 400 if it is wrong.
pub fn refused(error: &(dyn Error + 'static)) -> FileRejection {
    let mut refused = FileRejection::bad(format!("the body: {}.", innermost(error)));
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(BodyError::Stalled | BodyError::Broken(_)) = error.downcast_ref() {
            refused.status = StatusCode::REQUEST_TIMEOUT;
            refused.code = "incomplete_body";
        }
        cause = error.source();
    }
    refused
}

fn innermost(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = error.to_string();
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests;
