//! The stream of `pods/exec`: a WebSocket to the API server, which has one to the kubelet.
//!
//! ```text
//!  frame: [0, bytes…] stdin   [255, 0] end of stdin
//!         [1, bytes…] stdout  [2, bytes…] stderr  [3, status] how the program ended
//! ```
//!
//! The end of the stream says nothing of what runs in the sandbox: it goes through the API server, which is
//! upgraded, and through proxies, which close what is idle. PID 1's word is the truth, and HTTP/2 sends
//! pings inside the stream.

use std::future::ready;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::{Sink, SinkExt as _, Stream, StreamExt as _};
use serde_json::Value;
use tokio::io::AsyncWrite;
use tokio_tungstenite::tungstenite::{Error as WebSocketError, Message};
use tracing::debug;

use super::error::{first_line, unavailable};
use crate::engine::ExecStream;
use crate::engine::error::EngineError;

const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const STATUS: u8 = 3;
/// Closes the channel that its one byte names (version 5 of the protocol).
const CLOSE: u8 = 255;

/// Bytes of one frame: the API server's own buffers have 32 KiB.
const FRAME_LIMIT: usize = 32 << 10;

/// Bytes of the program's stderr that are logged: it may be hostile and endless.
const LOGGED_LIMIT: usize = 4 << 10;

/// The two directions of an open stream. `url`: the API server, for errors.
pub fn split<S>(stream: S, url: String) -> ExecStream
where
    S: Stream<Item = Result<Message, WebSocketError>>
        + Sink<Message, Error = WebSocketError>
        + Send
        + 'static,
{
    let (sink, frames) = stream.split();
    ExecStream {
        input: Box::pin(Input {
            frames: sink,
            is_closed: false,
        }),
        output: Box::pin(stdout(frames, url)),
    }
}

/// What the program writes, to its end.
fn stdout(
    frames: impl Stream<Item = Result<Message, WebSocketError>> + Send,
    url: String,
) -> impl Stream<Item = Result<Bytes, EngineError>> + Send {
    let mut logged = LOGGED_LIMIT;
    // `Some(None)`: the end.
    let pieces = frames.filter_map(move |frame| {
        ready(match frame {
            Ok(Message::Binary(frame)) => piece(frame, &mut logged),
            Ok(Message::Close(_)) => Some(None),
            Ok(_) => None,
            Err(error) => Some(Some(Err(unavailable(&url, error)))),
        })
    });
    pieces
        .take_while(|piece| ready(piece.is_some()))
        .filter_map(ready)
}

type Piece = Option<Result<Bytes, EngineError>>;

/// The content of a frame. `None`: nothing for the reader.
fn piece(frame: Bytes, logged: &mut usize) -> Option<Piece> {
    let channel = *frame.first()?;
    let content = frame.slice(1..);
    match channel {
        // The server opens each channel with an empty frame.
        STDOUT if content.is_empty() => None,
        STDOUT => Some(Some(Ok(content))),
        STDERR => {
            let shown = &content[..content.len().min(*logged)];
            *logged -= shown.len();
            if !shown.is_empty() {
                debug!(stderr = %shown.escape_ascii(), "the program in the container said");
            }
            None
        }
        STATUS => Some(status(&content).map(Err)),
        _ => None,
    }
}

/// `None`: the program ended well, which ends the stream too.
fn status(content: &[u8]) -> Option<EngineError> {
    let status: Value = serde_json::from_slice(content).unwrap_or_default();
    (status["status"] != "Success").then(|| EngineError::Exec {
        message: first_line(
            status["message"]
                .as_str()
                .unwrap_or("it failed without a reason"),
        ),
    })
}

struct Input<S> {
    frames: S,
    is_closed: bool,
}

impl<S: Sink<Message, Error = WebSocketError> + Unpin> AsyncWrite for Input<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.frames.poll_ready_unpin(context)).map_err(broken)?;
        let length = data.len().min(FRAME_LIMIT);
        if length > 0 {
            self.send(&[&[STDIN], &data[..length]])?;
        }
        Poll::Ready(Ok(length))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.frames.poll_flush_unpin(context).map_err(broken)
    }

    /// The end of the program's input, and not of the stream: what it still writes is read.
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.is_closed {
            ready!(self.frames.poll_ready_unpin(context)).map_err(broken)?;
            self.send(&[&[CLOSE, STDIN]])?;
            self.is_closed = true;
        }
        self.frames.poll_flush_unpin(context).map_err(broken)
    }
}

impl<S: Sink<Message, Error = WebSocketError> + Unpin> Input<S> {
    fn send(&mut self, parts: &[&[u8]]) -> io::Result<()> {
        let frame = Message::Binary(parts.concat().into());
        self.frames.start_send_unpin(frame).map_err(broken)
    }
}

fn broken(error: WebSocketError) -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, error)
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use tokio::io::AsyncWriteExt as _;
    use tokio_tungstenite::WebSocketStream;
    use tokio_tungstenite::tungstenite::protocol::Role;

    use super::*;

    fn frame(bytes: &[u8]) -> Result<Message, WebSocketError> {
        Ok(Message::Binary(Bytes::copy_from_slice(bytes)))
    }

    async fn read(frames: Vec<Result<Message, WebSocketError>>) -> Vec<Result<Bytes, EngineError>> {
        let frames = stream::iter(frames);
        stdout(frames, "https://a".to_owned()).collect().await
    }

    #[tokio::test]
    async fn only_stdout_is_read_and_a_status_is_the_end() {
        let success = [&[STATUS][..], br#"{"status":"Success"}"#].concat();
        let read = read(vec![
            frame(&[STDOUT]),
            frame(&[STDOUT, 0, 255, 10]),
            frame(&[STDERR, b'x']),
            frame(&[STDOUT, 7]),
            frame(&success),
            frame(&[STDOUT, 8]),
        ]);
        let read: Vec<_> = read
            .await
            .into_iter()
            .map(|one| one.expect("bytes"))
            .collect();
        assert_eq!(read, [&[0, 255, 10][..], &[7]]);
    }

    #[tokio::test]
    async fn a_program_that_did_not_run_and_a_broken_stream_are_errors() {
        let failed = br#"{"status":"Failure","message":"no such file\nand more"}"#;
        let all = read(vec![frame(&[&[STATUS][..], failed].concat())]).await;
        assert!(
            matches!(&all[..], [Err(EngineError::Exec { message })] if message == "no such file")
        );
        let all = read(vec![Err(WebSocketError::ConnectionClosed)]).await;
        assert!(matches!(&all[..], [Err(EngineError::Unavailable { .. })]));
        assert!(read(vec![Ok(Message::Close(None))]).await.is_empty());
    }

    #[tokio::test]
    async fn the_end_of_the_input_leaves_the_output_open() {
        let (near, far) = tokio::io::duplex(1 << 20);
        let near = WebSocketStream::from_raw_socket(near, Role::Client, None).await;
        let mut far = WebSocketStream::from_raw_socket(far, Role::Server, None).await;
        let mut stream = split(near, "https://a".to_owned());
        let data: Vec<u8> = (0..=255).cycle().take(FRAME_LIMIT + 5).collect();
        stream.input.write_all(&data).await.expect("written");
        stream.input.shutdown().await.expect("closed");
        let mut sent = Vec::new();
        loop {
            let frame = far
                .next()
                .await
                .expect("a frame")
                .expect("whole")
                .into_data();
            match frame[0] {
                STDIN => sent.extend_from_slice(&frame[1..]),
                CLOSE => break assert_eq!(frame[1..], [STDIN]),
                other => panic!("channel {other}"),
            }
        }
        assert_eq!(sent, data);
        let answer = Message::Binary(Bytes::from_static(&[STDOUT, 1, 2]));
        far.send(answer).await.expect("sent");
        let read = stream.output.next().await.expect("a piece").expect("bytes");
        assert_eq!(&read[..], [1, 2]);
    }
}
