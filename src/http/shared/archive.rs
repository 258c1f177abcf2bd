//! A directory as an archive, made while it is sent.

use std::future::ready;
use std::io;
use std::str::FromStr;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt as _, TryStreamExt as _};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::refusal::LinkRefusal;
use super::zip;
use crate::ops::backup::stream::{Chunk, ChunkWriter, Chunks, on_thread};
use crate::sandbox::{Sandbox, SandboxError};
use crate::workspace::WorkspacePath;

/// Forms of an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArchiveFormat {
    Tar,
    /// For people whose system opens nothing else.
    Zip,
}

impl ArchiveFormat {
    /// The end of its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tar => "tar",
            Self::Zip => "zip",
        }
    }

    fn media_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Tar => "application/x-tar",
            Self::Zip => "application/zip",
        })
    }
}

impl FromStr for ArchiveFormat {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "tar" => Ok(Self::Tar),
            "zip" => Ok(Self::Zip),
            _ => Err(()),
        }
    }
}

/// What a chunk of an archive may fail with.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The directory at `path`, without hidden names; for HEAD nothing of it.
pub async fn send(
    sandbox: &Sandbox,
    path: &WorkspacePath,
    format: ArchiveFormat,
    is_head: bool,
) -> Result<Response, LinkRefusal> {
    let body = if is_head {
        // A length of 0 would be wrong for the archive.
        Body::from_stream(stream::empty::<Result<Bytes, SandboxError>>())
    } else {
        let download = sandbox.download_visible(path.to_bytes()).await?;
        match format {
            ArchiveFormat::Tar => Body::from_stream(download.content),
            ArchiveFormat::Zip => {
                let content = zipped(download.content).map_err(|error| {
                    tracing::error!(%error, "no thread for an archive");
                    LinkRefusal::Later(StatusCode::SERVICE_UNAVAILABLE)
                })?;
                Body::from_stream(content)
            }
        }
    };
    let headers = [(header::CONTENT_TYPE, format.media_type())];
    Ok((headers, body).into_response())
}

/// A tar archive as a zip archive. A thread converts it: a gigabyte takes seconds of CPU time.
fn zipped(
    tar: BoxStream<'static, Result<Bytes, SandboxError>>,
) -> io::Result<BoxStream<'static, Result<Bytes, Failure>>> {
    let (sender, input) = Chunks::new();
    let (output, chunks) = ChunkWriter::new();
    let converted = on_thread(move || {
        let output = zip::from_tar(input, output)?;
        output.finish()
    })?;
    tokio::spawn(feed(tar, sender));
    // What the thread says comes last: without it, the archive broke off.
    let end = stream::once(converted).try_filter_map(|()| ready(Ok(None)));
    let chunks = ReceiverStream::new(chunks).map(Ok);
    Ok(chunks.chain(end.map_err(Failure::from)).boxed())
}

/// Hands the archive to the thread, for as long as it takes it.
async fn feed(mut tar: BoxStream<'static, Result<Bytes, SandboxError>>, to: mpsc::Sender<Chunk>) {
    loop {
        let chunk = match tar.next().await {
            Some(Ok(data)) => Chunk::Data(data),
            None => Chunk::End(()),
            Some(Err(error)) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "an archive broke off"
                );
                return;
            }
        };
        let is_end = matches!(chunk, Chunk::End(()));
        if to.send(chunk).await.is_err() || is_end {
            return;
        }
    }
}
