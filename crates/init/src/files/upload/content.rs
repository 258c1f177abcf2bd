//! The content of an upload, as the writing thread reads it.

use bytes::{Buf as _, Bytes};
use casemate_protocol::failure::Code;
use casemate_protocol::{Failure, FailureExt as _};
use tokio::sync::mpsc;

/// Pieces that wait for the disk to take them: the connection is ahead by 1 MiB.
pub(crate) const PIECE_BUFFER: usize = 4;

/// A part of the content.
#[derive(Debug)]
pub(crate) enum Piece {
    Data(Bytes),
    /// That was all. Without it the content broke off.
    End,
}

/// The pieces, in order.
#[derive(Debug)]
pub(crate) struct Content {
    pieces: mpsc::Receiver<Piece>,
    current: Bytes,
    ended: bool,
}

impl Content {
    pub(crate) fn new(pieces: mpsc::Receiver<Piece>) -> Self {
        Self {
            pieces,
            current: Bytes::new(),
            ended: false,
        }
    }

    /// Waits for the next bytes; none after the end. `CANCELLED` when it broke off.
    pub(super) fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        while !self.ended {
            match self.pieces.blocking_recv() {
                Some(Piece::Data(data)) if data.is_empty() => {}
                Some(Piece::Data(data)) => return Ok(Some(data)),
                Some(Piece::End) => self.ended = true,
                None => {
                    let detail = "the content broke off";
                    return Err(Failure::new(Code::Cancelled, detail));
                }
            }
        }
        Ok(None)
    }

    /// As `read` of `std::io::Read`; 0 at the end.
    pub(in crate::files) fn read(&mut self, into: &mut [u8]) -> Result<usize, Failure> {
        if self.current.is_empty() {
            self.current = self.next()?.unwrap_or_default();
        }
        let read = into.len().min(self.current.len());
        self.current.copy_to_slice(&mut into[..read]);
        Ok(read)
    }
}
