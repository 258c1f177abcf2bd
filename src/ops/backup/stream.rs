//! Connects the tasks that move bytes with the thread that processes them: packing, unpacking and
//! hashing a gigabyte takes seconds of CPU time, which must not block a task.

use std::io::{self, Read, Write};
use std::thread;

use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio::sync::{mpsc, oneshot};

use crate::identity::hex;
use crate::snapshot::Piece;

/// Chunks that wait on either side of the thread: 1 MiB.
pub const CHUNK_BUFFER: usize = 4;

/// Bytes that the thread passes on at a time.
const CHUNK: usize = 256 * 1024;

/// Input of the thread.
pub type Chunk = Piece<()>;

/// Runs `work` on a separate thread and returns its result. A backup, a restore or a download has
/// one thread at a time.
pub fn on_thread<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<impl Future<Output = io::Result<T>>> {
    let (sender, done) = oneshot::channel();
    thread::Builder::new()
        .name("archive".to_owned())
        .spawn(move || {
            // An error means that the result is no longer needed.
            let _ = sender.send(work());
        })?;
    Ok(async { done.await.unwrap_or_else(|_| Err(broken_off())) })
}

/// Reads the chunks of a task.
#[derive(Debug)]
pub struct Chunks {
    receiver: mpsc::Receiver<Chunk>,
    current: Bytes,
    ended: bool,
}

impl Chunks {
    /// A sender and the reader of its chunks.
    pub fn new() -> (mpsc::Sender<Chunk>, Self) {
        let (sender, receiver) = mpsc::channel(CHUNK_BUFFER);
        let chunks = Self {
            receiver,
            current: Bytes::new(),
            ended: false,
        };
        (sender, chunks)
    }
}

impl Read for Chunks {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() && !self.ended {
            match self.receiver.blocking_recv() {
                Some(Chunk::Data(data)) => self.current = data,
                Some(Chunk::End(())) => self.ended = true,
                None => return Err(broken_off()),
            }
        }
        let read = into.len().min(self.current.len());
        into[..read].copy_from_slice(&self.current.split_to(read));
        Ok(read)
    }
}

fn broken_off() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "the other end broke off")
}

/// Writes chunks for a task.
#[derive(Debug)]
pub struct ChunkWriter {
    sender: mpsc::Sender<Bytes>,
    buffer: BytesMut,
}

impl ChunkWriter {
    /// A writer and the receiver of its chunks.
    pub fn new() -> (Self, mpsc::Receiver<Bytes>) {
        let (sender, receiver) = mpsc::channel(CHUNK_BUFFER);
        let out = Self {
            sender,
            buffer: BytesMut::with_capacity(CHUNK),
        };
        (out, receiver)
    }

    /// Sends the rest.
    pub fn finish(mut self) -> io::Result<()> {
        self.send()
    }

    fn send(&mut self) -> io::Result<()> {
        let full = self.buffer.split().freeze();
        self.buffer.reserve(CHUNK);
        if full.is_empty() {
            return Ok(());
        }
        self.sender.blocking_send(full).map_err(|_| broken_off())
    }
}

impl Write for ChunkWriter {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let fits = data.len().min(CHUNK - self.buffer.len());
        self.buffer.extend_from_slice(&data[..fits]);
        if self.buffer.len() == CHUNK {
            self.send()?;
        }
        Ok(fits)
    }

    /// Does nothing: a chunk is sent when it is full, and the last one by [`Self::finish`].
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Length and hash of content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContentDigest {
    /// In bytes.
    pub bytes: u64,
    /// Hexadecimal, as sha256sum prints it.
    pub sha256: String,
}

/// Counts and hashes the bytes that are read or written.
#[derive(Debug)]
pub struct HashingStream<T> {
    inner: T,
    hash: Sha256,
    bytes: u64,
}

impl<T> HashingStream<T> {
    /// Of no bytes yet.
    pub fn new(inner: T) -> Self {
        Self {
            inner,
            hash: Sha256::new(),
            bytes: 0,
        }
    }

    /// The inner stream, and the digest of its bytes.
    pub fn finish(self) -> (T, ContentDigest) {
        let digest = ContentDigest {
            bytes: self.bytes,
            sha256: hex(&self.hash.finalize()),
        };
        (self.inner, digest)
    }

    fn add(&mut self, data: &[u8]) {
        self.hash.update(data);
        self.bytes += data.len() as u64;
    }
}

impl<T: Read> Read for HashingStream<T> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(into)?;
        self.add(&into[..read]);
        Ok(read)
    }
}

impl<T: Write> Write for HashingStream<T> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(data)?;
        self.add(&data[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Reads, and writes a copy of the bytes.
#[derive(Debug)]
pub struct TeeReader<R, W> {
    /// The source.
    pub reader: R,
    /// The destination of the copy.
    pub writer: W,
}

impl<R: Read, W: Write> Read for TeeReader<R, W> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(into)?;
        self.writer.write_all(&into[..read])?;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_breaks_off_is_an_error_and_no_end() {
        let mut text = String::new();
        let (sender, mut chunks) = Chunks::new();
        sender.try_send(Chunk::Data("abc".into())).expect("room");
        drop(sender);
        let error = chunks.read_to_string(&mut text).expect_err("no end");
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        let (sender, mut chunks) = Chunks::new();
        sender.try_send(Chunk::Data("abc".into())).expect("room");
        sender.try_send(Chunk::End(())).expect("room");
        assert_eq!(chunks.read_to_string(&mut text).expect("an end"), 3);
    }

    #[test]
    fn the_hash_is_the_one_that_sha256sum_prints() {
        let mut hashed = HashingStream::new(Vec::new());
        hashed.write_all(b"abc").expect("written");
        let (out, digest) = hashed.finish();
        assert_eq!((out, digest.bytes), (b"abc".to_vec(), 3));
        assert_eq!(
            digest.sha256,
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
