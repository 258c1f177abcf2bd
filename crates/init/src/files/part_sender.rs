//! Where the parts of a download or a backup go.

use bytes::Bytes;
use casemate_protocol::download_part::Part;
use casemate_protocol::failure::Code;
use casemate_protocol::{DownloadPart, Failure, FailureExt as _};
use tokio::sync::mpsc;
use tonic::Status;

/// Parts that wait for the connection to take them: the disk is ahead by 1 MiB.
pub(crate) const PART_BUFFER: usize = 4;

/// Where the parts go, from a thread that may wait.
#[derive(Debug)]
pub(crate) struct PartSender(pub(crate) mpsc::Sender<Result<DownloadPart, Status>>);

impl PartSender {
    pub(super) fn send(&self, part: Part) -> Result<(), Failure> {
        let part = DownloadPart { part: Some(part) };
        let gone = |_| Failure::new(Code::Cancelled, "the caller went away");
        self.0.blocking_send(Ok(part)).map_err(gone)
    }

    pub(super) fn data(&self, data: impl Into<Bytes>) -> Result<(), Failure> {
        self.send(Part::Data(data.into()))
    }
}
