//! HTTP/2 over the stream, as a service that the generated client can call.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use casemate_protocol::{CONNECTION_WINDOW, PIECE_SIZE, STREAM_WINDOW};
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::codegen::Service;

/// A stream over TCP does not notice a partition by itself (measured: 25 s).
const PING_INTERVAL: Duration = Duration::from_secs(10);

/// How long PID 1 may take to answer a ping: a container at its CPU limit is
/// slow, a stopped Engine is silent.
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// What waits on a connection, in bytes: for this server, and here for PID 1.
#[derive(Debug, Clone, Copy)]
pub struct Windows {
    /// Of one call.
    pub stream: u32,
    /// Of all calls.
    pub connection: u32,
    /// Of one call, what waits to be written.
    pub send_buffer: usize,
}

impl Windows {
    /// Of calls.
    pub const CALLS: Self = Self {
        stream: STREAM_WINDOW,
        connection: CONNECTION_WINDOW,
        // hyper's own.
        send_buffer: 1 << 20,
    };

    /// Of a user's 64 connections, of egress or of previews: an unread one stalls no other.
    pub const CONNECTIONS: Self = Self {
        stream: 32 << 10,
        connection: 64 * (32 << 10),
        send_buffer: 2 * PIECE_SIZE,
    };
}

/// The sending side of one HTTP/2 connection.
#[derive(Debug, Clone)]
pub struct Connection(SendRequest<Body>);

impl Connection {
    /// Starts HTTP/2. A separate task moves the bytes until `open` is
    /// cancelled or the stream ends, and cancels `closed` then.
    pub async fn start(
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        windows: Windows,
        open: CancellationToken,
        closed: CancellationToken,
    ) -> Result<Self, hyper::Error> {
        let (sender, connection) = Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .initial_stream_window_size(windows.stream)
            .initial_connection_window_size(windows.connection)
            .max_send_buf_size(windows.send_buffer)
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT)
            .keep_alive_while_idle(true)
            .handshake(TokioIo::new(stream))
            .await?;
        tokio::spawn(async move {
            tokio::select! {
                ended = connection => {
                    if let Err(error) = ended {
                        tracing::debug!(error = &error as &dyn std::error::Error, "channel ended");
                    }
                }
                () = open.cancelled() => {}
            }
            closed.cancel();
        });
        Ok(Self(sender))
    }
}

impl Service<http::Request<Body>> for Connection {
    type Response = http::Response<Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(self.0.send_request(request))
    }
}
