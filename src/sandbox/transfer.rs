//! Files of any size, in and out, each over a bridge of its own, so that nobody's
//! small calls wait behind them.

use bytes::Bytes;
use futures_util::stream::BoxStream;

use super::{Sandbox, SandboxError};

/// What is at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// In bytes; of a directory 0.
    pub size: u64,
    /// Milliseconds since 1970.
    pub modified_ms: i64,
    /// A directory.
    pub is_dir: bool,
    /// Changes with every change of the content: device, inode, size, times.
    pub version: u64,
}

/// A file, or a directory as a tar archive, on its way out.
pub struct Download {
    /// What it was when it was opened.
    pub stat: Stat,
    /// The content, in chunks of 256 KiB at most.
    pub content: BoxStream<'static, Result<Bytes, SandboxError>>,
}

/// How a file is put into the workspace.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UploadOptions {
    /// Fails with `EXISTS` where there is something.
    pub create_new: bool,
    /// The content is a tar archive, and is unpacked into the directory at the path.
    pub unpack: bool,
    /// Bytes at most; more is `FILE_TOO_LARGE`, and the old file stays.
    pub limit: u64,
}

/// What was put into the workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Uploaded {
    /// Bytes of the file, or of all files of an archive.
    pub size: u64,
    /// There was no such file before.
    pub created: bool,
    /// Entries of an archive; 1 for a file.
    pub entries: u64,
}

impl Sandbox {
    /// What is at `path`, relative to the workspace.
    ///
    /// # Errors
    /// [`SandboxError::Failed`] with what is wrong with the path.
    pub async fn stat(&self, path: &str) -> Result<Stat, SandboxError> {
        let _ = path;
        unreachable!()
    }

    /// Removes a file, or with `recursive` a directory with all that is in it.
    ///
    /// # Errors
    /// [`SandboxError::Failed`] with what is wrong with the path.
    pub async fn delete(&self, path: &str, recursive: bool) -> Result<(), SandboxError> {
        let _ = (path, recursive);
        unreachable!()
    }

    /// `length` bytes of a regular file from `offset`, or all of a directory as a tar
    /// archive.
    ///
    /// # Errors
    /// [`SandboxError::Failed`] with what is wrong with the path; later, in the stream,
    /// what went wrong on the way.
    pub async fn download(
        &self,
        path: &str,
        offset: u64,
        length: Option<u64>,
    ) -> Result<Download, SandboxError> {
        let _ = (path, offset, length);
        unreachable!()
    }

    /// Puts `content` at `path`. A file appears whole or not at all; a stream that
    /// fails, or is dropped, leaves the old one.
    ///
    /// # Errors
    /// [`SandboxError::Failed`] with what is wrong with the path or the content.
    pub async fn upload(
        &self,
        path: &str,
        options: UploadOptions,
        content: BoxStream<'static, std::io::Result<Bytes>>,
    ) -> Result<Uploaded, SandboxError> {
        let _ = (path, options, content);
        unreachable!()
    }
}
