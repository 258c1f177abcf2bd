//! A connection to a port of the sandbox, as a stream of bytes.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use casemate_protocol::{PIECE_SIZE, PortInput, PortOutput, port_input, port_output};
use futures_util::Stream as _;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::PollSender;
use tonic::{Status, Streaming};

use super::call::within;
use super::{CallError, Channel, OPEN_TIMEOUT};

/// Pieces that wait for the connection: 32 KiB.
const PIECE_BUFFER: usize = 2;

/// An open connection to a program in the sandbox. Dropped, it is broken off.
#[derive(Debug)]
pub struct PortStream {
    /// Of the channel that it uses.
    _channel: Channel,
    input: PollSender<PortInput>,
    output: Streaming<PortOutput>,
    /// Bytes that were received and not read yet.
    rest: Bytes,
}

impl Channel {
    /// Connects to a port of the sandbox.
    ///
    /// # Errors
    /// `NOT_LISTENING`; that this casemate-init is older than previews.
    pub async fn connect(&self, port: u16) -> Result<PortStream, CallError> {
        let (sender, input) = mpsc::channel(PIECE_BUFFER);
        // It has room: this is the first.
        let _ = sender.try_send(PortInput {
            input: Some(port_input::Input::Port(port.into())),
        });
        let mut client = self.client.clone();
        let opened = within(OPEN_TIMEOUT, client.connect(ReceiverStream::new(input)));
        let mut output = opened.await?;
        match output.message().await?.and_then(|first| first.output) {
            Some(port_output::Output::Connected(_)) => Ok(PortStream {
                _channel: self.clone(),
                input: PollSender::new(sender),
                output,
                rest: Bytes::new(),
            }),
            _ => Err(Status::unavailable("the connection did not open").into()),
        }
    }
}

impl AsyncRead for PortStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.rest.is_empty() {
            let next = ready!(Pin::new(&mut self.output).poll_next(context));
            match next {
                None => return Poll::Ready(Ok(())),
                Some(Ok(PortOutput {
                    output: Some(port_output::Output::Data(data)),
                })) => self.rest = data,
                // Of a newer casemate-init.
                Some(Ok(_)) => {}
                Some(Err(status)) => {
                    let broken = io::Error::new(io::ErrorKind::ConnectionReset, status);
                    return Poll::Ready(Err(broken));
                }
            }
        }
        let length = self.rest.len().min(buffer.remaining());
        buffer.put_slice(&self.rest[..length]);
        self.rest.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for PortStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.input.poll_reserve(context)).map_err(closed)?;
        let length = data.len().min(PIECE_SIZE);
        let piece = Bytes::copy_from_slice(&data[..length]);
        let input = PortInput {
            input: Some(port_input::Input::Data(piece)),
        };
        self.input.send_item(input).map_err(closed)?;
        Poll::Ready(Ok(length))
    }

    /// Each piece is on its way once it was written.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.input.close();
        Poll::Ready(Ok(()))
    }
}

fn closed<T>(_: T) -> io::Error {
    io::ErrorKind::BrokenPipe.into()
}
