//! One connection to a program: what passes over it, and how it is recorded at its end.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::headers::Addresses;
use super::loads::PreviewPermit;
use crate::audit::{AuditSubject, PreviewRecord};
use crate::channel::PortStream;
use crate::identity::WorkspaceId;
use crate::meter::OpenConnection;
use crate::sandbox::{ContainerPorts, Manager};
use crate::shares::LinkClaims;

/// What opens a port.
#[derive(Debug, Clone)]
pub struct ProxiedPort {
    pub workspace: WorkspaceId,
    pub share: LinkClaims,
    /// The id of the container.
    pub container: String,
    pub addresses: Addresses,
    /// The share itself must say that everyone with the link may open it.
    pub must_be_open: bool,
}

/// A connection of a preview. The last one who drops it ends and records it.
#[derive(Debug)]
pub struct PreviewConnection {
    manager: Manager,
    of: ProxiedPort,
    since: Instant,
    sent: AtomicU64,
    received: AtomicU64,
    outcome: Mutex<String>,
    _open: OpenConnection,
    _permit: PreviewPermit,
}

impl PreviewConnection {
    pub fn new(manager: &Manager, of: &ProxiedPort, permit: PreviewPermit) -> Arc<Self> {
        Arc::new(Self {
            manager: manager.clone(),
            of: of.clone(),
            since: Instant::now(),
            sent: AtomicU64::new(0),
            received: AtomicU64::new(0),
            outcome: Mutex::new("broken_off".to_owned()),
            _open: manager.meter().preview_opened(),
            _permit: permit,
        })
    }

    /// Bytes that the program was sent.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// What became of it, for its record.
    pub fn ends_as(&self, outcome: String) {
        *self.outcome.lock() = outcome;
    }

    fn record(&self) -> PreviewRecord {
        let took = self.since.elapsed().as_millis();
        PreviewRecord {
            user: AuditSubject::from(&self.of.workspace),
            container: self.of.container.clone(),
            share: self.of.share.share.to_string(),
            port: self.of.addresses.port,
            sent_bytes: self.sent.load(Ordering::Relaxed),
            received_bytes: self.received.load(Ordering::Relaxed),
            duration_ms: took.try_into().unwrap_or(u64::MAX),
            outcome: self.outcome.lock().clone(),
        }
    }
}

impl Drop for PreviewConnection {
    fn drop(&mut self) {
        let record = self.record();
        let manager = self.manager.clone();
        manager
            .meter()
            .previewed(record.sent_bytes, record.received_bytes);
        if manager.audit().is_on() && tokio::runtime::Handle::try_current().is_ok() {
            // The server waits for the line when it ends. The audit itself counts and logs one that
            // could not be written.
            let audit = manager.audit().clone();
            let written = async move { audit.preview(record).await.unwrap_or_default() };
            manager.calls().spawn(written);
        }
    }
}

/// The stream of a connection, which counts its bytes.
#[derive(Debug)]
pub struct CountedStream {
    stream: PortStream,
    connection: Arc<PreviewConnection>,
    ports: ContainerPorts,
    /// The program has not ended it.
    is_open: bool,
}

impl CountedStream {
    pub fn new(
        stream: PortStream,
        connection: Arc<PreviewConnection>,
        ports: ContainerPorts,
    ) -> Self {
        Self {
            stream,
            connection,
            ports,
            is_open: true,
        }
    }

    /// Until now the program was there.
    fn ends(&mut self) {
        if std::mem::take(&mut self.is_open) {
            self.ports.was_open(self.connection.of.addresses.port);
        }
    }
}

impl Drop for CountedStream {
    fn drop(&mut self) {
        self.ends();
    }
}

impl AsyncRead for CountedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let (before, has_room) = (buffer.filled().len(), buffer.remaining() > 0);
        let read = ready!(Pin::new(&mut self.stream).poll_read(context, buffer));
        let length = buffer.filled().len() - before;
        if read.is_err() || (length == 0 && has_room) {
            self.ends();
        }
        read?;
        add(&self.connection.received, length);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for CountedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        let length = ready!(Pin::new(&mut self.stream).poll_write(context, data))?;
        add(&self.connection.sent, length);
        Poll::Ready(Ok(length))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

fn add(count: &AtomicU64, length: usize) {
    let length = u64::try_from(length).unwrap_or(u64::MAX);
    count.fetch_add(length, Ordering::Relaxed);
}
