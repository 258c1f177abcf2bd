//! The bytes of a connection to a program in the sandbox, in pieces.

use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use casemate_protocol::PIECE_SIZE;
use rustix::net::sockopt::set_socket_linger;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::time::timeout;

/// A piece that is smaller is copied, so that it does not hold the whole buffer.
const SMALL_PIECE: usize = PIECE_SIZE / 4;

/// A program that has read nothing for this long is treated as gone. The server cannot end such a
/// connection: its last message waits until the program has read the bytes before it.
const WRITE_TIMEOUT: Duration = Duration::from_secs(300);

/// The next bytes; empty at the end. Holds no memory while it waits.
pub async fn read_piece(reader: &ReadHalf<'_>) -> io::Result<Bytes> {
    loop {
        reader.readable().await?;
        let mut buffer = BytesMut::with_capacity(PIECE_SIZE);
        match reader.try_read_buf(&mut buffer) {
            Ok(length) if length < SMALL_PIECE => return Ok(Bytes::copy_from_slice(&buffer)),
            Ok(_) => return Ok(buffer.freeze()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

/// Writes all of it.
///
/// # Errors
/// The connection broke, or the program reads no more.
pub async fn write(writer: &mut WriteHalf<'_>, mut data: Bytes) -> io::Result<()> {
    while !data.is_empty() {
        timeout(WRITE_TIMEOUT, writer.write_buf(&mut data)).await??;
    }
    Ok(())
}

/// Closes it so that the program sees an error and not an end.
pub fn reset(stream: TcpStream) {
    let _ = set_socket_linger(&stream, Some(Duration::ZERO));
}
