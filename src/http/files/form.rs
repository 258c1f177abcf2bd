//! The files of an uploaded form.
//!
//! A small form is held until it is complete, and then stored: so a duplicate name or a wrong part
//! is found before anything is stored. Of a larger one each file is stored as it comes, and an
//! error says how many were stored.

use std::collections::HashSet;

use axum::http::{HeaderMap, StatusCode, header};
use bytes::Bytes;
use futures_util::stream::{self, Stream, StreamExt as _};
use multer::Field;
use serde::Serialize;

use super::content::{too_large, upload_refused};
use super::error::FileRejection;
use super::incoming::{content, refused};
use super::name::file_name;
use crate::api::{Code, ToolError};
use crate::sandbox::{Sandbox, UploadOptions};
use crate::workspace::WorkspacePath;

/// The form's field.
pub const FIELD: &str = "file";

/// Files of one request: a selection in a file manager. For more there are archives.
const MAX_FILES: usize = 1_000;

/// Bytes of all files that are held together, as of any upload.
const HELD_BYTES_LIMIT: usize = 1 << 20;

/// A stored file.
#[derive(Debug, Serialize)]
pub struct StoredFile {
    /// Its name in the directory.
    pub filename: String,
    /// In bytes.
    pub size: u64,
}

/// A complete file that is not stored yet.
struct PendingFile {
    name: FieldName,
    chunks: Vec<Bytes>,
}

/// Where a file goes.
#[derive(Clone)]
struct FieldName {
    filename: String,
    path: WorkspacePath,
}

/// A form that is being received.
pub struct Form<'a> {
    sandbox: &'a Sandbox,
    directory: &'a WorkspacePath,
    /// Bytes that its files may have together, and how many are left.
    limit: u64,
    left: u64,
    names: HashSet<String>,
    held: Vec<PendingFile>,
    held_bytes: usize,
    stored: Vec<StoredFile>,
}

impl<'a> Form<'a> {
    /// For files in `directory`, of `limit` bytes together.
    pub fn new(sandbox: &'a Sandbox, directory: &'a WorkspacePath, limit: u64) -> Self {
        Self {
            sandbox,
            directory,
            limit,
            left: limit,
            names: HashSet::new(),
            held: Vec::new(),
            held_bytes: 0,
            stored: Vec::new(),
        }
    }

    /// Takes one part of the form.
    ///
    /// # Errors
    /// The part is wrong, or it could not be stored.
    pub async fn take(&mut self, mut field: Field<'static>) -> Result<(), FileRejection> {
        let name = self.name(&field)?;
        let mut chunks = Vec::new();
        let mut bytes = 0;
        while let Some(chunk) = field.chunk().await.map_err(|error| refused(&error))? {
            bytes += chunk.len();
            chunks.push(chunk);
            if self.held_bytes + bytes > HELD_BYTES_LIMIT {
                self.store_held().await?;
                let whole = stream::iter(chunks.into_iter().map(Ok)).chain(field);
                return self.store(name, whole).await;
            }
        }
        self.held_bytes += bytes;
        if u64::try_from(self.held_bytes).is_ok_and(|bytes| bytes > self.left) {
            return Err(too_large(self.limit));
        }
        self.held.push(PendingFile { name, chunks });
        Ok(())
    }

    /// Stores the held files; returns all stored ones.
    ///
    /// # Errors
    /// A file could not be stored.
    pub async fn finish(&mut self) -> Result<&[StoredFile], FileRejection> {
        self.store_held().await?;
        Ok(&self.stored)
    }

    /// Adds the stored files to the error, for a client that repeats the rest.
    pub fn after(&self, refused: FileRejection) -> FileRejection {
        let stored = match self.stored.len() {
            0 => return refused,
            1 => "1 file before it is stored.".to_owned(),
            count => format!("{count} files before it are stored."),
        };
        let message = format!("{} {stored}", refused.message);
        FileRejection { message, ..refused }
    }

    fn name(&mut self, field: &Field<'_>) -> Result<FieldName, FileRejection> {
        if field.name() != Some(FIELD) {
            let name = field.name().unwrap_or_default();
            return Err(FileRejection::bad(format!(
                "the field {name:?} is unknown; files are in fields named `{FIELD}`."
            )));
        }
        if is_in_a_coding(field.headers()) {
            return Err(FileRejection {
                status: StatusCode::UNSUPPORTED_MEDIA_TYPE,
                ..FileRejection::bad("a file of a form is taken as it is, in no encoding.")
            });
        }
        if self.names.len() >= MAX_FILES {
            return Err(FileRejection::bad(format!(
                "more than {MAX_FILES} files; put an archive with ?unpack=tar instead."
            )));
        }
        let filename = file_name(field.file_name())?;
        if !self.names.insert(filename.clone()) {
            let problem =
                format!("the form has two files named {filename:?}; send each by itself.");
            return Err(ToolError::new(Code::Exists, problem).into());
        }
        let path = self.directory.below(&filename);
        let path = path.map_err(|error| FileRejection::from(ToolError::path(&error)))?;
        Ok(FieldName { filename, path })
    }

    async fn store_held(&mut self) -> Result<(), FileRejection> {
        self.held_bytes = 0;
        for PendingFile { name, chunks } in std::mem::take(&mut self.held) {
            let content = stream::iter(chunks.into_iter().map(Ok));
            self.store(name, content).await?;
        }
        Ok(())
    }

    async fn store(
        &mut self,
        FieldName { filename, path }: FieldName,
        chunks: impl Stream<Item = Result<Bytes, multer::Error>> + Send + 'static,
    ) -> Result<(), FileRejection> {
        let options = UploadOptions {
            limit: self.left,
            ..UploadOptions::default()
        };
        let (content, failure) = content(chunks);
        let stored = self.sandbox.upload(path.to_bytes(), options, content).await;
        let stored = stored.map_err(|error| upload_refused(&error, &failure, &path, self.limit))?;
        self.left = self.left.saturating_sub(stored.size);
        self.stored.push(StoredFile {
            filename,
            size: stored.size,
        });
        Ok(())
    }
}

/// `Content-Transfer-Encoding` belongs to mail (RFC 7578, section 4.7); old libraries send it.
fn is_in_a_coding(headers: &HeaderMap) -> bool {
    let plain = ["binary", "8bit", "7bit", "identity"];
    let names = [
        "content-transfer-encoding",
        header::CONTENT_ENCODING.as_str(),
    ];
    let mut values = names.iter().filter_map(|name| headers.get(*name));
    values.any(|value| {
        let value = value.to_str().unwrap_or("?");
        !plain
            .iter()
            .any(|plain| value.trim().eq_ignore_ascii_case(plain))
    })
}
