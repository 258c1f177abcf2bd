//! This program's standard streams. They may block, because each is on a separate thread while the
//! runtime answers PID 1's pings and receives signals. A thread that still waits ends with the
//! program.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsFd;
use std::thread::Builder;

use bytes::{Buf as _, Bytes};
use rustix::event::{PollFd, PollFlags, poll};
use tokio::sync::{mpsc, oneshot};

/// Bytes that are read at a time.
const READ_BYTES: usize = 64 << 10;

/// Pieces that wait, in each direction: 128 KiB.
const PIECE_BUFFER: usize = 2;

/// The content of standard input. Nothing follows its end or an error.
///
/// # Errors
/// The system gives no thread.
pub fn read_stdin() -> io::Result<mpsc::Receiver<io::Result<Bytes>>> {
    let input = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let (sender, pieces) = mpsc::channel(PIECE_BUFFER);
    Builder::new().name("stdin".to_owned()).spawn(move || {
        loop {
            let piece = read(&input);
            let is_last = !matches!(&piece, Ok(bytes) if !bytes.is_empty());
            if matches!(&piece, Ok(bytes) if bytes.is_empty())
                || sender.blocking_send(piece).is_err()
                || is_last
            {
                return;
            }
        }
    })?;
    Ok(pieces)
}

/// The next bytes; empty at the end.
fn read(mut input: &File) -> io::Result<Bytes> {
    let mut buffer = vec![0; READ_BYTES];
    let count = unblocked(input, PollFlags::IN, || input.read(&mut buffer))?;
    buffer.truncate(count);
    Ok(buffer.into())
}

/// One of the two output streams.
#[derive(Debug, Clone, Copy)]
pub enum Target {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Writes both output streams, in the order of the pieces.
pub struct Writer {
    pieces: Option<mpsc::Sender<(Target, Bytes)>>,
    ended: oneshot::Receiver<io::Result<()>>,
}

impl Writer {
    /// Begins.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start() -> io::Result<Self> {
        let stdout = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        let stderr = File::from(io::stderr().as_fd().try_clone_to_owned()?);
        let (pieces, mut waiting) = mpsc::channel::<(Target, Bytes)>(PIECE_BUFFER);
        let (end, ended) = oneshot::channel();
        Builder::new().name("output".to_owned()).spawn(move || {
            let mut done = Ok(());
            while let Some((target, bytes)) = waiting.blocking_recv() {
                done = write_all(
                    match target {
                        Target::Stdout => &stdout,
                        Target::Stderr => &stderr,
                    },
                    bytes,
                );
                if done.is_err() {
                    break;
                }
            }
            let _ = end.send(done);
        })?;
        Ok(Self {
            pieces: Some(pieces),
            ended,
        })
    }

    /// Waits until the queue has room for this. [`Self::ended`] reports failures.
    pub async fn put(&self, target: Target, bytes: Bytes) {
        if let Some(pieces) = &self.pieces {
            let _ = pieces.send((target, bytes)).await;
        }
    }

    /// There are no more pieces.
    pub fn end(&mut self) {
        self.pieces = None;
    }

    /// Waits until everything is written, or a write failed, after which nothing more is written.
    /// Must not be called again after it returned.
    ///
    /// # Errors
    /// The reader is gone; the disk is full.
    pub async fn ended(&mut self) -> io::Result<()> {
        let ended = (&mut self.ended).await;
        ended.unwrap_or_else(|_| Err(io::Error::other("the thread that writes has ended")))
    }
}

fn write_all(mut output: &File, mut bytes: Bytes) -> io::Result<()> {
    while !bytes.is_empty() {
        match unblocked(output, PollFlags::OUT, || output.write(&bytes))? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            written => bytes.advance(written),
        }
    }
    Ok(())
}

/// The streams are shared with other programs, any of which may have made them non-blocking.
fn unblocked<T>(
    file: &File,
    ready: PollFlags,
    mut operation: impl FnMut() -> io::Result<T>,
) -> io::Result<T> {
    loop {
        match operation() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                match poll(&mut [PollFd::new(file, ready)], None) {
                    Ok(_) | Err(rustix::io::Errno::INTR) => {}
                    Err(errno) => return Err(errno.into()),
                }
            }
            done => return done,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_or_written_now_is_waited_for() {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        for end in [&ours, &theirs] {
            end.set_nonblocking(true).unwrap();
        }
        let ours = File::from(std::os::fd::OwnedFd::from(ours));
        let theirs = File::from(std::os::fd::OwnedFd::from(theirs));
        let sent = Bytes::from(vec![7; 4 << 20]);
        let all = sent.clone();
        let writer = std::thread::spawn(move || write_all(&ours, all));
        let mut got = Vec::new();
        loop {
            let piece = read(&theirs).unwrap();
            if piece.is_empty() {
                break;
            }
            got.extend_from_slice(&piece);
        }
        writer.join().unwrap().unwrap();
        assert!(got == sent, "{} bytes", got.len());
    }
}
