//! Copies in both directions until both have ended.

use std::io;
use std::sync::atomic::Ordering;

use bytes::{Bytes, BytesMut};
use casemate_egress::tls::Verdict;
use casemate_protocol::egress::{Finish, SandboxPiece, ServerPiece, server_piece};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::Stream;
use tonic::Status;

use super::{Connection, RelayEnd, SandboxStream, next, wrapped};

/// Bytes that are read at once: as much as a frame of HTTP/2 has. More would only wait, several
/// times over, where the sandbox does not read.
const READ_SIZE: usize = 16 << 10;

impl Connection {
    pub(super) async fn copy<S>(
        &self,
        target: &mut TcpStream,
        sandbox: &mut SandboxStream<S>,
        hello: Vec<u8>,
    ) -> RelayEnd
    where
        S: Stream<Item = Result<SandboxPiece, Status>> + Unpin,
    {
        let (reader, mut writer) = target.split();
        let (finished, target_finished) = oneshot::channel();
        let (program_finished, may_close) = oneshot::channel();
        let out = sandbox.out.clone();
        let up = async {
            if let Err(end) = self.write(&mut writer, &hello).await {
                return end;
            }
            drop(hello);
            self.send(&mut sandbox.pieces, &mut writer, program_finished)
                .await
        };
        let down = async {
            if let Err(end) = self.receive(reader, &out).await {
                return end;
            }
            // The program may send on; the end of the other direction ends the connection.
            let _ = finished.send(());
            std::future::pending().await
        };
        let both_ended = async {
            // An error: `up` or `down` has ended, and says how.
            if tokio::try_join!(target_finished, may_close).is_err() {
                return std::future::pending().await;
            }
            RelayEnd::Closed
        };
        tokio::select! {
            end = up => end,
            end = down => end,
            end = both_ended => end,
        }
    }

    /// Writes what the program sends, after the gate has read it.
    async fn send(
        &self,
        pieces: &mut (impl Stream<Item = Result<SandboxPiece, Status>> + Unpin),
        writer: &mut WriteHalf<'_>,
        finished: oneshot::Sender<()>,
    ) -> RelayEnd {
        let mut finished = Some(finished);
        loop {
            match next(pieces).await {
                Err(end) => return end,
                Ok(Some(data)) => {
                    let written = match self.read_by_gate(&data) {
                        Ok(None) => self.write(writer, &data).await,
                        Ok(Some(taken)) => self.write(writer, &taken).await,
                        Err(end) => Err(end),
                    };
                    if let Err(end) = written {
                        return end;
                    }
                }
                Ok(None) => {
                    if writer.shutdown().await.is_err() {
                        return RelayEnd::Reset;
                    }
                    // The stream goes on until the last message.
                    if let Some(finished) = finished.take() {
                        let _ = finished.send(());
                    }
                }
            }
        }
    }

    /// The part of `data` that may be written; `None`: all of it, as it is.
    fn read_by_gate(&self, data: &[u8]) -> Result<Option<Vec<u8>>, RelayEnd> {
        let mut held = self.gate.lock();
        let Some(gate) = held.as_mut() else {
            return Ok(None);
        };
        if let Verdict::Refuse(reason) = gate.client(data) {
            return Err(RelayEnd::Refused(reason));
        }
        let taken = gate.take();
        if gate.is_open() {
            *held = None;
        }
        Ok(Some(taken))
    }

    async fn write(&self, writer: &mut WriteHalf<'_>, data: &[u8]) -> Result<(), RelayEnd> {
        let mut left = data;
        while !left.is_empty() {
            let written = writer.write(left).await.map_err(|_| RelayEnd::Reset)?;
            left = &left[written..];
            self.sent.fetch_add(written as u64, Ordering::Relaxed);
            self.passed();
        }
        Ok(())
    }

    /// Passes on what the target sends, until it has ended its direction.
    async fn receive(
        &self,
        mut reader: ReadHalf<'_>,
        out: &mpsc::Sender<ServerPiece>,
    ) -> Result<(), RelayEnd> {
        loop {
            let data = read_piece(&mut reader).await.map_err(|_| RelayEnd::Reset)?;
            self.received
                .fetch_add(data.len() as u64, Ordering::Relaxed);
            self.passed();
            if let Some(gate) = self.gate.lock().as_mut()
                && !data.is_empty()
                && let Verdict::Refuse(reason) = gate.peer(&data)
            {
                return Err(RelayEnd::Refused(reason));
            }
            let is_end = data.is_empty();
            let piece = match is_end {
                true => server_piece::Piece::Finish(Finish {}),
                false => server_piece::Piece::Data(data),
            };
            out.send(wrapped(piece))
                .await
                .map_err(|_| RelayEnd::Reset)?;
            self.passed();
            if is_end {
                return Ok(());
            }
        }
    }
}

/// The next bytes of the target; empty at its end. Takes memory only when bytes have come.
async fn read_piece(reader: &mut ReadHalf<'_>) -> io::Result<Bytes> {
    reader.readable().await?;
    let mut buffer = BytesMut::with_capacity(READ_SIZE);
    reader.read_buf(&mut buffer).await?;
    Ok(buffer.freeze())
}
