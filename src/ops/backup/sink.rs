//! One large object on its way into the store, part by part.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use object_store::aws::AmazonS3;
use object_store::multipart::{MultipartStore as _, PartId};
use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStoreExt as _};
use tokio::sync::mpsc;

use super::error::BackupError;
use super::store::Store;

/// A part, in bytes. S3 takes 5 MiB at least, and 10,000 of them: 160 GiB compressed.
const PART: usize = 16 * 1024 * 1024;

/// Nothing is to be seen of it before it is complete.
pub struct Sink {
    path: Path,
    to: Destination,
    buffer: BytesMut,
}

enum Destination {
    /// A temporary file beside it.
    Directory(Box<dyn MultipartUpload>),
    /// Parts that have an id, so that another process can give them up.
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

    /// By which another process can give it up; `None` where the object's place is enough.
    pub fn upload(&self) -> Option<(String, String)> {
        match &self.to {
            Destination::Directory(_) => None,
            Destination::S3 { upload, .. } => Some((self.path.to_string(), upload.clone())),
        }
    }

    /// Stores all that comes. It is not complete then.
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

    /// It is there from now on.
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

    /// Gives up one that no sign names: nobody else could.
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
