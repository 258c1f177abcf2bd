//! Uploads one large object to the store, part by part.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use object_store::aws::AmazonS3;
use object_store::multipart::{MultipartStore as _, PartId};
use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStoreExt as _};
use tokio::sync::mpsc;

use super::error::BackupError;
use super::store::Store;

/// Size of a part, in bytes. S3 needs at least 5 MiB and takes 10,000 parts: 160 GiB compressed.
const PART: usize = 16 * 1024 * 1024;

/// An object that is not visible before it is complete.
pub struct Sink {
    path: Path,
    to: Destination,
    buffer: BytesMut,
}

enum Destination {
    /// A temporary file beside it.
    Directory(Box<dyn MultipartUpload>),
    /// A multipart upload with an id, so that another process can abort it.
    S3 {
        s3: Arc<AmazonS3>,
        upload: String,
        parts: Vec<PartId>,
    },
}

impl Sink {
    /// Begins it.
    ///
    /// # Errors
    /// [`BackupError::Store`], as all here.
    pub async fn begin(store: &Store, path: Path) -> Result<Self, BackupError> {
        let failed = BackupError::store(format!("write {path}"));
        let to = match &store.s3 {
            None => store
                .objects
                .put_multipart(&path)
                .await
                .map(Destination::Directory),
            Some(s3) => s3
                .create_multipart(&path)
                .await
                .map(|upload| Destination::S3 {
                    s3: s3.clone(),
                    upload,
                    parts: Vec::new(),
                }),
        };
        Ok(Self {
            path,
            to: to.map_err(failed)?,
            buffer: BytesMut::new(),
        })
    }

    /// The id with which another process can abort it; `None` if the object's path is enough.
    pub fn upload(&self) -> Option<(String, String)> {
        match &self.to {
            Destination::Directory(_) => None,
            Destination::S3 { upload, .. } => Some((self.path.to_string(), upload.clone())),
        }
    }

    /// Stores all chunks, without completing the object.
    pub async fn take(&mut self, mut chunks: mpsc::Receiver<Bytes>) -> Result<(), BackupError> {
        while let Some(data) = chunks.recv().await {
            self.buffer.extend_from_slice(&data);
            if self.buffer.len() >= PART {
                self.put().await?;
            }
        }
        self.put().await
    }

    async fn put(&mut self) -> Result<(), BackupError> {
        let part = self.buffer.split().freeze();
        if part.is_empty() {
            return Ok(());
        }
        let failed = BackupError::store(format!("write {}", self.path));
        let put = match &mut self.to {
            Destination::Directory(upload) => upload.put_part(part.into()).await,
            Destination::S3 { s3, upload, parts } => {
                let number = parts.len();
                let put = s3.put_part(&self.path, upload, number, part.into());
                put.await.map(|part| parts.push(part))
            }
        };
        put.map_err(failed)
    }

    /// Completes it, which makes it visible.
    pub async fn complete(&mut self) -> Result<(), BackupError> {
        let failed = BackupError::store(format!("write {}", self.path));
        let completed = match &mut self.to {
            Destination::Directory(upload) => upload.complete().await,
            Destination::S3 { s3, upload, parts } => {
                let parts = std::mem::take(parts);
                s3.complete_multipart(&self.path, upload, parts).await
            }
        };
        completed.map(drop).map_err(failed)
    }

    /// Aborts an upload that no heartbeat names, so that no other process could.
    pub async fn abort(mut self) {
        let aborted = match &mut self.to {
            Destination::Directory(upload) => upload.abort().await,
            Destination::S3 { s3, upload, .. } => s3.abort_multipart(&self.path, upload).await,
        };
        if let Err(error) = aborted {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(path = %self.path, error, "parts are left in the bucket");
        }
    }
}
