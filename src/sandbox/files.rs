//! File work in the sandbox. Each call has 30 s and is repeated when the channel
//! breaks. A read and a listing change nothing. An overwrite leaves the same
//! content, but says `created: false` when the first try had made the file.

use std::time::Duration;

use casemate_protocol::{
    ListFilesReply, ListFilesRequest, ReadBytesReply, ReadBytesRequest, ReadLinesReply,
    ReadLinesRequest, WriteFileReply, WriteFileRequest,
};

use super::{Answer, Sandbox, SandboxError};

/// A file call's time. What takes longer than this is a transfer.
const FILE_CALL: Duration = Duration::from_secs(30);

impl Sandbox {
    /// Lines of a text file.
    ///
    /// # Errors
    /// [`SandboxError::Failed`] with what is wrong with the file.
    pub async fn read_lines(
        &self,
        request: ReadLinesRequest,
    ) -> Result<Answer<ReadLinesReply>, SandboxError> {
        let read = |channel: crate::channel::Channel, left| {
            let request = request.clone();
            async move { channel.read_lines(request, left).await }
        };
        self.call(FILE_CALL, read).await
    }

    /// Bytes of a file.
    ///
    /// # Errors
    /// [`SandboxError::Failed`] with what is wrong with the file.
    pub async fn read_bytes(
        &self,
        request: ReadBytesRequest,
    ) -> Result<Answer<ReadBytesReply>, SandboxError> {
        let read = |channel: crate::channel::Channel, left| {
            let request = request.clone();
            async move { channel.read_bytes(request, left).await }
        };
        self.call(FILE_CALL, read).await
    }

    /// Replaces a file, or makes it.
    ///
    /// # Errors
    /// [`SandboxError::Failed`] with what is wrong with the file.
    pub async fn write_file(
        &self,
        request: WriteFileRequest,
    ) -> Result<Answer<WriteFileReply>, SandboxError> {
        let write = |channel: crate::channel::Channel, left| {
            // The content is shared, not copied.
            let request = request.clone();
            async move { channel.write_file(request, left).await }
        };
        self.call(FILE_CALL, write).await
    }

    /// Entries of a directory.
    ///
    /// # Errors
    /// [`SandboxError::Failed`] with what is wrong with the directory.
    pub async fn list_files(
        &self,
        request: ListFilesRequest,
    ) -> Result<Answer<ListFilesReply>, SandboxError> {
        let list = |channel: crate::channel::Channel, left| {
            let request = request.clone();
            async move { channel.list_files(request, left).await }
        };
        self.call(FILE_CALL, list).await
    }
}
