//! The standard streams of a program in a running container.

use std::pin::Pin;

use bytes::Bytes;
use futures_util::Stream;
use tokio::io::AsyncWrite;

use super::error::EngineError;

/// The streams of a program. The Engine keeps a stream until it is drained: read `output` to its
/// end, or drop both, before the container is removed.
pub struct ExecStream {
    /// Its standard input. Shutting it down is the end of file.
    pub input: Pin<Box<dyn AsyncWrite + Send>>,
    /// Its standard output, in chunks of at most 32 KiB. It ends with the program.
    pub output: Pin<Box<dyn Stream<Item = Result<Bytes, EngineError>> + Send>>,
}
