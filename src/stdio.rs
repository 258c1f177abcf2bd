//! MCP over standard input and output: one process, one user.
//!
//! stdout holds only MCP; logs go to stderr.

mod batch;
mod transport;

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use rmcp::ServiceExt as _;
use rmcp::transport::io::stdio_pipes;
use tokio::io::{AsyncRead, ReadBuf};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use crate::sandbox::Manager;
use crate::tools::Tools;
use transport::Lines;

/// Serves until the end of input or until `stop`. Running commands are ended with all their
/// processes; the container stays and stops by itself when idle.
pub async fn serve(manager: Manager, tools: Tools, stop: CancellationToken) {
    let (reader, writer) = stdio_pipes();
    let ended = stop.child_token();
    let reader = EndOfInput {
        reader,
        ended: ended.clone(),
    };
    let conversation = async {
        match tools.serve(Lines::new(reader, writer)).await {
            Ok(service) => drop(service.waiting().await),
            // A client that leaves before its first message is not an error.
            Err(error) => debug!(error = &error as &dyn std::error::Error, "no conversation"),
        }
    };
    tokio::pin!(conversation);
    tokio::select! {
        () = &mut conversation => {}
        () = ended.cancelled() => {
            info!("ending: no more input, or asked to stop");
            // Calls that end during this time are still answered.
            tokio::select! {
                () = manager.clone().close() => {}
                () = async { conversation.await; std::future::pending().await } => {}
            }
            return;
        }
    }
    manager.close().await;
}

/// Signals the end of input before the wait for running calls begins.
struct EndOfInput<R> {
    reader: R,
    ended: CancellationToken,
}

impl<R: AsyncRead + Unpin> AsyncRead for EndOfInput<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.reader).poll_read(context, buffer);
        let ended = match &polled {
            Poll::Ready(Ok(())) => buffer.filled().len() == before && buffer.remaining() > 0,
            Poll::Ready(Err(_)) => true,
            Poll::Pending => false,
        };
        if ended {
            self.ended.cancel();
        }
        polled
    }
}
