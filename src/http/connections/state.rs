//! The state of each connection, and the one that has waited longest.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

/// Connections that wait for a request, in the order in which they began to.
#[derive(Debug, Clone, Default)]
pub struct IdleConnections(Arc<Mutex<Queue>>);

#[derive(Debug, Default)]
struct Queue {
    next: u64,
    by_age: BTreeMap<u64, CancellationToken>,
}

impl IdleConnections {
    /// Closes the one that waits longest.
    pub fn close_oldest(&self) {
        if let Some((_, closed)) = self.0.lock().by_age.pop_first() {
            closed.cancel();
        }
    }

    /// No connection waits any more.
    pub fn close_all(&self) {
        for closed in std::mem::take(&mut self.0.lock().by_age).into_values() {
            closed.cancel();
        }
    }
}

/// One connection: it waits, or serves a request. HTTP/1 serves one at a time.
#[derive(Debug, Clone)]
pub struct ConnectionState(Arc<ConnectionInner>);

#[derive(Debug)]
struct ConnectionInner {
    waiting: IdleConnections,
    closed: CancellationToken,
    ticket: Mutex<Option<u64>>,
}

impl ConnectionState {
    /// A newly accepted connection, which waits. It closes when `closed` is cancelled.
    pub fn new(waiting: IdleConnections, closed: CancellationToken) -> Self {
        let state = Self(Arc::new(ConnectionInner {
            waiting,
            closed,
            ticket: Mutex::default(),
        }));
        state.wait();
        state
    }

    fn wait(&self) {
        let mut queue = self.0.waiting.0.lock();
        let ticket = queue.next;
        queue.next += 1;
        queue.by_age.insert(ticket, self.0.closed.clone());
        *self.0.ticket.lock() = Some(ticket);
    }

    /// A request has come.
    pub fn begin(&self) -> ActiveRequest {
        self.0.leave();
        ActiveRequest(self.clone())
    }
}

impl ConnectionInner {
    fn leave(&self) {
        let ticket = self.ticket.lock().take();
        if let Some(ticket) = ticket {
            self.waiting.0.lock().by_age.remove(&ticket);
        }
    }
}

impl Drop for ConnectionInner {
    fn drop(&mut self) {
        self.leave();
    }
}

/// A request is being served, until this is dropped.
#[derive(Debug)]
pub struct ActiveRequest(ConnectionState);

impl ActiveRequest {
    /// Busy as long as the answer is being sent.
    pub fn until_sent(self, body: Body) -> ActiveBody {
        ActiveBody { body, _busy: self }
    }
}

impl Drop for ActiveRequest {
    fn drop(&mut self) {
        self.0.wait();
    }
}

/// The body of an answer; its connection is busy until it is dropped.
#[derive(Debug)]
pub struct ActiveBody {
    body: Body,
    _busy: ActiveRequest,
}

impl HttpBody for ActiveBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
