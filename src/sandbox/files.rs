//! File work in the sandbox. Each call has 30 s and is repeated when the channel
//! breaks: on the same container under the same id, so that PID 1 answers with what
//! the first try did. Another container does not know the id: there a read, a
//! listing and an overwrite are repeated, and of any other change it is unknown
//! whether it was made ([`SandboxError::Uncertain`]); of an overwrite too, when its
//! last try fails.

use std::time::Duration;

use casemate_protocol::{
    EditFileReply, EditFileRequest, ListFilesReply, ListFilesRequest, ReadBytesReply,
    ReadBytesRequest, ReadLinesReply, ReadLinesRequest, WriteFileReply, WriteFileRequest,
    write_file_request::Mode,
};

use super::handle::{Answer, Sandbox};
use super::retry::RetryPolicy;
use crate::provision::SandboxError;

/// A file call's time. What takes longer than this is a transfer.
pub(super) const FILE_CALL_TIMEOUT: Duration = Duration::from_secs(30);

impl Sandbox {
    /// Lines of a text file.
    ///
    /// # Errors
    /// [`SandboxError::Failed`] with what is wrong with the file.
    pub async fn read_lines(
        &self,
        request: ReadLinesRequest,
    ) -> Result<Answer<ReadLinesReply>, SandboxError> {
        self.call(FILE_CALL_TIMEOUT, RetryPolicy::Anywhere, request)
            .await
    }

    /// Bytes of a file.
    ///
    /// # Errors
    /// [`SandboxError::Failed`] with what is wrong with the file.
    pub async fn read_bytes(
        &self,
        request: ReadBytesRequest,
    ) -> Result<Answer<ReadBytesReply>, SandboxError> {
        self.call(FILE_CALL_TIMEOUT, RetryPolicy::Anywhere, request)
            .await
    }

    /// Replaces a file, makes it, or lets it grow. Its id is chosen here.
    ///
    /// # Errors
    /// [`SandboxError::Failed`] with what is wrong with the file,
    /// [`SandboxError::Uncertain`] when it is unknown whether it was written.
    pub async fn write_file(
        &self,
        mut request: WriteFileRequest,
    ) -> Result<Answer<WriteFileReply>, SandboxError> {
        request.id = new_id();
        let policy = match request.mode() {
            Mode::Overwrite => RetryPolicy::Overwrite,
            Mode::Append | Mode::CreateNew => RetryPolicy::SameContainer,
        };
        self.call(FILE_CALL_TIMEOUT, policy, request).await
    }

    /// Replaces a text in a file by another. Its id is chosen here.
    ///
    /// # Errors
    /// As [`Self::write_file`].
    pub async fn edit_file(
        &self,
        mut request: EditFileRequest,
    ) -> Result<Answer<EditFileReply>, SandboxError> {
        request.id = new_id();
        self.call(FILE_CALL_TIMEOUT, RetryPolicy::SameContainer, request)
            .await
    }

    /// Entries of a directory.
    ///
    /// # Errors
    /// [`SandboxError::Failed`] with what is wrong with the directory.
    pub async fn list_files(
        &self,
        request: ListFilesRequest,
    ) -> Result<Answer<ListFilesReply>, SandboxError> {
        self.call(FILE_CALL_TIMEOUT, RetryPolicy::Anywhere, request)
            .await
    }
}

/// 128 random bits in hexadecimal.
pub(super) fn new_id() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}
