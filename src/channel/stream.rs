//! The two streams of an exec as one duplex stream.

use std::io;

use futures_util::StreamExt as _;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::io::StreamReader;

use crate::engine::ExecStream;

/// Reads are the program's stdout, writes its stdin.
pub fn join(stream: ExecStream) -> impl AsyncRead + AsyncWrite + Send + Unpin {
    let output = stream.output.map(|chunk| chunk.map_err(io::Error::other));
    tokio::io::join(StreamReader::new(output), stream.input)
}
