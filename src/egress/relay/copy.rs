//! Copies in both directions until casemate-init says that the connection is over.
//!
//! Only casemate-init knows when a program has been given all bytes: bytes of the
//! server may wait in between while the program reads late.

use std::io;
use std::sync::atomic::Ordering;

use bytes::{Bytes, BytesMut};
use casemate_egress::Reason;
use casemate_egress::tls::Verdict;
use casemate_protocol::PIECE_SIZE;
use casemate_protocol::egress::{Finish, SandboxPiece, ServerPiece, server_piece};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tonic::Status;

use super::{Connection, RelayEnd, SandboxStream, next, wrapped};

impl Connection<'_> {
    pub(super) async fn copy<S>(
        &self,
        (target, early): (&mut TcpStream, Bytes),
        sandbox: &mut SandboxStream<S>,
        hello: Vec<u8>,
    ) -> RelayEnd
    where
        S: Stream<Item = Result<SandboxPiece, Status>> + Unpin,
    {
        let (reader, mut writer) = target.split();
        let out = sandbox.out.clone();
        let up = async {
            if let Err(end) = self.write(&mut writer, &hello).await {
                return end;
            }
            drop(hello);
            self.send(&mut sandbox.pieces, &mut writer).await
        };
        let down = async {
            if let Err(end) = self.receive(early, reader, &out).await {
                return end;
            }
            // The program may read and send on: `up` ends with its last message.
            std::future::pending().await
        };
        tokio::select! {
            end = up => end,
            end = down => end,
        }
    }

    /// Writes what the program sends, after the gate has read it.
    async fn send(
        &self,
        pieces: &mut (impl Stream<Item = Result<SandboxPiece, Status>> + Unpin),
        writer: &mut WriteHalf<'_>,
    ) -> RelayEnd {
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
            self.spend(written)?;
            self.passed();
        }
        Ok(())
    }

    /// Of the bytes that the user has in a day.
    fn spend(&self, bytes: usize) -> Result<(), RelayEnd> {
        match self.budget.spend(bytes) {
            true => Ok(()),
            false => Err(RelayEnd::Refused(Reason::BytesPerDay)),
        }
    }

    /// Passes on what the target sends, until it has ended its direction. `early` came before.
    async fn receive(
        &self,
        mut early: Bytes,
        mut reader: ReadHalf<'_>,
        out: &mpsc::Sender<ServerPiece>,
    ) -> Result<(), RelayEnd> {
        loop {
            let data = match early.is_empty() {
                true => read_piece(&mut reader).await.map_err(|_| RelayEnd::Reset)?,
                false => early.split_to(early.len().min(PIECE_SIZE)),
            };
            self.received
                .fetch_add(data.len() as u64, Ordering::Relaxed);
            self.spend(data.len())?;
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
    let mut buffer = BytesMut::with_capacity(PIECE_SIZE);
    reader.read_buf(&mut buffer).await?;
    Ok(buffer.freeze())
}
