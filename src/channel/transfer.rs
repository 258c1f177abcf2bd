//! The calls whose content streams.

use std::time::Duration;

use bytes::Bytes;
use casemate_protocol::{
    BackupEnd, BackupRequest, DownloadPart, DownloadRequest, StatReply, UploadBegin, UploadDone,
    UploadEnd, UploadEvent, UploadPart, download_part, upload_event, upload_part,
};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::call::within;
use super::{CallError, Channel};

/// Parts of an upload that wait for the connection: 512 KiB.
const PART_BUFFER: usize = 2;

/// A file or an archive that PID 1 sends.
#[derive(Debug)]
pub struct Incoming {
    /// The entry when it was opened.
    pub stat: StatReply,
    parts: Streaming<DownloadPart>,
}

impl Incoming {
    /// The next bytes; `None` at the end that PID 1 reported.
    ///
    /// # Errors
    /// [`CallError::Deadline`] when nothing comes for `within`.
    pub async fn next(&mut self, within: Duration) -> Result<Option<Bytes>, CallError> {
        match next(&mut self.parts, within).await?.map(|part| part.part) {
            None => Ok(None),
            Some(Some(download_part::Part::Data(data))) => Ok(Some(data)),
            Some(_) => Err(unexpected()),
        }
    }
}

/// A backup that PID 1 sends.
#[derive(Debug)]
pub struct Backup(Streaming<DownloadPart>);

/// One piece of a stream that ends with a report. A stream without an end broke off.
#[derive(Debug)]
pub enum Piece<E> {
    /// The next bytes.
    Data(Bytes),
    /// The end: no piece comes after it.
    End(E),
}

impl Backup {
    /// The next piece.
    ///
    /// # Errors
    /// [`CallError::Deadline`] when nothing comes for `within`.
    pub async fn next(&mut self, within: Duration) -> Result<Piece<BackupEnd>, CallError> {
        let part = next(&mut self.0, within).await?;
        match part.and_then(|part| part.part) {
            Some(download_part::Part::Data(data)) => Ok(Piece::Data(data)),
            Some(download_part::Part::End(end)) => Ok(Piece::End(end)),
            _ => Err(unexpected()),
        }
    }
}

/// A file or an archive that is sent to PID 1. If it is dropped before its end, nothing changes.
#[derive(Debug)]
pub struct Outgoing {
    parts: mpsc::Sender<UploadPart>,
    events: Streaming<UploadEvent>,
}

impl Outgoing {
    /// Sends `data`, at most 256 KiB.
    ///
    /// # Errors
    /// PID 1's error; [`CallError::Deadline`] if it accepts nothing for `within`.
    pub async fn send(&mut self, data: Bytes, within: Duration) -> Result<(), CallError> {
        self.put(upload_part::Part::Data(data), within).await
    }

    /// Sends the end, and waits until the content is in place.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub async fn end(mut self, within: Duration) -> Result<UploadDone, CallError> {
        self.put(upload_part::Part::End(UploadEnd {}), within)
            .await?;
        match event(&mut self.events, within).await? {
            upload_event::Event::Done(done) => Ok(done),
            upload_event::Event::Ready(_) => Err(unexpected()),
        }
    }

    async fn put(&mut self, part: upload_part::Part, within: Duration) -> Result<(), CallError> {
        let part = UploadPart { part: Some(part) };
        tokio::select! {
            sent = timeout(within, self.parts.send(part)) => match sent {
                Ok(Ok(())) => Ok(()),
                // The connection is gone: its error is the reason, if there is one.
                Ok(Err(_)) => event(&mut self.events, within).await.and(Err(unexpected())),
                Err(_) => Err(CallError::Deadline(within)),
            },
            // Before the end, PID 1 reports only failures.
            event = event(&mut self.events, within), if self.parts.capacity() == 0 => {
                event.and(Err(unexpected()))
            }
        }
    }
}

impl Channel {
    /// Begins a download; returns when PID 1 has opened it. Exactly the requested bytes come, or
    /// an error.
    ///
    /// # Errors
    /// [`CallError::Failed`] for a wrong path.
    pub async fn download(
        &self,
        request: DownloadRequest,
        deadline: Duration,
    ) -> Result<Incoming, CallError> {
        let mut client = self.client.clone();
        let mut parts = within(deadline, client.download(request)).await?;
        match next(&mut parts, deadline).await?.and_then(|part| part.part) {
            Some(download_part::Part::Stat(stat)) => Ok(Incoming { stat, parts }),
            _ => Err(unexpected()),
        }
    }

    /// Begins a backup of the whole workspace. `shared`: other containers may write there.
    ///
    /// # Errors
    /// Those of every call.
    pub async fn backup(&self, shared: bool, deadline: Duration) -> Result<Backup, CallError> {
        let mut client = self.client.clone();
        let parts = within(deadline, client.backup(BackupRequest { shared })).await?;
        Ok(Backup(parts))
    }

    /// Begins an upload; returns when PID 1 is ready for its content.
    ///
    /// # Errors
    /// [`CallError::Failed`] for a wrong path.
    pub async fn upload(
        &self,
        begin: UploadBegin,
        deadline: Duration,
    ) -> Result<Outgoing, CallError> {
        let (parts, stream) = mpsc::channel(PART_BUFFER);
        let begin = UploadPart {
            part: Some(upload_part::Part::Begin(begin)),
        };
        // It has room: this is the first.
        let _ = parts.try_send(begin);
        let mut client = self.client.clone();
        let call = client.upload(ReceiverStream::new(stream));
        let mut events = within(deadline, call).await?;
        match event(&mut events, deadline).await? {
            upload_event::Event::Ready(_) => Ok(Outgoing { parts, events }),
            upload_event::Event::Done(_) => Err(unexpected()),
        }
    }
}

async fn next<T>(stream: &mut Streaming<T>, within: Duration) -> Result<Option<T>, CallError> {
    match timeout(within, stream.message()).await {
        Ok(message) => Ok(message?),
        Err(_) => Err(CallError::Deadline(within)),
    }
}

async fn event(
    events: &mut Streaming<UploadEvent>,
    within: Duration,
) -> Result<upload_event::Event, CallError> {
    let event = next(events, within).await?.and_then(|event| event.event);
    event.ok_or_else(unexpected)
}

/// PID 1 ended a stream early, or sent a message out of order.
fn unexpected() -> CallError {
    Status::unavailable("the transfer ended out of turn").into()
}
